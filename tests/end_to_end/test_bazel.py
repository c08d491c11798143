"""The real Bazel against the real daemon."""

from __future__ import annotations

from unittest import SkipTest

from tests.end_to_end.bazel import BAZEL, Bazel, Build
from tests.end_to_end.daemon import Daemon, DaemonTestCase


class BazelTests(DaemonTestCase):
    """Builds that fill the cache, and builds that live on it."""

    def setUp(self) -> None:
        super().setUp()
        if BAZEL is None:
            raise SkipTest("bazel is not installed (Debian: bazel-bootstrap)")
        self.bazel = Bazel(self.make_folder())

    def assert_executed(self, build: Build) -> None:
        """Every action was run here, and none was found in the cache."""
        self.assertGreaterEqual(len(build.runners), 14)
        self.assertEqual(build.cache_hits, 0, build.text)
        self.assertNotIn("remote cache hit", build.runners)
        self.assertEqual(build.warnings, [])

    def assert_from_the_cache(self, build: Build, first: Build) -> None:
        """No action was run, each was a hit, and the outputs are those of the first build."""
        self.assertEqual(set(build.runners), {"remote cache hit"}, build.text)
        self.assertEqual(build.cache_hits, len(first.runners), build.text)
        self.assertEqual(build.outputs, first.outputs)
        self.assertEqual(build.warnings, [])

    def remote_cache(self, daemon: Daemon) -> str:
        """The value of Bazel's flag."""
        return f"grpc://{daemon.listen_addr}"

    def test_second_build_executes_nothing(self) -> None:
        """A build from a clean output base takes all from the cache, also after a restart."""
        daemon = self.make_daemon().start()
        cache = self.remote_cache(daemon)
        first = self.bazel.build(cache)
        self.assert_executed(first)
        self.assert_from_the_cache(self.bazel.build(cache), first)
        daemon.stop()
        daemon.start()
        self.assert_from_the_cache(self.bazel.build(cache), first)
        self.assertNotIn("Traceback", daemon.log)

    def test_instance_names(self) -> None:
        """An instance name with a slash works, and sees nothing of what another one stored."""
        cache = self.remote_cache(self.make_daemon().start())
        instance = "--remote_instance_name=a/b"
        first = self.bazel.build(cache, instance)
        self.assert_executed(first)
        self.assert_from_the_cache(self.bazel.build(cache, instance), first)
        self.assert_executed(self.bazel.build(cache, "--remote_instance_name=a"))
