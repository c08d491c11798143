"""Tests of gorego_tw.remote.target."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.remote.target import Target, parse_target

GOOD = {
    "grpc://cache.example:9092": Target("grpc", "cache.example:9092"),
    "grpc://cache.example:9092/": Target("grpc", "cache.example:9092"),
    "grpcs://10.0.0.1:443": Target("grpcs", "10.0.0.1:443"),
    "grpc://[2001:db8::1]:1": Target("grpc", "[2001:db8::1]:1"),
    "unix:/run/cache.sock": Target("unix", "/run/cache.sock"),
    "unix:///run/cache.sock": Target("unix", "/run/cache.sock"),
    "http://cache.example": Target("http", "cache.example:80"),
    "https://cache.example/a/b/": Target("https", "cache.example:443", "/a/b"),
    "http://[2001:db8::1]:8080/x": Target("http", "[2001:db8::1]:8080", "/x"),
}

SECRET = {
    "http://user:password@cache.example": "http://…@cache.example",
    "htp://user:password@cache.example": "htp://…@cache.example",
    "http://user:pass@word@cache.example/x": "http://…@cache.example/x",
    "http://bucket.example/x?token=secret&a=1": "http://bucket.example/x?…",
}

BAD = (
    "",
    "cache.example:9092",
    "ftp://cache.example",
    "grpc://cache.example",
    "grpc://:9092",
    "grpc://cache.example:port",
    "grpc://cache.example:99999",
    "grpc://cache.example:1/instance",
    "http://cache.example/#x",
    "http://[::1",
    "unix:relative/path",
)


class ParseTargetTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Every form that is allowed is understood."""
        self.assertEqual({text: parse_target(text) for text in GOOD}, GOOD)

    def test_bad(self) -> None:
        """Everything else is refused, with what was written in the message."""
        for text in BAD:
            with self.assertRaises(ValueError, msg=text) as caught:
                parse_target(text)
            self.assertIn(repr(text), str(caught.exception))

    def test_secrets(self) -> None:
        """What may be a password or a token is refused without being repeated."""
        for text, shown in SECRET.items():
            with self.assertRaises(ValueError, msg=text) as caught:
                parse_target(text)
            self.assertTrue(str(caught.exception).startswith(repr(shown)), caught.exception)

    def test_names(self) -> None:
        """A channel is opened by the name that gRPC has for it."""
        self.assertEqual(parse_target("grpc://a:1").grpc_name, "dns:///a:1")
        self.assertEqual(parse_target("unix:/a").grpc_name, "unix:/a")

    def test_text(self) -> None:
        """As text it can be parsed again."""
        for target in GOOD.values():
            self.assertEqual(parse_target(str(target)), target)

    def test_kinds(self) -> None:
        """What speaks TLS and what speaks HTTP is known."""
        encrypted = {target.scheme for target in GOOD.values() if target.is_encrypted}
        plain = {target.scheme for target in GOOD.values() if target.is_http}
        self.assertEqual((encrypted, plain), ({"grpcs", "https"}, {"http", "https"}))
