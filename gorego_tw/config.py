"""Reading the configuration: a YAML file, overridden key by key from the environment.

``local_cache.max_size_gb`` is overridden by ``GOREGO_LOCAL_CACHE_MAX_SIZE_GB``. Variables
with another name are left alone: whoever starts us, Kubernetes for one, sets some of the
same prefix. One that is nearly the name of a key is told of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from gorego_tw.settings import Section, Settings

#: A configuration has a few dozen lines; what is larger was meant for something else. In bytes.
MAX_FILE_BYTES = 1024 * 1024

# How much of a wrong value a message repeats, in characters.
_MAX_SHOWN = 80
_UNKNOWN_KEY = frozenset({"extra_forbidden", "invalid_key"})
_SECRET = ("backing_cache", "headers")

_PREFIX = "GOREGO_"

#: How much like the variable of a key one has to be, to be taken for a slip; 1 is the same.
_NEARLY = 0.85

KeyPath = tuple[str, ...]
Tree = dict[str, Any]


class ConfigError(Exception):
    """What is wrong with the configuration, and what would be right, in one line."""


class Configuration(NamedTuple):
    """The settings and where they are from.

    :ivar doubts: what may be a slip, a line each.
    """

    settings: Settings
    file: str | None
    variables: Mapping[KeyPath, str]
    doubts: tuple[str, ...] = ()

    def shown(self) -> Tree:
        """The settings as they are in effect, as their file would have them, without secrets."""
        tree = self.settings.model_dump(mode="json")
        section, key = _SECRET
        tree[section][key] = dict.fromkeys(tree[section][key], "(hidden)")
        return tree

    def place(self, key: str) -> str:
        """Where an operator goes to change ``key``, as a message begins."""
        return _place(self.file, self.variables, tuple(key.split(".")))


def load(file: str | None, environment: Mapping[str, str]) -> Configuration:
    """The configuration in ``file``, or the default if that is None, with the environment's overrides.

    :raises ConfigError: the file cannot be read, or something in it or in the environment is wrong.
    """
    tree = read_file(file) if file is not None else {}
    variables: dict[KeyPath, str] = {}
    for path, field in keys():
        variable = variable_name(path)
        if variable in environment:
            _put(tree, path, _from_text(variable, environment[variable], field))
            variables[path] = variable
    try:
        settings = Settings.model_validate(tree)
        return Configuration(settings, file, variables, tuple(_doubts(environment)))
    except ValidationError as error:
        raise ConfigError(_explain(error, file, variables)) from None


def keys(
    section: type[Section] = Settings, above: KeyPath = ()
) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Every key that has a value, with the way to it."""
    for name, field in section.model_fields.items():
        inner = _section_of(field)
        if inner is None:
            yield (*above, name), field
        else:
            yield from keys(inner, (*above, name))


def variable_name(path: KeyPath) -> str:
    """The environment variable that overrides a key."""
    return _PREFIX + "_".join(path).upper()


def _doubts(environment: Mapping[str, str]) -> Iterator[str]:
    known = [variable_name(path) for path, _ in keys()]
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in known:
            for close in get_close_matches(name, known, n=1, cutoff=_NEARLY):
                yield f"{name} (in the environment) is no key and is ignored; did you mean {close}?"


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_file(file: str) -> Tree:
    """The content of a YAML file, not looked at yet.

    :raises ConfigError: it cannot be read, or is no mapping of keys to values.
    """
    try:
        with Path(file).open(encoding="utf-8") as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{file}: cannot be read: {reason}") from None
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(f"{file}: larger than the {MAX_FILE_BYTES} bytes allowed")
    tree = _parse(file, text)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: a mapping is allowed, of the keys {_names(Settings)}")
    return tree


def _parse(place: str, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{place}: {_yaml_problem(error)}") from None


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: not YAML: {error.problem}"
    return f"not YAML: {' '.join(str(error).split())}"


def _from_text(variable: str, text: str, field: FieldInfo) -> Any:
    """A value as it would be if it stood in the file; what is a text there need not be quoted."""
    texts_only = isinstance(field.get_default(call_default_factory=True), str)
    return text if texts_only else _parse(variable, text)


def _put(tree: Tree, path: KeyPath, value: Any) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        if inner is None:
            inner = tree[name] = {}
        if not isinstance(inner, dict):
            return  # the file is wrong above the key: that is what will be told
        tree = inner
    tree[path[-1]] = value


def _explain(error: ValidationError, file: str | None, variables: Mapping[KeyPath, str]) -> str:
    first = error.errors(include_url=False)[0]
    path = tuple(map(str, first["loc"]))
    place = _place(file, variables, path)
    if first["type"] in _UNKNOWN_KEY:
        return f"{place}: unknown key; {_nearest(path)}"
    allowed = f"allowed: {_allowed(path)}{_yaml_hint(path, variables)}"
    if first["type"] == "value_error":
        return f"{place}: {first['ctx']['error']}; {allowed}"
    if path[: len(_SECRET)] == _SECRET:
        return f"{place}: this value is not allowed; {allowed}"
    return f"{place}: {repr(first['input'])[:_MAX_SHOWN]} is not allowed; {allowed}"


def _place(file: str | None, variables: Mapping[KeyPath, str], path: KeyPath) -> str:
    key = ".".join(path)
    for length in range(len(path), 0, -1):
        if path[:length] in variables:
            return f"{variables[path[:length]]} (in the environment): {key}"
    return f"{file}: {key}" if file is not None else f"{key} (no configuration file)"


def _nearest(path: KeyPath) -> str:
    section = _section_at(path[:-1])
    known = {key[-1]: ".".join(key) for key, _ in keys()}
    known |= {name: ".".join((*path[:-1], name)) for name in section.model_fields}
    close = get_close_matches(path[-1], known, n=1)
    hint = f"did you mean {known[close[0]]}? " if close else ""
    return f"{hint}allowed: {_names(section)}"


def _allowed(path: KeyPath) -> str:
    section: type[Section] = Settings
    for name in path:
        field = section.model_fields[name]
        inner = _section_of(field)
        if inner is None:
            return field.description or ""
        section = inner
    return f"the keys {_names(section)}"


def _yaml_hint(path: KeyPath, variables: Mapping[KeyPath, str]) -> str:
    """How a list or a mapping is written where nobody would expect YAML."""
    for known, field in keys():
        if path[: len(known)] == known and known in variables:
            default = field.get_default(call_default_factory=True)
            if isinstance(default, Mapping):
                return ", written as YAML: {NAME: VALUE, NAME: VALUE}"
            if isinstance(default, tuple):
                return ", written as YAML: [ONE, ANOTHER]"
    return ""


def _section_at(path: KeyPath) -> type[Section]:
    section: type[Section] = Settings
    for name in path:
        section = _section_of(section.model_fields[name]) or section
    return section


def _section_of(field: FieldInfo) -> type[Section] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _names(section: type[Section]) -> str:
    return ", ".join(section.model_fields)
