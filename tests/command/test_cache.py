"""``gorego cache`` on a folder that no daemon holds."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from struct import pack
from typing import Any

import zstandard
from click.testing import CliRunner, Result

from gorego_tw.command.main import gorego
from gorego_tw.command.stat import as_text
from gorego_tw.digest import Digest, DigestFunction, empty_digest
from gorego_tw.errors import Unavailable
from gorego_tw.interfaces import ActionKey, StoredActionResult
from gorego_tw.pb.gorego.control.v1.control_pb2 import StatResponse
from gorego_tw.reuse.report import ReuseReport
from gorego_tw.reuse.sketch import Sketch
from gorego_tw.storage.disk_threads import NoDiskThreads
from gorego_tw.storage.pending import Pending
from gorego_tw.storage.tier import LocalTier
from tests.reuse.test_sketch import CAPACITIES, digests
from tests.storage.tiers import TierTestCase, blob

#: The command in a process of its own.
GOREGO = (sys.executable, "-c", "from gorego_tw.command.main import gorego; gorego()", "cache")


class CommandTestCase(TierTestCase):
    """Has a folder with a small blob, a large one, and an action result that names both."""

    def setUp(self) -> None:
        super().setUp()
        self.small, self.small_data = self.put(10)
        self.large, self.large_data = self.put(100_000)
        self.key = ActionKey("", blob(3)[0])
        self.result = StoredActionResult(b"result", (self.small, self.large))
        self.successResultOf(self.tier.action_results.put(self.key, self.result))
        self.close_tier(self.tier)
        self.other = Path(self.mktemp())

    def run_command(self, *arguments: str, folder: Path | None = None, data: bytes = b"") -> Result:
        """What comes of it."""
        command = ["cache", "--folder", str(folder or self.folder), *arguments]
        return CliRunner().invoke(gorego, command, input=data)

    def succeed(self, *arguments: str, **more: Any) -> str:
        """What it prints."""
        result = self.run_command(*arguments, **more)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def fail_with(self, code: int, message: str, *arguments: str, **more: Any) -> None:
        """It ends with that exit code and says so."""
        result = self.run_command(*arguments, **more)
        self.assertEqual(result.exit_code, code, result.output)
        self.assertIn(message, result.output)
        self.assertNotIn("Traceback", result.output)

    def damage(self, digest: Digest) -> None:
        path = self.path(digest)
        path.write_bytes(path.read_bytes()[:-1] + b"?")


class FolderTests(CommandTestCase):
    def test_absent(self) -> None:
        """A folder that does not exist is not made by who looks at it."""
        self.fail_with(3, "does not exist", "stat", folder=self.other)
        self.assertFalse(self.other.exists())

    def test_a_slip(self) -> None:
        """A folder on the command line that does not exist is not made by who keeps something in it either."""
        for command in ("put", "import"):
            self.fail_with(
                3, "does not exist; an empty folder", command, __file__, folder=self.other
            )
            self.assertFalse(self.other.exists())
        self.other.mkdir()
        self.succeed("put", __file__, folder=self.other)

    def test_held(self) -> None:
        """A folder that another command holds is said to be so, and nothing of a socket that there cannot be."""
        self.open_tier()
        self.fail_with(3, "in use by another gorego cache command, or", "stat")
        self.assertNotIn("connect", self.run_command("stat").output)

    def test_configured(self) -> None:
        """A folder that is configured is made, as the daemon would make it, but not for an archive that is absent."""
        variables = {"GOREGO_LOCAL_CACHE_DIR": str(self.other)}
        for arguments, code in ((["import", "no-such-archive"], 2), (["put", __file__], 0)):
            self.assertFalse(self.other.exists())
            result = CliRunner().invoke(gorego, ["cache", *arguments], env=variables)
            self.assertEqual(result.exit_code, code, result.output)
        self.assertTrue((self.other / "version").exists())

    def test_not_ours(self) -> None:
        """A folder with something else in it is left alone."""
        self.other.mkdir()
        (self.other / "file").touch()
        self.fail_with(3, "is no cache of gorego", "stat", folder=self.other)
        self.fail_with(3, "is no cache folder of gorego", "put", __file__, folder=self.other)
        self.assertEqual([path.name for path in self.other.iterdir()], ["file"])

    def test_begun(self) -> None:
        """A folder that was to become a cache when the disk was full, or the process was killed, becomes one."""
        for name in ("cas", "index", "trash", "uploads"):
            (self.other / name).mkdir(parents=True)
        (self.other / "lock").touch()
        self.fail_with(3, "is no cache of gorego", "stat", folder=self.other)
        self.succeed("put", __file__, folder=self.other)

    def test_of_another_version(self) -> None:
        """What the daemon would say of the folder is said here too."""
        (self.folder / "version").write_text("99\n")
        self.fail_with(3, "has the form", "ls")

    def test_not_closed(self) -> None:
        """A disk that fails when all was done is told in a line."""

        async def fail(_: LocalTier) -> None:
            raise Unavailable("the disk fails")

        self.patch(LocalTier, "flush", fail)
        self.fail_with(1, f"{self.folder.absolute()}: not brought to the disk", "stat")

    def test_help_has_the_exit_codes(self) -> None:
        """Who writes a script finds what to expect."""
        self.assertIn("Exit codes", CliRunner().invoke(gorego, ["cache", "--help"]).output)

    def test_wrong_configuration(self) -> None:
        """A configuration that cannot be read is told as the daemon tells it."""
        result = CliRunner().invoke(gorego, ["cache", "--config", "absent.yaml", "stat"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("absent.yaml", result.output)


class IncompleteTests(CommandTestCase):
    def test_damaged_index(self) -> None:
        """What is about all that is stored fails where the index had to be made anew; the rest says so."""
        for command in (("verify",), ("ls",), ("export", str(self.other) + ".tar")):
            os.truncate(self.folder / "index" / "data.mdb", 20_000)
            self.fail_with(1, "the index was damaged", *command)
            self.fail_with(1, "the index was damaged", *command)  # as long as no daemon was there
        self.assertIn("the index was damaged", self.run_command("stat").output)

    def test_files_count_that_are_not_known(self) -> None:
        """What is brought into a folder whose index was lost finds no more room than is left beside its files."""
        before = json.loads(self.succeed("stat", "--json"))["used_bytes"]
        os.truncate(self.folder / "index" / "data.mdb", 20_000)
        after = json.loads(self.succeed("stat", "--json"))["used_bytes"]
        self.assertEqual((before // 100_000, after // 100_000), (1, 1))

    def test_figures(self) -> None:
        """What was found all the same is told, to programs too."""
        os.truncate(self.folder / "index" / "data.mdb", 20_000)
        verified = self.run_command("verify", "--json").stdout
        self.assertEqual(json.loads(verified), {"entries": 0, "bytes": 0, "damaged": 0})
        _, exported = self.run_command("export", self.mktemp(), "--json").stderr.splitlines()
        self.assertEqual(json.loads(exported), {"blobs": 0, "action_results": 0})


class StreamTests(CommandTestCase):
    def test_numbers_that_are_too_large(self) -> None:
        """They are wrong on the command line."""
        self.fail_with(2, "the size", "get", f"{self.small.hash}/{10**25}")
        self.fail_with(2, "bytes-per-second", "verify", "--bytes-per-second", str(10**25))

    def test_closed_and_full(self) -> None:
        """A standard stream that is closed, or full, is told in a line."""
        for redirection, told in ((">&-", "closed"), ("<&-", "closed"), (">/dev/full", "No space")):
            for command in ("ls", "stat --json", f"get {self.large}"):
                done = subprocess.run(
                    ["sh", "-c", f'exec "$@" {redirection}', "sh", *GOREGO, *command.split()],
                    env=os.environ | {"GOREGO_LOCAL_CACHE_DIR": str(self.folder)},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(told, done.stderr)
                self.assertNotIn("Traceback", done.stderr)


class StatTests(CommandTestCase):
    def test_for_people(self) -> None:
        """Entries are told by kind."""
        printed = self.succeed("stat")
        self.assertIn("SHA256                     2 entries", printed)
        self.assertIn("action results             1 entries", printed)
        self.assertNotIn("estimated", printed)

    def test_for_programs(self) -> None:
        """The same as one JSON object."""
        figures = json.loads(self.succeed("stat", "--json"))
        self.assertEqual({kind["name"]: kind["entries"] for kind in figures["kinds"]}["SHA256"], 2)
        self.assertIsNone(figures["reuse"])
        self.assertIsNone(figures["pid"])
        self.assertEqual(figures["pending_entries"], 0)

    def test_uploads_that_wait(self) -> None:
        """What the backing cache has still to get is counted, if there is any."""
        self.assertNotIn("backing cache", self.succeed("stat"))
        tier = self.open_tier()
        pending = Pending(tier.environment, self.clock, max_bytes=1 << 20)
        for digest in (self.small, self.large):
            pending.add_blob(digest)
        self.close_tier(tier)
        self.assertIn("2 entries wait for the backing cache", self.succeed("stat"))
        self.assertEqual(json.loads(self.succeed("stat", "--json"))["pending_entries"], 2)

    def test_other_limits(self) -> None:
        """What the daemon has estimated of other limits is told, of that of which there is an estimate."""
        sketch = Sketch(CAPACITIES, {self.small.key: 1000}.get, 1.0)
        report = ReuseReport(sketch, self.folder, 1_000_000, NoDiskThreads(), self.clock)
        report.startService()
        sketch.use([self.small])
        sketch.look_up_all([self.small, *digests(1, seed=2)])
        self.successResultOf(report.stopService())
        printed = self.succeed("stat")
        self.assertIn("hits of blobs: 500 kB 50.0%, 1 MB 50.0%, 1.5 MB 50.0%, 2 MB 50.0%", printed)
        self.assertNotIn("hits of action results", printed)
        self.assertIn("estimated for a limit of 1 MB", printed)
        self.assertIn("estimated from 1 entries, too few to say much", printed)
        found = json.loads(self.succeed("stat", "--json"))["reuse"]
        self.assertEqual(
            found["limits"][0], {"limit_bytes": 500_000, "action_result": None, "blob": 0.5}
        )
        self.assertEqual((found["limit_bytes"], found["samples"]), (1_000_000, 1))

    def test_an_old_estimate(self) -> None:
        """How old it is is told when no daemon can have made it lately."""
        response = StatResponse(limit_bytes=10)
        reuse = {"limits": [], "limit_bytes": 10, "updated": 1000.0, "samples": 0}
        for age, told in ((60, False), (3 * 86400, True)):
            text = list(as_text(self.folder, response, reuse, 1000.0 + age))
            self.assertEqual("  estimated 3 d ago" in text, told, text)
            self.assertFalse(any("for a limit" in line for line in text))

    def test_an_estimate_from_many(self) -> None:
        """No doubt is cast on an estimate from some hundred entries."""
        limits = [{"limit_bytes": 10, "action_result": None, "blob": 0.5}]
        reuse = {"limits": limits, "limit_bytes": 10, "updated": 1000.0, "samples": 300}
        text = list(as_text(self.folder, StatResponse(limit_bytes=10), reuse, 1000.0))
        self.assertEqual(text[-1], "  estimated from 300 entries")

    def test_an_estimate_that_is_none(self) -> None:
        """A file that says something else is passed over."""
        others = ("", "[]", '{"version": 2}', '{"version": 1}', '{"version": 1, "limits": [1]}')
        for content in others:
            (self.folder / "reuse.json").write_text(content)
            self.assertNotIn("estimated", self.succeed("stat"))


class ListTests(CommandTestCase):
    def test_for_people(self) -> None:
        """Each blob has a line."""
        lines = self.succeed("ls").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn(f"{self.large}  ", "\n".join(lines))

    def test_for_programs(self) -> None:
        """Each blob is an object."""
        found = [json.loads(line) for line in self.succeed("ls", "--json").splitlines()]
        self.assertEqual(
            {entry["digest"]: entry["where"] for entry in found},
            {str(self.small): "index", str(self.large): "file"},
        )


class BlobTests(CommandTestCase):
    def test_get(self) -> None:
        """A blob goes to standard output or to a file, by its whole digest or by the hash."""
        result = self.run_command("get", str(self.large))
        self.assertEqual(result.stdout_bytes, self.large_data)
        self.other.mkdir()
        self.succeed("get", self.large.hash, "-o", str(self.other / "blob"))
        self.assertEqual((self.other / "blob").read_bytes(), self.large_data)

    def test_get_what_is_absent(self) -> None:
        """Nothing is written then."""
        target = self.other / "blob"
        self.other.mkdir()
        self.fail_with(1, "no blob", "get", str(blob(11)[0]), "-o", str(target))
        self.assertEqual(list(self.other.iterdir()), [])

    def test_get_beside_others(self) -> None:
        """A file of the name FILE.part is its owner's."""
        self.other.mkdir()
        part = self.other / "blob.part"
        part.write_bytes(b"theirs")
        self.succeed("get", str(self.small), "-o", str(self.other / "blob"))
        self.assertEqual(part.read_bytes(), b"theirs")

    def test_get_into_a_device(self) -> None:
        """It stays one."""
        target = Path(self.mktemp())
        target.symlink_to("/dev/full")
        message = f"Error: {target}: No space left on device\n"
        self.fail_with(1, message, "get", str(self.small), "-o", str(target))
        self.assertTrue(target.is_char_device())

    def test_get_what_is_damaged(self) -> None:
        """What was there before stays."""
        self.damage(self.large)
        target = Path(self.mktemp())
        target.write_bytes(b"before")
        self.fail_with(1, "wrong hash", "get", str(self.large), "-o", str(target))
        self.assertEqual(target.read_bytes(), b"before")

    def test_get_to_where_no_file_can_be(self) -> None:
        """That is told in a line."""
        for place in (".", "/", "", f"{self.folder}/version/x"):
            self.fail_with(
                1, f"Error: {place or repr(place)}: ", "get", str(self.small), "-o", place
            )

    def test_wrong_digests(self) -> None:
        """What is wrong with a digest is said."""
        for text, message in (
            ("abc", "a hash of 3 characters"),
            ("G" * 64, "lower-case hexadecimal"),
            (f"{'0' * 64}/x", "what follows / is the size"),
            (f"md5:{'0' * 64}", "'md5' is none of blake3"),
        ):
            self.fail_with(2, message, "get", text)

    def test_put(self) -> None:
        """A blob is kept under the digest that is printed, from a file or from standard input."""
        digest, data = blob(200_000)
        self.assertEqual(self.succeed("put", "-", data=data).strip(), str(digest))
        self.assertTrue(json.loads(self.succeed("put", "-", "--json", data=data))["existed"])
        self.assertEqual(self.run_command("get", str(digest)).stdout_bytes, data)

    def test_put_under_another_function(self) -> None:
        """A function whose hashes do not tell it is part of the digest."""
        text = self.succeed("put", "-", "--function", "blake3", data=b"data").strip()
        self.assertTrue(text.startswith("blake3:"))
        self.assertEqual(self.succeed("get", text), "data")

    def test_put_what_changes(self) -> None:
        """A file that is another one when it is read again is told as such, and not kept."""
        changing = "/proc/sys/kernel/random/uuid"
        self.fail_with(1, "Error: the file has changed while it was read", "put", changing)
        self.assertEqual(len(self.succeed("ls").splitlines()), 2)

    def test_the_empty_blob(self) -> None:
        """It is always there, whether anybody has put it or not."""
        name = str(empty_digest(DigestFunction.SHA256))
        for text in (name, name.partition("/")[0]):
            self.assertEqual(self.succeed("get", text), "")
        self.assertEqual(self.succeed("put", "-").strip(), name)

    def test_rm(self) -> None:
        """A blob that was dropped is absent."""
        self.assertEqual(
            json.loads(self.succeed("rm", str(self.large), "--json")), {"freed_bytes": 102400}
        )
        self.fail_with(1, "no blob", "rm", str(self.large))


class VerifyTests(CommandTestCase):
    def test_all_is_well(self) -> None:
        """What is right is counted."""
        self.assertIn("3 entries, 100.1 kB: 0 damaged", self.succeed("verify"))

    def test_damage(self) -> None:
        """Damage ends in exit code 1 as long as it is there, and once when it is dropped."""
        self.damage(self.large)
        self.fail_with(1, f"{self.large}: wrong hash", "verify")
        self.fail_with(1, "dropped", "verify", "--repair")
        self.assertIn("2 entries, 112 B: 0 damaged", self.succeed("verify"))

    def test_for_programs(self) -> None:
        """Each damage is an object, and the last one is the sum."""
        self.damage(self.large)
        result = self.run_command("verify", "--json", "--bytes-per-second", "1000000000")
        damage, total = map(json.loads, result.stdout.splitlines())
        self.assertEqual(
            damage, {"entry": str(self.large), "reason": "wrong hash", "dropped": False}
        )
        self.assertEqual((total["entries"], total["damaged"]), (3, 1))


class TransferTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other.mkdir()

    def archive(self, *arguments: str) -> bytes:
        result = self.run_command("export", *arguments)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout_bytes

    def check_other(self) -> None:
        """The other folder has everything."""
        self.folder = self.other
        tier = self.open_tier()
        self.assertEqual(self.successResultOf(tier.action_results.get(self.key)), self.result)
        self.assertEqual(self.successResultOf(tier.blobs.find_missing(self.result.references)), [])

    def test_through_a_pipe(self) -> None:
        """What is exported can be imported elsewhere: blobs and action results."""
        result = self.run_command("import", "--json", folder=self.other, data=self.archive())
        self.assertEqual(json.loads(result.stderr), {"blobs": 2, "action_results": 1})
        self.check_other()

    def test_compressed(self) -> None:
        """An archive whose name ends in .zst is compressed."""
        path = f"{self.mktemp()}.tar.zst"
        self.archive(path)
        self.assertEqual(Path(path).read_bytes()[:4], bytes.fromhex("28b52ffd"))
        self.succeed("import", path, folder=self.other)
        self.check_other()

    def test_compressed_without_its_name(self) -> None:
        """One that comes through a pipe, or under another name, is unpacked all the same."""
        path = Path(f"{self.mktemp()}.tar.zst")
        self.archive(str(path))
        self.succeed("import", folder=self.other, data=path.read_bytes())
        renamed = str(path.rename(path.with_suffix("")))
        result = self.run_command("import", "--json", renamed, folder=self.other)
        self.assertEqual(json.loads(result.stderr)["existed"], 3)
        self.check_other()

    def test_compressed_in_parts(self) -> None:
        """So is one that pzstd has made: before each frame there is one to be skipped, which has its length."""
        whole = self.archive()
        frames = [zstandard.compress(part) for part in (whole[:9999], whole[9999:])]
        skipped = [pack("<III", 0x184D2A50, 4, len(frame)) + frame for frame in frames]
        self.succeed("import", folder=self.other, data=b"".join(skipped))
        self.check_other()

    def test_again(self) -> None:
        """What is there already does no harm."""
        result = self.run_command("import", "--json", data=self.archive())
        self.assertEqual(json.loads(result.stderr), {"blobs": 0, "action_results": 0, "existed": 3})

    def test_damage_is_left_out(self) -> None:
        """The rest is exported, and the exit code tells."""
        self.damage(self.large)
        path = self.mktemp()
        self.fail_with(1, "damaged: blob", "export", path)
        with tarfile.open(path) as archive:
            self.assertEqual(len(archive.getnames()), 3)

    def test_unreadable_entry_is_left_out(self) -> None:
        """So is a blob of which the record is damaged."""
        tier = self.open_tier()
        with tier.environment.begin(write=True) as txn:
            txn.put(self.small.key, b"?", db=tier.environment.blobs)
        self.close_tier(tier)
        self.fail_with(1, f"damaged: blob {self.small.hash}", "export", self.mktemp())

    def test_no_room_for_the_archive(self) -> None:
        """A file that takes no more stays what it is, and the error is told in a line."""
        target = Path(self.mktemp())
        target.symlink_to("/dev/full")
        errors: list[object] = []
        self.patch(sys, "unraisablehook", lambda failure: errors.append(failure.exc_value))
        self.fail_with(1, f"Error: {target}: No space left on device\n", "export", str(target))
        gc.collect()
        self.assertEqual(errors, [])
        self.assertTrue(target.is_symlink())

    def test_an_archive_in_its_place(self) -> None:
        """It stays when there will be no other, because somebody else holds the folder."""
        path = Path(self.mktemp())
        path.write_bytes(b"another archive")
        self.open_tier()
        self.fail_with(3, "in use", "export", str(path))
        self.assertEqual(path.read_bytes(), b"another archive")

    def test_a_flipped_bit(self) -> None:
        """What does not have its digest is refused, and the rest is imported."""
        data = bytearray(self.archive())
        data[data.index(self.large_data[:100])] ^= 1
        self.fail_with(1, "refused", "import", folder=self.other, data=bytes(data))
        self.assertEqual(len(self.succeed("ls", folder=self.other).splitlines()), 1)

    def test_wrong_entries_as_json(self) -> None:
        """A program is told of each entry that is damaged or refused, and reads every line."""
        archive = bytearray(self.archive())
        for data in (self.small_data, self.large_data[:100]):
            archive[archive.index(data)] ^= 1
        self.damage(self.large)
        export = self.run_command("export", self.mktemp(), "--json")
        refused = self.run_command("import", "--json", folder=self.other, data=bytes(archive))
        for result, wrong, end in (
            (export, [self.large], {"blobs": 1, "action_results": 1, "damaged": 1}),
            (refused, [self.large, self.small], {"blobs": 0, "action_results": 1, "refused": 2}),
        ):
            *lines, counts = map(json.loads, result.stderr.splitlines())
            expected = {f"{digest.hash}/{digest.size_bytes}" for digest in wrong}
            self.assertEqual({line["entry"] for line in lines}, expected)
            self.assertNotIn("", [line["reason"] for line in lines])
            self.assertEqual((counts, result.exit_code), (end, 1))

    def test_cut_off(self) -> None:
        """An archive that ends too early is told as such."""
        data = self.archive()
        for length in (1000, len(data) // 2, data.index(b"ac/")):
            self.fail_with(1, "damaged", "import", folder=self.other, data=data[:length])

    def test_what_came_before_the_cut(self) -> None:
        """What is whole in an archive that ends too early is imported."""
        data = self.archive()
        cut = data[: data.index(b"ac/")]
        result = self.run_command("import", "--json", folder=self.other, data=cut)
        figures, error = result.stderr.splitlines()
        self.assertEqual(json.loads(figures), {"blobs": 2, "action_results": 0})
        self.assertIn("Error: -: a damaged archive", error)
        self.assertEqual(len(self.succeed("ls", folder=self.other).splitlines()), 2)
        self.fail_with(1, "0 blobs, 0 action results, 2 existed", "import", data=cut)

    def test_no_archive(self) -> None:
        """What is something else is told as such."""
        self.fail_with(1, "no archive of a cache", "import", data=b"something else" * 100)
        path = self.mktemp()
        with tarfile.open(path, "w") as archive:
            archive.add(__file__)
        self.fail_with(1, "no archive of a cache", "import", path)

    def test_no_file(self) -> None:
        """A file that is not there is wrong on the command line."""
        self.fail_with(2, "'absent.tar' does not exist", "import", "absent.tar")
        self.fail_with(2, "absent", "put", "absent")
