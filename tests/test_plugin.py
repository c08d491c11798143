"""How twistd finds us."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted.plugins.gorego_tw_plugin import gorego

ROOT = Path(__file__).parent.parent
TWISTD = Path(sys.executable).parent / "twistd"

#: What a wheel is made of.
INGREDIENTS = (
    "LICENSE",
    "MANIFEST.in",
    "README.rst",
    "gorego_tw",
    "proto",
    "pyproject.toml",
    "setup.py",
    "twisted",
)


def run(*command: object, cwd: str | Path, path: str | Path | None = None) -> str:
    """Run a command and return what it wrote.

    :param path: the only folder beside the environment's own where modules are looked for.
    :raises AssertionError: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


class PluginTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """It is a plugin that makes services."""
        verifyObject(IPlugin, gorego)
        verifyObject(IServiceMaker, gorego)
        self.assertEqual(gorego.tapname, "gorego")

    def test_looking_imports_nothing(self) -> None:
        """Every run of twistd and trial reads the plugin; none has to load the daemon for that."""
        program = (
            "import sys; import twisted.plugins.gorego_tw_plugin; "
            "print([name for name in sys.modules if name.startswith('gorego_tw')])"
        )
        self.assertEqual(run(sys.executable, "-c", program, cwd=ROOT, path=ROOT), "[]\n")

    def test_no_package_in_the_way(self) -> None:
        """An __init__.py would hide Twisted's own plugins."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_found_from_a_checkout(self) -> None:
        """Twistd in a checkout knows the command."""
        self.assertIn("gorego", run(TWISTD, "--help", cwd=ROOT, path=ROOT))


class WheelTests(SynchronousTestCase):
    """An installation from a wheel, beside a Twisted that is installed already."""

    def setUp(self) -> None:
        """Build from a copy, so that the checkout in use is not touched, and install it apart."""
        folder = Path(self.mktemp())
        source, self.site = folder / "source", (folder / "site").absolute()
        source.mkdir(parents=True)
        for name in INGREDIENTS:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "pb", "dropin.cache")
                shutil.copytree(ROOT / name, source / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, source / name)
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", "--wheel-dir=..", ".", cwd=source)
        wheel = next(folder.glob("*.whl")).absolute()
        run(*pip, "install", "--no-deps", f"--target={self.site}", wheel, cwd=folder)
        self.folder = folder

    def test_found_and_complete(self) -> None:
        """Twistd knows the command and its options, and what is generated was generated."""
        self.assertIn("gorego", run(TWISTD, "--help", cwd=self.folder, path=self.site))
        options = run(TWISTD, "gorego", "--help", cwd=self.folder, path=self.site)
        self.assertIn("--config", options)
        modules = {path.name for path in (self.site / "gorego_tw" / "pb").rglob("*.py*")}
        self.assertLessEqual(
            {"remote_execution_pb2.py", "remote_execution_pb2.pyi", "bytestream_pb2_grpc.py"},
            modules,
        )
        self.assertTrue((self.site / "gorego_tw" / "py.typed").exists())
        self.assertEqual(list((self.site / "twisted").rglob("__init__.py")), [])
