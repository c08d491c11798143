"""Whom an HTTPS backing cache has to be vouched for by, and who we are to it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from gorego_tw.remote.connections import Files


@implementer(IPolicyForHTTPS)
class ClientPolicy:
    """The same for every host.

    :param files: without authorities there, those of this system may vouch.
    :raises OSError: a file cannot be read.
    """

    def __init__(self, files: Files) -> None:
        self._trust = platformTrust()
        self._identity: PrivateCertificate | None = None
        if files.ca_file:
            self._trust = trustRootFromCertificates(_certificates(files.ca_file))
        if files.cert_file:
            pem = Path(files.cert_file).read_bytes() + b"\n" + Path(files.key_file).read_bytes()
            self._identity = PrivateCertificate.loadPEM(pem)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """How a connection to that host begins."""
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
            hostname.decode(), trustRoot=self._trust, clientCertificate=self._identity
        )
        return creator


def _certificates(file: str) -> list[Certificate]:
    """All those in one file."""
    end = b"-----END CERTIFICATE-----"
    blocks = Path(file).read_bytes().split(end)[:-1]
    return [Certificate.loadPEM(block + end) for block in blocks]
