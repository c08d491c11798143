"""A small workspace for the real Bazel, which builds without a network, and Bazel itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

BAZEL = shutil.which("bazel")
INSTALL_BASE = Path("/usr/share/bazel")
BUILD_SECONDS = 180.0

# A warning about --nosystem_rc, which is meant.
OF_NO_CONCERN = "rc files are no longer being read"

CC_RULES = (
    *("cc_binary", "cc_import", "cc_library", "cc_proto_library", "cc_test", "cc_toolchain"),
    *("cc_toolchain_suite", "objc_library", "fdo_profile", "fdo_prefetch_hints"),
)
JAVA_RULES = (
    *("java_binary", "java_import", "java_library", "java_lite_proto_library"),
    *("java_package_configuration", "java_plugin", "java_proto_library", "java_runtime"),
    *("java_test", "java_toolchain"),
)


def natives(rules: Iterable[str]) -> str:
    """A .bzl file that gives out the rules which are built into Bazel."""
    return "".join(f"{rule} = native.{rule}\n" for rule in rules)


#: The workspace: the files by path. The repositories that Bazel would download are stubs.
FILES = {
    "WORKSPACE": """workspace(name = "tiny")
local_repository(name = "rules_cc", path = "stubs/rules_cc")
local_repository(name = "rules_java", path = "stubs/rules_java")
local_repository(name = "remote_coverage_tools", path = "stubs/remote_coverage_tools")
""",
    ".bazelignore": "stubs\n",
    "stubs/rules_cc/WORKSPACE": 'workspace(name = "rules_cc")\n',
    "stubs/rules_cc/BUILD": "",
    "stubs/rules_cc/cc/BUILD": "",
    "stubs/rules_cc/cc/defs.bzl": natives(CC_RULES),
    "stubs/rules_java/WORKSPACE": 'workspace(name = "rules_java")\n',
    "stubs/rules_java/BUILD": "",
    "stubs/rules_java/java/BUILD": "",
    "stubs/rules_java/java/defs.bzl": natives(JAVA_RULES),
    "stubs/remote_coverage_tools/WORKSPACE": 'workspace(name = "remote_coverage_tools")\n',
    "stubs/remote_coverage_tools/BUILD": """filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)
""",
    "BUILD": """[genrule(
    name = "numbers%d" % n,
    outs = ["numbers%d.txt" % n],
    cmd = "seq %d > $@; echo said %d" % (100 + n, n),
) for n in range(8)]

genrule(
    name = "large",
    outs = ["large.bin"],
    cmd = "seq 700000 > $@",
)

genrule(
    name = "empty",
    outs = ["empty.txt"],
    cmd = ": > $@",
)

genrule(
    name = "chain",
    srcs = ["numbers%d.txt" % n for n in range(8)],
    outs = ["chain.txt", "chain.sum"],
    cmd = "cat $(SRCS) > $(location chain.txt); cksum < $(location chain.txt) > $(location chain.sum)",
)

cc_library(
    name = "greeting",
    srcs = ["greeting.c"],
    hdrs = ["greeting.h"],
)

cc_binary(
    name = "hello",
    srcs = ["hello.c"],
    deps = [":greeting"],
)
""",
    "greeting.h": "const char *greeting(void);\n",
    "greeting.c": '#include "greeting.h"\nconst char *greeting(void) { return "hello"; }\n',
    "hello.c": """#include <stdio.h>
#include "greeting.h"
int main(void) { puts(greeting()); return 0; }
""",
}

#: What of Bazel's output has to be the same whoever made it.
OUTPUTS = (
    *(f"numbers{n}.txt" for n in range(8)),
    "large.bin",
    "empty.txt",
    "chain.txt",
    "chain.sum",
    "libgreeting.a",
    "hello",
)


class Build(NamedTuple):
    """What one build did.

    ``runners`` are the runners of all spawns, one each, from the execution log; ``outputs`` the
    SHA-256 of each output.
    """

    text: str
    runners: tuple[str, ...]
    outputs: dict[str, str]

    @property
    def cache_hits(self) -> int:
        """The number before "remote cache hit" in Bazel's summary; 0 without one."""
        match = re.search(r"(\d+) remote cache hit", self.text)
        return int(match[1]) if match else 0

    @property
    def warnings(self) -> list[str]:
        """Bazel degrades in silence when a cache misbehaves: only a warning says so."""
        lines = self.text.splitlines()
        return [line for line in lines if line.startswith("WARNING") and OF_NO_CONCERN not in line]


class Bazel:
    """Bazel 4 in a workspace of its own.

    :param folder: for the workspace and everything that Bazel keeps; its owner removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        for name, text in FILES.items():
            path = self.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.workspace / ".bazelrc").write_text(
            f"startup --output_user_root={folder}/user_root\n"
            f"startup --install_base={INSTALL_BASE} --trust_install_base\n"
            "startup --max_idle_secs=60\n"
            "build --nosandbox_debug --noshow_progress --color=no --jobs=4\n"
            # Without links into an output base, which the next build would take for packages.
            "build --spawn_strategy=local --genrule_strategy=local --symlink_prefix=/\n"
        )
        self._output_bases = 0

    def build(self, remote_cache: str, *flags: str) -> Build:
        """Build everything with a new, empty output base.

        :raises AssertionError: the build failed.
        """
        self._output_bases += 1
        base = self.folder / f"base{self._output_bases}"
        log = self.folder / f"spawns{self._output_bases}.json"
        try:
            text = self._run(
                base,
                "build",
                "//...",
                f"--remote_cache={remote_cache}",
                f"--execution_log_json_file={log}",
                *flags,
            )
            bin_folder = Path(self._run(base, "info", "bazel-bin").splitlines()[-1])
            outputs = {name: sha256(bin_folder / name) for name in OUTPUTS}
        finally:
            self._run(base, "shutdown")
        return Build(text, tuple(spawn["runner"] for spawn in spawns(log)), outputs)

    def _run(self, output_base: Path, command: str, *arguments: str) -> str:
        assert BAZEL is not None
        done = subprocess.run(
            [
                *(BAZEL, "--nosystem_rc", "--nohome_rc", f"--output_base={output_base}"),
                *(command, *arguments),
            ],
            cwd=self.workspace,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "USER": "tester"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"bazel {command}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout


def spawns(log: Path) -> list[dict[str, str]]:
    """The JSON objects that Bazel writes one after the other."""
    decoder, text, at, found = json.JSONDecoder(), log.read_text(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        spawn, at = decoder.raw_decode(text, at)
        found.append(spawn)
    return found


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
