"""Tests of gorego_tw.certificates."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.certificates import LOOK_SECONDS, Certificates, certificate_files
from gorego_tw.settings import BackingCache, ClientTLS, Settings
from gorego_tw.storage.disk_threads import NoDiskThreads
from tests.end_to_end.certificates import LIFETIME, Authority


class CertificatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.file = self.folder / "cert.pem"
        self.clock = Clock()
        self.certificates = Certificates({"tls": str(self.file)}, NoDiskThreads(), self.clock)
        self.certificates.startService()
        self.addCleanup(self.certificates.stopService)

    def test_expiry(self) -> None:
        """A certificate is valid until the time it says, in seconds since the epoch."""
        self.file.write_bytes(Authority(self.folder).cert.read_bytes())
        self.clock.advance(0)
        until = dt.datetime.fromtimestamp(self.certificates.expiry["tls"], dt.UTC)
        left = until - dt.datetime.now(dt.UTC)
        self.assertTrue(LIFETIME - dt.timedelta(minutes=1) < left <= LIFETIME)

    def test_renewed(self) -> None:
        """A file that is renewed is noticed; one that is broken has no time, and that is told."""
        self.file.write_bytes(Authority(self.folder).cert.read_bytes())
        self.clock.advance(0)
        self.file.write_text("rubbish")
        with capturedLogs() as events:
            self.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.certificates.expiry, {})
        self.assertEqual(len(events), 1)
        self.file.write_bytes(Authority(self.folder).cert.read_bytes())
        self.clock.advance(LOOK_SECONDS)
        self.assertIn("tls", self.certificates.expiry)

    def test_files(self) -> None:
        """Every file of certificates that is configured is watched, under its key."""
        tls = ClientTLS(ca_file="/ca", cert_file="/cert", key_file="/key")
        settings = Settings(backing_cache=BackingCache(tls=tls))
        self.assertEqual(
            certificate_files(settings),
            {"backing_cache.tls.ca_file": "/ca", "backing_cache.tls.cert_file": "/cert"},
        )
