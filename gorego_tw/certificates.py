"""Until when the certificates that are configured are valid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from twisted.internet.interfaces import IReactorTime
from txaio.tx import make_logger

from gorego_tw.concurrency import Periodic
from gorego_tw.settings import Settings
from gorego_tw.storage.disk_threads import DiskThreads

#: How often the files are read, in seconds: they are renewed while the daemon runs.
LOOK_SECONDS = 60.0


class Certificates(Periodic):
    """Reads the files of certificates again and again.

    :param files: their paths, by the keys of the configuration.
    :param threads: where they are read.
    :ivar expiry: when the first certificate of each file is no longer valid, in seconds since the
        epoch, by the key; a file that cannot be read has none.
    """

    _log = make_logger()

    def __init__(self, files: Mapping[str, str], threads: DiskThreads, clock: IReactorTime) -> None:
        super().__init__("certificates", self.look, LOOK_SECONDS, clock)
        self.expiry: dict[str, float] = {}
        self._files = files
        self._threads = threads

    def startService(self) -> None:
        """Look at once."""
        super().startService()
        self.wake()

    async def look(self) -> None:
        """Read all of them."""
        for key, path in self._files.items():
            try:
                self.expiry[key] = await self._threads.run(first_expiry, path)
            except (OSError, ValueError) as error:
                self.expiry.pop(key, None)
                self._log.warn("{key}: {path}: {error}", key=key, path=path, error=error)


def first_expiry(path: str) -> float:
    """When the first of the certificates in a PEM file is no longer valid, in seconds since the epoch.

    :raises OSError: the file cannot be read.
    :raises ValueError: there is none in it.
    """
    certificates = x509.load_pem_x509_certificates(Path(path).read_bytes())
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)


def certificate_files(settings: Settings) -> dict[str, str]:
    """The files of certificates that are configured, by their keys."""
    backing, server = settings.backing_cache.tls, settings.tls
    files = {
        "backing_cache.tls.ca_file": backing.ca_file,
        "backing_cache.tls.cert_file": backing.cert_file,
        "tls.cert_file": server.cert_file,
        "tls.client_ca_file": server.client_ca_file,
    }
    return {key: path for key, path in files.items() if path}
