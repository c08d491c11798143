"""Reading the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.config import MAX_FILE_BYTES, ConfigError, Configuration, keys, load, variable_name

SAMPLE = Path(__file__).parent.parent / "etc" / "config.yaml"


class ConfigTestCase(SynchronousTestCase):
    """Loads a text as it would be loaded from a file."""

    def load(self, text: str, environment: dict[str, str] | None = None) -> Configuration:
        self.file = self.mktemp()
        Path(self.file).write_text(text, encoding="utf-8")
        return load(self.file, environment or {})

    def refusal(self, text: str, environment: dict[str, str] | None = None) -> str:
        """The message with which a text is refused, the file's name replaced by FILE."""
        error = self.assertRaises(ConfigError, self.load, text, environment)
        message = str(error)
        self.assertNotIn("\n", message)
        return message.replace(self.file, "FILE")


class DefaultTests(SynchronousTestCase):
    """No configuration at all."""

    def test_only_this_machine_can_connect(self) -> None:
        """Both ports are on the loopback interface."""
        settings = load(None, {}).settings
        self.assertEqual(settings.listen_addr, "127.0.0.1:50051")
        self.assertEqual(settings.telemetry.metrics_addr, "127.0.0.1:9090")

    def test_the_cache_is_in_the_users_cache_folder(self) -> None:
        """XDG_CACHE_HOME says where, if it is an absolute path, else it is ~/.cache."""
        expected = {
            "/caches": "/caches/gorego",
            "relative": str(Path("~/.cache/gorego").expanduser()),
        }
        for home, folder in expected.items():
            self.patch(os, "environ", {**os.environ, "XDG_CACHE_HOME": home})
            self.assertEqual(load(None, {}).settings.local_cache.dir, folder)

    def test_the_rest(self) -> None:
        """The other defaults are those of the documentation."""
        settings = load(None, {}).settings
        self.assertIsNone(settings.local_cache.max_size_gb)
        self.assertEqual(settings.telemetry.log_level, "info")
        self.assertEqual(settings.shutdown_grace_seconds, 30)
        self.assertEqual(settings.max_message_bytes, 16 * 1024 * 1024)
        self.assertEqual(settings.backing_cache.put_retry_count, 3)

    def test_settings_do_not_change(self) -> None:
        """Nothing can be assigned to a setting."""
        settings = load(None, {}).settings
        with self.assertRaises(ValidationError):
            settings.telemetry.log_level = "debug"


class SampleTests(SynchronousTestCase):
    """etc/config.yaml."""

    def test_it_loads(self) -> None:
        """It is a configuration, of a server that the network can reach."""
        settings = load(str(SAMPLE), {}).settings
        self.assertEqual(settings.listen_addr, ":50051")
        self.assertEqual(settings.telemetry.metrics_addr, ":9090")

    def test_it_names_every_key(self) -> None:
        """With its comments taken off the keys it has are exactly those there are."""
        lines = SAMPLE.read_text(encoding="utf-8").splitlines()
        bare = [line.replace("#", "", 1) if is_commented_key(line) else line for line in lines]
        tree = yaml.safe_load("\n".join(bare))
        self.assertEqual(paths_of(tree), {path for path, _ in keys()})

    def test_what_is_commented_out_is_the_default(self) -> None:
        """Taking the comments off changes nothing."""
        text = SAMPLE.read_text(encoding="utf-8")
        bare = [
            line.replace("#", "", 1) if is_commented_key(line) else line
            for line in text.splitlines()
        ]
        file = self.mktemp()
        Path(file).write_text("\n".join(bare), encoding="utf-8")
        self.assertEqual(load(file, {}).settings, load(str(SAMPLE), {}).settings)


def is_commented_key(line: str) -> bool:
    """Whether a line is ``#key: value``; a comment in words has a blank after the sign."""
    stripped = line.lstrip()
    return stripped.startswith("#") and stripped[1:2].isalpha()


def paths_of(tree: object, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The ways to all values that are not mappings with something in them."""
    if not isinstance(tree, dict) or not tree:
        return {above}
    return set().union(*(paths_of(value, (*above, key)) for key, value in tree.items()))


class FileTests(ConfigTestCase):
    """A file."""

    def test_values_are_taken(self) -> None:
        """What is in the file is in the settings."""
        settings = self.load("local_cache: {dir: /c, max_size_gb: 0.5}\nlisten_addr: ':1'").settings
        self.assertEqual(settings.local_cache.dir, "/c")
        self.assertEqual(settings.local_cache.max_size_gb, 0.5)
        self.assertEqual(settings.listen_addr, ":1")

    def test_empty_sections_are_sections(self) -> None:
        """A file, or a section, with all its keys commented out is the default."""
        self.assertEqual(self.load("").settings, load(None, {}).settings)
        self.assertEqual(self.load("local_cache:\ntls:\n").settings, load(None, {}).settings)

    def test_folders_are_absolute(self) -> None:
        """A path does not change its meaning when the daemon changes its folder."""
        folder = self.load("local_cache: {dir: ~/x}").settings.local_cache.dir
        self.assertEqual(folder, str(Path("~/x").expanduser()))
        folder = self.load("local_cache: {dir: x}").settings.local_cache.dir
        self.assertEqual(folder, str(Path("x").absolute()))

    def test_unknown_keys_are_refused_with_the_nearest_known_one(self) -> None:
        """A slip of the pen stops the start, and the message says what was meant."""
        self.assertIn(
            "FILE: listen_adr: unknown key; did you mean listen_addr? allowed: listen_addr, ",
            self.refusal("listen_adr: x"),
        )
        self.assertEqual(
            self.refusal("local_cache: {max_size: 5}"),
            "FILE: local_cache.max_size: unknown key; did you mean local_cache.max_size_gb? "
            "allowed: dir, max_size_gb, checkpoint_seconds, scrub_bytes_per_second, "
            "min_age_seconds, compression",
        )
        self.assertIn("did you mean local_cache.max_size_gb?", self.refusal("max_size_gb: 5"))
        self.assertNotIn("did you mean", self.refusal("zzzzz: 5"))
        self.assertIn("5: unknown key", self.refusal("5: 5"))

    def test_wrong_types_are_refused(self) -> None:
        """A text is no number, and a number no text, however it looks."""
        for text in (
            'local_cache: {max_size_gb: "5"}',
            "max_blob_size_bytes: true",
            "max_blob_size_bytes: 5.0",
            "listen_addr: 50051",
            "force_update_atime: 1",
            "local_cache: 5",
            "telemetry: [a]",
            "local_cache: {dir: null}",
        ):
            with self.subTest(text):
                self.assertRegex(
                    self.refusal(text), "^FILE: [a-z_.]+: .* is not allowed; allowed: "
                )

    def test_impossible_values_are_refused(self) -> None:
        """The message says what is possible."""
        self.assertEqual(
            self.refusal("local_cache: {max_size_gb: 0.009}"),
            "FILE: local_cache.max_size_gb: 0.009 is not allowed; "
            "allowed: a number from 0.01 on, in gigabytes of 1,000,000,000 bytes",
        )
        self.assertEqual(
            self.refusal("telemetry: {log_level: warning}"),
            "FILE: telemetry.log_level: 'warning' is not allowed; "
            "allowed: debug, info, warn or error",
        )
        for text in (
            "local_cache: {max_size_gb: 0}",
            "local_cache: {max_size_gb: .inf}",
            "local_cache: {max_size_gb: .nan}",
            "max_blob_size_bytes: -1",
            "max_message_bytes: 1000",
            "shutdown_grace_seconds: -1",
            "backing_cache: {write_policy: never}",
            "telemetry: {tracing_endpoint: a b}",
        ):
            with self.subTest(text):
                self.assertIn("is not allowed; allowed: ", self.refusal(text))

    def test_addresses_are_looked_at(self) -> None:
        """An address that cannot be listened on is refused, and the forms are told."""
        self.assertIn('allowed: ":PORT"', self.refusal("listen_addr: localhost"))
        self.assertIn("or nothing", self.refusal("telemetry: {metrics_addr: localhost}"))

    def test_certificate_and_key_go_together(self) -> None:
        """One without the other is refused on both sides."""
        self.assertIn("FILE: tls: cert_file and key_file", self.refusal("tls: {cert_file: a}"))
        self.assertIn("client_ca_file needs", self.refusal("tls: {client_ca_file: a}"))
        self.assertIn(
            "FILE: backing_cache.tls: cert_file and key_file",
            self.refusal("backing_cache: {tls: {key_file: a}}"),
        )

    def test_secrets_are_not_repeated(self) -> None:
        """The value of a header does not appear in a message."""
        self.assertNotIn("4711", self.refusal("backing_cache: {headers: {authorization: 4711}}"))

    def test_headers(self) -> None:
        """A header for the backing cache is one that gRPC takes; which one is not is told, its value not."""
        for header in ('{"x-bin": "x4711"}', '{"x-a": "4711\\n"}', '{"x-a": "4711\\u00e9"}'):
            told = self.refusal(f"backing_cache: {{headers: {header}}}")
            self.assertIn("x-", told)
            self.assertNotIn("4711", told)

    def test_long_values_are_cut(self) -> None:
        """A message stays a line that can be read."""
        self.assertLess(len(self.refusal(f"telemetry: {{log_level: {'x' * 5000}}}")), 300)

    def test_what_is_no_yaml(self) -> None:
        """The line is told."""
        self.assertIn("FILE: line 2, column 5: not YAML: ", self.refusal("\na: b: c"))
        self.assertIn("not YAML", self.refusal("\x00"))
        self.assertIn("not YAML", self.refusal("!!python/object/apply:os.abort []"))
        self.assertIn("not YAML", self.refusal("? [a]\n: b"))

    def test_a_key_twice(self) -> None:
        """The second value does not silently win."""
        self.assertIn("the key listen_addr is there twice", self.refusal("listen_addr: a\n" * 2))

    def test_what_is_no_mapping(self) -> None:
        """A list is no configuration."""
        self.assertIn("FILE: a mapping is allowed", self.refusal("- a"))

    def test_files_that_cannot_be_read(self) -> None:
        """A file that is not there, not text or far too large is named."""
        missing = self.mktemp()
        error = self.assertRaises(ConfigError, load, missing, {})
        self.assertEqual(str(error), f"{missing}: cannot be read: No such file or directory")
        Path(missing).write_bytes(b"\xff\xfe")
        self.assertIn("UTF-8", str(self.assertRaises(ConfigError, load, missing, {})))
        Path(missing).write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        self.assertIn("larger", str(self.assertRaises(ConfigError, load, missing, {})))


class EnvironmentTests(ConfigTestCase):
    """Overrides."""

    def test_every_key_has_a_variable_of_its_own(self) -> None:
        """Two keys never share a variable."""
        names = [variable_name(path) for path, _ in keys()]
        self.assertEqual(len(names), len(set(names)))
        for name in ("GOREGO_LISTEN_ADDR", "GOREGO_LOCAL_CACHE_MAX_SIZE_GB"):
            self.assertIn(name, names)
        self.assertIn("GOREGO_BACKING_CACHE_TLS_CA_FILE", names)

    def test_the_environment_wins(self) -> None:
        """A variable overrides the file, and a wrong value in the file below it is not looked at."""
        configuration = self.load(
            "local_cache: {max_size_gb: wrong}\nlisten_addr: ':1'",
            {
                "GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "5",
                "GOREGO_LISTEN_ADDR": ":2",
                "GOREGO_TELEMETRY_LOG_LEVEL": "debug",
                "GOREGO_FORCE_UPDATE_ATIME": "true",
                "GOREGO_BACKING_CACHE_HEADERS": "{a: b}",
                "GOREGO_BACKING_CACHE_INSTANCE_NAME": "17",
            },
        )
        settings = configuration.settings
        self.assertEqual(settings.local_cache.max_size_gb, 5)
        self.assertEqual(settings.listen_addr, ":2")
        self.assertEqual(settings.telemetry.log_level, "debug")
        self.assertIs(settings.force_update_atime, True)
        self.assertEqual(settings.backing_cache.headers, {"a": "b"})
        self.assertEqual(settings.backing_cache.instance_name, "17")

    def test_errors_name_the_variable(self) -> None:
        """Who set the variable is told so, not sent to the file."""
        self.assertEqual(
            self.refusal("", {"GOREGO_LOCAL_CACHE_MAX_SIZE_GB": "x"}),
            "GOREGO_LOCAL_CACHE_MAX_SIZE_GB (in the environment): local_cache.max_size_gb: "
            "'x' is not allowed; allowed: a number from 0.01 on, in gigabytes of 1,000,000,000 bytes",
        )
        self.assertIn(
            "GOREGO_BACKING_CACHE_HEADERS",
            self.refusal("", {"GOREGO_BACKING_CACHE_HEADERS": "{a: 5}"}),
        )
        self.assertIn(
            "GOREGO_MAX_BLOB_SIZE_BYTES: line 1, column 1: not YAML",
            self.refusal("", {"GOREGO_MAX_BLOB_SIZE_BYTES": "]"}),
        )

    def test_lists_and_mappings(self) -> None:
        """Who does not know how a list is written there learns it, and nobody who writes one in the file."""
        for variable, hint in (
            ("GOREGO_TELEMETRY_PROPAGATORS", ", written as YAML: [ONE, ANOTHER]"),
            ("GOREGO_BACKING_CACHE_HEADERS", ", written as YAML: {NAME: VALUE, NAME: VALUE}"),
        ):
            self.assertTrue(self.refusal("", {variable: "b3"}).endswith(hint))
        self.assertNotIn("YAML", self.refusal("telemetry: {propagators: b3}"))

    def test_other_variables_are_left_alone(self) -> None:
        """Kubernetes sets GOREGO_PORT in the neighbours of a service called gorego."""
        kubernetes = {
            "GOREGO_PORT": "tcp://10.0.0.1:50051",
            "GOREGO_SERVICE_HOST": "10.0.0.1",
            "GOREGO_PORT_50051_TCP_ADDR": "10.0.0.1",
            "GOREGO_VERSION": "1",
        }
        self.assertEqual(self.load("", kubernetes).doubts, ())

    def test_slips_are_told_of(self) -> None:
        """A variable that is nearly one of ours is ignored, and that is said."""
        environment = {"GOREGO_LOCAL_CACHE_MAX_SIZE": "5", "GOREGO_LISTEN_ADDR": ":1"}
        [doubt] = self.load("", environment).doubts
        self.assertEqual(
            doubt,
            "GOREGO_LOCAL_CACHE_MAX_SIZE (in the environment) is no key and is ignored; "
            "did you mean GOREGO_LOCAL_CACHE_MAX_SIZE_GB?",
        )

    def test_a_wrong_section_is_told_all_the_same(self) -> None:
        """A variable below a section that is none does not hide the fault of the file."""
        message = self.refusal("tls: 5", {"GOREGO_TLS_CERT_FILE": "x"})
        self.assertIn("FILE: tls: 5 is not allowed", message)


class PlaceTests(ConfigTestCase):
    """Where an operator goes to change a key."""

    def test_each_source(self) -> None:
        """The variable, else the file, else the default is named."""
        configuration = self.load("", {"GOREGO_LISTEN_ADDR": ":1"})
        place = configuration.place("listen_addr")
        self.assertEqual(place, "GOREGO_LISTEN_ADDR (in the environment): listen_addr")
        place = configuration.place("local_cache.dir")
        self.assertEqual(place, f"{self.file}: local_cache.dir")
        place = load(None, {}).place("local_cache.dir")
        self.assertEqual(place, "local_cache.dir (no configuration file)")
