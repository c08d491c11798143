"""etc/kubernetes.yaml: what it says in several places agrees, and gorego takes it."""

from __future__ import annotations

from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from gorego_tw.config import keys, load, variable_name
from tests.etc.files import ETC


class ManifestTests(SynchronousTestCase):
    def setUp(self) -> None:
        text = (ETC / "kubernetes.yaml").read_text(encoding="utf-8")
        self.stateful_set, self.service = yaml.safe_load_all(text)
        self.pod: dict[str, Any] = self.stateful_set["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]
        self.environment = {one["name"]: one["value"] for one in self.container["env"]}
        self.settings = load(None, self.environment).settings
        self.ports = {one["name"]: one["containerPort"] for one in self.container["ports"]}

    def test_configuration(self) -> None:
        """It is one of gorego, and no variable of it is misspelt."""
        known = {variable_name(path) for path, _ in keys()}
        self.assertEqual(self.environment.keys() - known, set())

    def test_ports(self) -> None:
        """Ports are those that gorego listens on, and probes and clients go to them."""
        self.assertEqual(f":{self.ports['grpc']}", self.settings.listen_addr)
        self.assertEqual(f":{self.ports['metrics']}", self.settings.telemetry.metrics_addr)
        self.assertEqual(self.container["startupProbe"]["grpc"]["port"], self.ports["grpc"])
        for name, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            asked = self.container[name]["httpGet"]
            self.assertEqual((asked["path"], asked["port"]), (path, "metrics"))
        (port,) = self.service["spec"]["ports"]
        self.assertEqual((port["port"], port["targetPort"]), (self.ports["grpc"], "grpc"))

    def test_labels(self) -> None:
        """The set and the service find the pod."""
        labels = self.pod["metadata"]["labels"]
        self.assertEqual(self.stateful_set["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(self.service["spec"]["selector"], labels)

    def test_cache(self) -> None:
        """The cache is on the volume, which is larger than its limit."""
        (mount,) = self.container["volumeMounts"]
        (claim,) = self.stateful_set["spec"]["volumeClaimTemplates"]
        self.assertEqual(mount["name"], claim["metadata"]["name"])
        self.assertEqual(mount["mountPath"], self.settings.local_cache.dir)
        size = claim["spec"]["resources"]["requests"]["storage"]
        limit = self.settings.local_cache.max_size_gb
        assert limit is not None
        self.assertGreater(int(size.removesuffix("Gi")) * 1.024**3, limit)

    def test_end(self) -> None:
        """Kubernetes waits longer than calls may take to end."""
        grace = self.pod["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(grace, self.settings.shutdown_grace_seconds)
