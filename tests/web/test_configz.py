"""/configz"""

from __future__ import annotations

import yaml
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.config import load
from gorego_tw.web.configz import Configz
from tests.web.requests import body, get

SECRET = "Bearer geheim"


class ConfigzTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.configuration = load(
            None,
            {
                "GOREGO_BACKING_CACHE_HEADERS": f"{{authorization: {SECRET}}}",
                "GOREGO_LISTEN_ADDR": ":1234",
            },
        )
        self.text = body(get(Configz(self.configuration.shown))).decode()

    def test_in_effect(self) -> None:
        """Every value is as it is in effect, wherever it is from."""
        tree = yaml.safe_load(self.text)
        self.assertEqual(tree["listen_addr"], ":1234")
        self.assertEqual(tree["telemetry"]["log_level"], "info")

    def test_secrets(self) -> None:
        """Of a header its name is shown, never its value."""
        self.assertNotIn("geheim", self.text)
        self.assertIn("authorization", self.text)
