"""Packaging: what pyproject.toml cannot say, which is how gorego_tw/pb is made from proto/."""

from __future__ import annotations

import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PROTO = HERE / "proto"
PB = HERE / "gorego_tw" / "pb"
PB_PACKAGE = "gorego_tw.pb"

# Registered by the library googleapis-common-protos, which grpcio's own tools use as
# well: a second registration of the same messages in one process is an error.
FROM_LIBRARIES = ("google/rpc/",)

IMPORT = re.compile(r"^from (?P<package>[\w.]+) import (?P<module>\w+_pb2)", re.MULTILINE)


def proto_files() -> list[str]:
    """The .proto files that Python modules are made from, relative to proto/."""
    names = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    return [name for name in names if not name.startswith(FROM_LIBRARIES)]


def pb_folders() -> list[Path]:
    """gorego_tw/pb and every folder that the modules in it need, parents first."""
    folders = {Path()}
    for name in proto_files():
        folders.update(Path(name).parents)
    return [PB / folder for folder in sorted(folders)]


def package_of(folder: Path) -> str:
    """The dotted name of a folder of the checkout."""
    return ".".join(folder.relative_to(HERE).parts)


def compile_protos() -> None:
    """Run protoc into gorego_tw/pb.

    :raises RuntimeError: protoc refused; it has said why on standard error.
    """
    # Only those who make modules need the compiler, not whoever reads the metadata.
    from grpc_tools import protoc

    well_known = files("grpc_tools") / "_proto"
    arguments = [f"-I{PROTO}", f"-I{well_known}"]
    arguments += [f"--{kind}_out={PB}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", *arguments, *proto_files()]) != 0:
        raise RuntimeError("protoc failed")


def move_imports(source: str, generated: frozenset[tuple[str, str]]) -> str:
    """``source`` with its imports of generated modules pointing into gorego_tw.pb."""

    def moved(match: re.Match[str]) -> str:
        if (match["package"], match["module"]) not in generated:
            return match[0]
        return f"from {PB_PACKAGE}.{match['package']} import {match['module']}"

    return IMPORT.sub(moved, source)


def generate_modules() -> None:
    """Make gorego_tw/pb anew."""
    shutil.rmtree(PB, ignore_errors=True)
    for folder in pb_folders():
        folder.mkdir()
        (folder / "__init__.py").write_text('"""Generated from proto/ by setup.py."""\n')
    compile_protos()
    names = [Path(name) for name in proto_files()]
    generated = frozenset((".".join(n.parent.parts), f"{n.stem}_pb2") for n in names)
    for path in [*PB.rglob("*_pb2*.py"), *PB.rglob("*_pb2.pyi")]:
        path.write_text(move_imports(path.read_text(), generated))


class Generate(Command):
    """``python setup.py generate``."""

    description = "make gorego_tw/pb from proto/"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None:
        """It has no options."""

    def finalize_options(self) -> None:
        """It has no options."""

    def run(self) -> None:
        """Make the modules."""
        generate_modules()


class BuildPy(build_py):
    """The ordinary build, for wheels and for editable installations, after the modules are made."""

    def finalize_options(self) -> None:
        """Make the modules if there are none: packages are expected to exist from here on."""
        if not PB.exists():
            self.run_command("generate")
        super().finalize_options()

    def run(self) -> None:
        """Make the modules anew, then build."""
        self.run_command("generate")
        super().run()


setup(
    packages=[
        *find_packages(include=["gorego_tw", "gorego_tw.*"], exclude=[f"{PB_PACKAGE}*"]),
        *map(package_of, pb_folders()),
        "twisted.plugins",
    ],
    package_data={"": ["*.pyi", "py.typed"]},
    cmdclass={"generate": Generate, "build_py": BuildPy},
)
