"""What twistd reads to know ``twistd gorego``. It names modules and imports none of them."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

gorego = ServiceMaker(
    "gorego",
    "gorego_tw.tap",
    "A caching proxy for the Bazel Remote Execution API.",
    "gorego",
)
