"""The root."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.web.health import Health
from gorego_tw.web.root import Root
from tests.web.requests import body, get


class RootTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Root({"readyz": Health({}), "healthz": Health({})})

    def test_it_lists_the_pages(self) -> None:
        """Who does not know what there is finds it at /."""
        self.assertEqual(body(get(self.root)), b"/healthz\n/readyz\n")

    def test_pages_are_where_they_are_listed(self) -> None:
        """Each page answers at its name."""
        self.assertIn(b"checks", body(get(self.root, b"healthz")))

    def test_other_paths_are_not_found(self) -> None:
        """What is not listed is 404."""
        self.assertEqual(get(self.root, b"nothing").responseCode, 404)
