"""The forms of an address to listen on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.listen_address import endpoint_description, leads_here


class EndpointDescriptionTests(SynchronousTestCase):
    def test_a_port_alone_is_every_interface(self) -> None:
        """Without a host the port is open on IPv4 and IPv6, or on IPv4 where that cannot be."""
        self.assertEqual(
            endpoint_description(":50051", dual_stack=True), r"tcp6:50051:interface=\:\:"
        )
        self.assertEqual(endpoint_description(":50051", dual_stack=False), "tcp:50051")

    def test_the_system_is_asked(self) -> None:
        """Whether a socket can serve both is the system's to say."""
        self.assertIn(":50051", endpoint_description(":50051"))

    def test_host_and_port(self) -> None:
        """A host before the port is the interface."""
        self.assertEqual(endpoint_description("127.0.0.1:0"), "tcp:0:interface=127.0.0.1")
        self.assertEqual(endpoint_description("localhost:80"), "tcp:80:interface=localhost")

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets."""
        self.assertEqual(endpoint_description("[::1]:50051"), r"tcp6:50051:interface=\:\:1")

    def test_a_unix_socket(self) -> None:
        """A path is passed on, with its options; the form with two slashes of URLs is understood."""
        self.assertEqual(endpoint_description("unix:/run/g.sock"), "unix:/run/g.sock")
        self.assertEqual(
            endpoint_description("unix:/run/g.sock:mode=660"), "unix:/run/g.sock:mode=660"
        )
        self.assertEqual(endpoint_description("unix:///run/g.sock"), "unix:/run/g.sock")

    def test_endpoint_strings_pass(self) -> None:
        """Twisted's own strings are left as they are, those of plugins too."""
        for description in ("tcp:50051:interface=127.0.0.1", "systemd:domain=INET:name=grpc"):
            self.assertEqual(endpoint_description(description), description)

    def test_leads_here(self) -> None:
        """A target that reaches who listens is known, if both are written in ways that tell."""
        for target in ("127.0.0.1:50051", "localhost:50051", "[::1]:50051"):
            for address in ("127.0.0.1:50051", ":50051", "0.0.0.0:50051", "[::]:50051"):
                self.assertTrue(leads_here(target, address), (target, address))
        self.assertTrue(leads_here("cache.example:50051", "cache.example:50051"))
        for target, address in (
            ("127.0.0.1:50052", ":50051"),
            ("cache.example:50051", ":50051"),
            ("127.0.0.1:50051", "cache.example:50051"),
            ("127.0.0.1:50051", "unix:/run/g.sock"),
            ("/run/g.sock", ":50051"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ):
            self.assertFalse(leads_here(target, address), (target, address))

    def test_what_is_no_address(self) -> None:
        """Everything else is refused."""
        wrong = ("", "50051", "localhost", "host:port", "host:65536", "::1:50051", "[::1]", "a b:1")
        for address in (*wrong, "http://host:1", "unix:relative.sock", "unix:", "host:-1"):
            with self.subTest(address):
                self.assertRaises(ValueError, endpoint_description, address)
