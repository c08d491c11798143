"""Whom an HTTPS backing cache has to be vouched for by, and who we are to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import X509
from OpenSSL.SSL import Connection
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
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
        host = hostname.decode()
        options: IOpenSSLClientConnectionCreator = optionsForClientTLS(
            host, trustRoot=self._trust, clientCertificate=self._identity
        )
        return _Named(options, host)


@implementer(IOpenSSLClientConnectionCreator)
class _Named:
    """Connections whose peer has a certificate for that host.

    Twisted's own look takes a certificate that names no host at all (without subjectAltName) for one of every host:
    it logs service_identity's CertificateError, and goes on.
    """

    def __init__(self, options: IOpenSSLClientConnectionCreator, host: str) -> None:
        self._options = options
        is_address = isIPAddress(host) or isIPv6Address(host)
        self._name = IPAddress_ID(host) if is_address else DNS_ID(host)

    def clientConnectionForTLS(self, protocol: Any) -> Connection:
        """As IOpenSSLClientConnectionCreator."""
        connection: Connection = self._options.clientConnectionForTLS(protocol)

        def verify(_: Connection, certificate: X509, _error: int, depth: int, ok: int) -> bool:
            if depth or not ok:
                return bool(ok)
            try:
                verify_service_identity(extract_patterns(certificate), [self._name], [])
            except Exception:  # whatever it is, who that is is not known
                protocol.failVerification(Failure())
                return False
            return True

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def _certificates(file: str) -> list[Certificate]:
    """All those in one file."""
    end = b"-----END CERTIFICATE-----"
    blocks = Path(file).read_bytes().split(end)[:-1]
    return [Certificate.loadPEM(block + end) for block in blocks]
