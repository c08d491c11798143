"""gorego: a caching proxy for the Bazel Remote Execution API, as one Twisted service."""

__version__ = "0.1.0"
