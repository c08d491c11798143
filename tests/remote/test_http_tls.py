"""Whom an HTTPS backing cache has to be vouched for by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.remote.connections import Files
from gorego_tw.remote.http_tls import ClientPolicy
from tests.end_to_end.certificates import Authority, Pair


class Protocol:
    """Is told why a peer is not who it should be.

    :ivar failures: what it was told.
    """

    factory = SimpleNamespace(wrappedFactory=None)

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def failVerification(self, reason: Failure) -> None:
        """Note it."""
        self.failures.append(reason)


class ClientPolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.authority = Authority(folder)
        self.stranger = Authority(folder, "stranger")

    def is_trusted(self, pair: Pair, host: bytes) -> bool:
        """Whether a connection to a host with that certificate comes about."""
        protocol: Any = Protocol()
        policy = ClientPolicy(Files(ca_file=str(self.authority.cert)))
        client = policy.creatorForNetloc(host, 443).clientConnectionForTLS(protocol)
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_file(str(pair.cert))
        context.use_privatekey_file(str(pair.key))
        server = SSL.Connection(context, None)
        server.set_accept_state()
        client.set_connect_state()
        try:
            for _ in range(10):
                for one, other in ((client, server), (server, client)):
                    self.step(one, other)
        except SSL.Error:
            return False
        self.assertEqual(protocol.failures, [])
        return True

    def step(self, one: SSL.Connection, other: SSL.Connection) -> None:
        """Let one side do what it can, and bring what it says to the other."""
        for act in (one.do_handshake, lambda: other.bio_write(one.bio_read(1 << 16))):
            try:
                act()
            except SSL.WantReadError:
                continue

    def test_hosts(self) -> None:
        """A host is trusted by a name, or an address, that its certificate has."""
        pair = self.authority.vouch_for("server")
        for host in (b"localhost", b"127.0.0.1"):
            self.assertTrue(self.is_trusted(pair, host))
        for host in (b"cache.example", b"127.0.0.2", b"::1"):
            self.assertFalse(self.is_trusted(pair, host))

    def test_no_name(self) -> None:
        """A certificate that names no host is one of none, whoever vouches for it."""
        pair = self.authority.vouch_for("localhost", ())
        for host in (b"localhost", b"127.0.0.1"):
            self.assertFalse(self.is_trusted(pair, host))

    def test_of_another_host(self) -> None:
        """So is one of another host."""
        pair = self.authority.vouch_for("server", [x509.DNSName("other.example")])
        self.assertFalse(self.is_trusted(pair, b"localhost"))
        self.assertTrue(self.is_trusted(pair, b"other.example"))

    def test_stranger(self) -> None:
        """Whom nobody vouches for is not trusted, whatever it calls itself."""
        self.assertFalse(self.is_trusted(self.stranger.vouch_for("server"), b"localhost"))
