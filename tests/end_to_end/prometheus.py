"""Debian's Prometheus, which scrapes daemons with the configuration and the rules of etc/."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.daemon import eventually, free_port
from tests.etc.files import PROMETHEUS
from tests.tools import tool

#: How often it scrapes and evaluates rules, in place of what is in etc/.
INTERVAL = "1s"

START_SECONDS = 15.0
ANSWER_SECONDS = 10

#: A series and its value.
Sample = tuple[Mapping[str, str], float]


class Prometheus:
    """One process on a free port of the loopback interface.

    :param folder: for what it stores and for its log; its owner removes it.
    :param target: what it scrapes.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        self._target = target
        self._address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it has scraped.

        :raises SkipTest: it is not installed.
        """
        configuration = self._folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(self._configuration()))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    tool("prometheus"),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={self._folder / 'series'}",
                    f"--web.listen-address={self._address}",
                    "--enable-feature=exemplar-storage",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._has_scraped, f"a scrape\n{self._log.read_text()}", START_SECONDS)

    def stop(self) -> None:
        """End it; nothing happens if it was not started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _configuration(self) -> dict[str, Any]:
        """That of etc/, as far as it is the same for everyone."""
        told: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        told["global"] = dict.fromkeys(told["global"], INTERVAL)
        told["rule_files"] = [str(PROMETHEUS / name) for name in told["rule_files"]]
        (job,) = told["scrape_configs"]
        job["static_configs"] = [{"targets": [self._target]}]
        return told

    def _has_scraped(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"it has ended\n{self._log.read_text()}")
        try:
            urllib.request.urlopen(
                f"http://{self._address}/-/ready", timeout=ANSWER_SECONDS
            ).close()
        except urllib.error.URLError:
            return False
        return [value for _, value in self.ask('up{job="gorego"}')] == [1]

    @property
    def _log(self) -> Path:
        return self._folder / "prometheus.log"

    def ask(self, expression: str) -> list[Sample]:
        """What an expression comes to now.

        :raises AssertionError: it is refused; the message has the reason.
        """
        answer = self.get("query", query=expression)
        assert answer["resultType"] in {"vector", "scalar"}, answer
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in answer["result"]]

    def get(self, what: str, **parameters: str) -> Any:
        """The data of an answer of its API.

        :raises AssertionError: it is none; the message has the reason.
        """
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        assert told["status"] == "success", told
        return told["data"]
