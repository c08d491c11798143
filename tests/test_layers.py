"""The shape of the package: what may import what, what things are called, how tests are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
PACKAGE = "gorego_tw"

#: From the top down. A module imports modules of its own part, and of parts in lines below.
LAYERS = (
    {
        "tap",
        "command",
        "assembly",
        "backing",
        "cache",
        "local_tier",
        "logging_controls",
        "metrics",
        "pages",
        "peers",
        "readiness",
        "traces",
    },
    {
        "announcement",
        "capacity",
        "certificates",
        "exit_signals",
        "garbage",
        "lifecycle",
        "port",
        "reactor",
        "steady_clock",
        "config",
        "settings",
    },
    {"reapi", "web", "eviction", "reuse", "control"},
    {"tracing"},
    {"proxy"},
    {"replication"},
    {"remote"},
    {"storage"},
    {"telemetry"},
    {"grpc"},
    {"http2"},
    {"zstd"},
    {
        "__version__",
        "pb",
        "body",
        "interfaces",
        "digest",
        "resource_name",
        "errors",
        "forwarding",
        "concurrency",
        "listen_address",
        "seldom",
        "turns",
        "via",
        "waiting_line",
    },
)

#: These are one line in LAYERS because they are one subject; the others of a line stand side by side.
ONE_SUBJECT = (LAYERS[0], LAYERS[1], LAYERS[-1])

#: Beyond the order of the layers, who may not know whom. The services see of gRPC what a method is.
FORBIDDEN = (
    ("storage", re.compile(r"gorego_tw\.(grpc|http2)\b")),
    ("reapi", re.compile(r"gorego_tw\.(http2|grpc\.(?!router\b))")),
    ("http2", re.compile(r"(twisted|time|logging|asyncio|socket)\b")),
)

#: Words that do not say what a thing does (Twisted's coding standard).
VAGUE = re.compile(
    r"util|manager|handler|processor|engine|component|helper|common|misc", re.IGNORECASE
)

MAX_LINES = 350


def sources(folder: str) -> Iterator[Path]:
    """The Python files below a folder of the checkout, without those that are generated."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.relative_to(ROOT).parts[:2] != (PACKAGE, "pb"):
            yield path


def part_of(module: str) -> str:
    """The part of the package that a module belongs to: "http2" for gorego_tw.http2.frames."""
    return module.split(".")[1]


def name_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """The modules imported for use, as ``package.module.name`` where a name is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def level_of(part: str) -> int:
    """Which line of LAYERS a part is in."""
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


def may_import(importer: str, imported: str) -> bool:
    """Whether one part may know another."""
    above, below = level_of(importer), level_of(imported)
    same = importer == imported or any({importer, imported} <= parts for parts in ONE_SUBJECT)
    return above < below or same


class LayerTests(SynchronousTestCase):
    def test_every_part_has_its_layer(self) -> None:
        """No module stands outside of the order."""
        parts = {part_of(name_of(path)) for path in sources(PACKAGE) if "." in name_of(path)}
        self.assertEqual(parts - set().union(*LAYERS), set())

    def test_imports_point_downward(self) -> None:
        """What is below does not know what is above, nor its neighbours."""
        wrong = [
            f"{name_of(path)} imports {imported}"
            for path in sources(PACKAGE)
            if "." in name_of(path)
            for imported in imports_of(path)
            if imported.startswith(f"{PACKAGE}.")
            and not may_import(part_of(name_of(path)), part_of(imported))
        ]
        self.assertEqual(wrong, [])

    def test_forbidden_acquaintances(self) -> None:
        """Stores know no gRPC, services no HTTP/2, and the HTTP/2 core neither Twisted nor time."""
        wrong = [
            f"{name_of(path)} imports {imported}"
            for part, forbidden in FORBIDDEN
            for path in sources(f"{PACKAGE}/{part}")
            for imported in imports_of(path)
            if forbidden.match(imported)
        ]
        self.assertEqual(wrong, [])

    def test_only_the_top_knows_the_reactor(self) -> None:
        """Everything else is given the part of it that it needs."""
        knowing = {
            part_of(name_of(path))
            for path in sources(PACKAGE)
            for imported in imports_of(path)
            if imported == "twisted.internet.reactor"
        }
        self.assertEqual(knowing - LAYERS[0], set())


class NameTests(SynchronousTestCase):
    def test_names_say_something(self) -> None:
        """No module and no class is called by a word that fits everything."""
        names = [path.stem for path in sources(PACKAGE)]
        for path in sources(PACKAGE):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names += [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self.assertEqual([name for name in names if VAGUE.search(name)], [])

    def test_modules_are_short(self) -> None:
        """A module has one reason to change, which fits on a few screens."""
        long = {
            name_of(path): lines
            for path in sources(PACKAGE)
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
        }
        self.assertEqual(long, {})


class TestTests(SynchronousTestCase):
    """The tests themselves."""

    def methods(self) -> Iterator[tuple[str, ast.ClassDef, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every test method, with its class and the module's name."""
        for path in sources("tests"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
                for node in cls.body:
                    if isinstance(
                        node, ast.FunctionDef | ast.AsyncFunctionDef
                    ) and node.name.startswith("test_"):
                        yield name_of(path), cls, node

    def test_every_test_states_a_claim(self) -> None:
        """Each has a docstring."""
        silent = [
            f"{module}.{cls.name}.{method.name}"
            for module, cls, method in self.methods()
            if ast.get_docstring(method) is None
        ]
        self.assertEqual(silent, [])

    def test_no_coroutine_passes_without_running(self) -> None:
        """A coroutine is a test in an asynchronous TestCase only; elsewhere nobody awaits it."""
        asleep = [
            f"{module}.{cls.name}.{method.name}"
            for module, cls, method in self.methods()
            if isinstance(method, ast.AsyncFunctionDef)
            and not any(is_asynchronous(ast.unparse(base)) for base in cls.bases)
        ]
        self.assertEqual(asleep, [])


def is_asynchronous(base: str) -> bool:
    """Whether a base class runs coroutines; one that only sounds like it does so is not enough."""
    name = base.rsplit(".", 1)[-1]
    return name.endswith("TestCase") and "Synchronous" not in name
