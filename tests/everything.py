"""Runs all checks and says at the end how many passed.

``python tests/everything.py [ruff] [format] [mypy] [trial] [end-to-end] [alone] [crashtest]``; all without
arguments, the slow ones last. A linter, or the crash test, counts as one test. The last line is ``N passed, N failed``,
with ``, N skipped`` if there were any, and the exit code is 1 if one failed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

# trial's last words, as in "FAILED (skips=1, failures=2, successes=3)"
SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((?P<counts>[^)]*)\))?$", re.MULTILINE)
COUNT = re.compile(r"(\w+)=(\d+)")
#: Enough for each kind of folder to be killed a few times; `make crashtest` goes on for longer.
CRASHTEST_SECONDS = "60"

END_TO_END = "tests/end_to_end"

#: Those of the modules there that build with Bazel, one after the other: it takes both cores by itself.
WITH_BAZEL = ("test_bazel", "test_build_traces", "test_chain")
#: Those that compare times, or count what a daemon does by itself, so that nothing may run beside them.
ALONE = ("test_coalescing", "test_collector_trouble", "test_memory", "test_outage", "test_waits")

PASSED = ("successes", "expectedFailures")
FAILED = ("failures", "errors", "unexpectedSuccesses")


class Tally(NamedTuple):
    """How many tests ended in which way."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: Tally) -> Tally:
        """The sum."""
        return Tally(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        text = f"{self.passed} passed, {self.failed} failed"
        return f"{text}, {self.skipped} skipped" if self.skipped else text


def run(*commands: Sequence[str]) -> list[tuple[int, str]]:
    """Run some of the tools beside each other. What the first prints is shown as it comes, what the others
    print when the first has ended.

    :returns: of each the exit code and the output.
    """
    with ExitStack() as stack:
        printed = [stack.enter_context(TemporaryFile("w+", errors="replace")) for _ in commands[1:]]
        targets: list[int | IO[str]] = [subprocess.PIPE, *printed]
        processes = [
            stack.enter_context(_start(command, target))
            for command, target in zip(commands, targets, strict=True)
        ]
        outputs = [_shown(commands[0], processes[0].stdout or ())]
        for command, process, file in zip(commands[1:], processes[1:], printed, strict=True):
            process.wait()
            file.seek(0)
            outputs.append(_shown(command, file))
        codes = [process.wait() for process in processes]
    return list(zip(codes, outputs, strict=True))


def _start(command: Sequence[str], output: int | IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _shown(command: Sequence[str], lines: Iterable[str]) -> str:
    print("$", *command, flush=True)
    output = []
    for line in lines:
        print(line, end="", flush=True)
        output.append(line)
    return "".join(output)


def lint(*command: str) -> Callable[[], Tally]:
    """A check that passes or fails as a whole."""

    def check() -> Tally:
        ((code, _),) = run(command)
        return Tally(passed=1) if code == 0 else Tally(failed=1)

    return check


def trial(*groups: Sequence[str]) -> Callable[[], Tally]:
    """The tests of those packages and modules, each group in a process of its own beside the others."""

    def check() -> Tally:
        commands = [("trial", "--reactor=asyncio", *group) for group in groups]
        tallies = [read_tally(code, output) for code, output in run(*commands)]
        return reduce(Tally.plus, tallies)

    return check


def in_one_process() -> list[str]:
    """The names of all packages and modules below tests/ but those that start daemons."""
    packages = {path.parent for path in ROOT.glob("tests/*/__init__.py")} - {ROOT / END_TO_END}
    paths = sorted(packages) + sorted(ROOT.glob("tests/test_*.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def with_daemons() -> tuple[list[str], list[str], list[str]]:
    """The names of the modules that start daemons: two groups that may run beside each other, and the others."""
    modules = {path.stem for path in ROOT.glob(f"{END_TO_END}/test_*.py")}
    rest = sorted(modules.difference(WITH_BAZEL, ALONE))
    groups = ([*WITH_BAZEL, *rest[::3]], [*rest[1::3], *rest[2::3]], ALONE)
    package = ".".join(Path(END_TO_END).parts)
    one, other, alone = ([f"{package}.{name}" for name in group] for group in groups)
    return one, other, alone


def read_tally(code: int, output: str) -> Tally:
    """What trial's output and exit code say.

    Trial that ends without its summary, without a test, or with a failure that it does not
    count, counts as one failure.
    """
    summaries = list(SUMMARY.finditer(output))
    counts = (
        {name: int(number) for name, number in COUNT.findall(summaries[-1][0])} if summaries else {}
    )

    def total(names: Iterable[str]) -> int:
        return sum(counts.get(name, 0) for name in names)

    passed, failed = total(PASSED), total(FAILED)
    if (code != 0 and not failed) or not passed:
        failed += 1
    return Tally(passed, failed, counts.get("skips", 0))


CHECKS: Mapping[str, Callable[[], Tally]] = {
    "ruff": lint("ruff", "check", "."),
    "format": lint("ruff", "format", "--check", "."),
    "mypy": lint("mypy"),
    # Of two cores they take both, which is no matter to those that know no real time.
    "trial": trial(in_one_process()[::2], in_one_process()[1::2]),
    "end-to-end": trial(*with_daemons()[:2]),
    "alone": trial(with_daemons()[2]),
    "crashtest": lint("python", "-m", "crashtest", CRASHTEST_SECONDS),
}


def main(names: Iterable[str]) -> int:
    """Run the checks of those names.

    :returns: the exit code.
    """
    tally = Tally()
    for name in names:
        tally = tally.plus(CHECKS[name]())
    print(tally, flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or CHECKS))
