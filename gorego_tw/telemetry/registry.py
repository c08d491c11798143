"""All metrics there are."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector

from gorego_tw.telemetry.process_collector import ProcessCollector


def make_registry() -> CollectorRegistry:
    """A registry with what the process and its interpreter tell of themselves."""
    registry = CollectorRegistry()
    registry.register(ProcessCollector())
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
