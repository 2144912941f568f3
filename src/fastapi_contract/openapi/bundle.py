"""Puts a contract of several files into one document, without a `$ref` into another file.

Each place in another file that a `$ref` leads to becomes a component, named after the last part of its JSON Pointer, or
after its file. A component of the main file that is only a `$ref` into another file is replaced by what it refers to.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import yaml

from fastapi_contract.openapi.document import Document, Line, Place, line_of, place_of, pointer_to, read, value_at
from fastapi_contract.openapi.openapi_objects import OBJECTS, REFERENCEABLE, kind_within

_GROUPS = {field[1:-1]: group for group, field in OBJECTS["Components"].items()}
"""The group of components in which objects of a kind are."""
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LINE_BREAKS = re.compile(r"[\r\x85\u2028\u2029]")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9]+")


def bundle(document: Document, file: str, folder: Path | None) -> Document:
    """Returns the contract in one document: `document` itself, if it refers to no other file.

    `file` is its name, and `folder` the folder in which it and all others are; without it, no other file is read. A
    `$ref` that leads nowhere stays as it is written, and is in `broken`. Raises UnreadableError.
    """
    if not isinstance(document.root, dict) or not _leads_out(document.root):
        return document
    return _Bundle(document, file, folder).document()


def dump(root: Any) -> bytes:
    """Returns a document as YAML that YAML 1.1 and 1.2 read alike, always with the same bytes."""
    text = yaml.dump(root, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text.encode()


def _leads_out(value: Any) -> bool:
    if isinstance(value, dict):
        ref = value.get("$ref", "#")
        return (isinstance(ref, str) and not ref.startswith("#")) or any(map(_leads_out, value.values()))
    return isinstance(value, list) and any(map(_leads_out, value))


class _Target(NamedTuple):
    """What a `$ref` leads to."""

    kind: str
    file: str
    place: Place


class _BrokenError(Exception):
    """A reference leads nowhere. The message is a clause that follows the reference."""


class _Bundle:
    def __init__(self, document: Document, file: str, folder: Path | None) -> None:
        self._main, self._folder = file, folder
        self._original = document
        self._files = {file: document}
        self._lines: dict[Place, Line] = {}
        self._broken: dict[Place, str] = {}
        self._faults = list(document.faults)
        self._places: dict[_Target, Place] = {}
        """Where each target is in the bundle."""
        self._pending: list[_Target] = []
        """The targets that are components of the bundle only."""
        self._names: dict[Place, str] = {}
        """What each component is, as it is written in a `$ref`."""
        self._is_changed = False

    def document(self) -> Document:
        self._adopt()
        root = self._copied(self._original.root, "OpenAPI", (), self._main, ())
        # Grows while it is read.
        for target in self._pending:
            _, group, name = place = self._places[target]
            components = root.setdefault("components", {}).setdefault(group, {})
            components[name] = self._copied(self._value(target), target.kind, place, target.file, target.place)
        if not self._is_changed and not self._broken:
            return self._original
        return Document(root, self._lines, self._faults, self._broken)

    def _components(self, group: str) -> Any:
        """A group of the main file's components: a map, if it is not malformed."""
        components = self._original.root.get("components", {})
        return components.get(group, {}) if isinstance(components, dict) else components

    def _adopt(self) -> None:
        """Gives components of the main file that are only a `$ref` into another file the place of its target."""
        for kind, group in _GROUPS.items():
            components = self._components(group)
            for name, value in components.items() if isinstance(components, dict) else ():
                place = ("components", group, name)
                self._names[place] = f"#{pointer_to(place)}"
                if isinstance(value, dict) and isinstance(ref := value.get("$ref"), str) and len(value) == 1:
                    try:
                        target = self._target(kind, self._main, ref)
                    except _BrokenError:
                        continue
                    if target.file != self._main:
                        self._places.setdefault(target, place)

    def _copied(self, value: Any, kind: str, place: Place, file: str, origin: Place) -> Any:
        """A value whose references lead into the bundle. `place` is where it is there, `origin` where in its file."""
        if (line := self._files[file].lines.get(origin)) is not None:
            self._lines[place] = line
        if isinstance(value, list):
            inner = kind[1:-1] if kind[0] == "[" else "any"
            return [
                self._copied(each, inner, (*place, str(index)), file, (*origin, str(index)))
                for index, each in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if kind in REFERENCEABLE and isinstance(ref := value.get("$ref"), str):
            try:
                target = self._target(kind, file, ref)
                # Not within the target, which may refer to itself.
                if file == self._main and self._places.get(target) == place:
                    self._is_changed = True
                    return self._copied(self._value(target), kind, place, target.file, target.place)
                value = {**value, "$ref": self._reference(target, ref, file)}
            except _BrokenError as error:
                self._broken[place] = str(error)
        elif kind == "Discriminator" and isinstance(mapping := value.get("mapping"), dict):
            value = {**value, "mapping": self._mapping(mapping, place, file)}
        return {
            name: self._copied(each, kind_within(kind, name, place), (*place, name), file, (*origin, name))
            for name, each in value.items()
        }

    def _mapping(self, mapping: Mapping[str, Any], place: Place, file: str) -> dict[str, Any]:
        """The mapping of a discriminator, whose values are names of components or references."""
        mapped = dict(mapping)
        for name, ref in mapping.items():
            if isinstance(ref, str) and not _SCHEMA_NAME.fullmatch(ref):
                try:
                    mapped[name] = self._reference(self._target("Schema", file, ref), ref, file)
                except _BrokenError as error:
                    line = line_of(self._lines, place)
                    self._faults.append((line, f"The discriminator refers to {ref}, {error}"))
        return mapped

    def _reference(self, target: _Target, ref: str, file: str) -> str:
        """The `$ref` to a target in the bundle; `ref` is as it is written in `file`."""
        if file == self._main and ref.startswith("#"):
            return ref
        self._is_changed = True
        if target.file == self._main:
            return f"#{pointer_to(target.place)}"
        if target not in self._places:
            place = ("components", group := _GROUPS[target.kind], _name(target))
            if not isinstance(self._components(group), dict):
                raise _BrokenError("for which there is no place until `components` is an object.")
            written = f"{target.file}#{pointer_to(target.place)}" if target.place else target.file
            if self._names.setdefault(place, written) != written:
                name = "/".join(place[1:])
                text = f"whose name in the served contract, {name}, is also that of {self._names[place]}. Rename one."
                raise _BrokenError(text)
            self._places[target] = place
            self._pending.append(target)
        return f"#{pointer_to(self._places[target])}"

    def _target(self, kind: str, file: str, ref: str) -> _Target:
        """What `ref`, as it is written in `file`, leads to, past values of other files that are only a `$ref`."""
        target = first = self._first_target(kind, file, ref)
        passed: set[_Target] = set()
        while target.file != self._main and target not in passed:
            passed.add(target)
            value = self._value(target)
            if not (isinstance(value, dict) and isinstance(value.get("$ref"), str) and len(value) == 1):
                return target
            try:
                target = self._first_target(kind, target.file, value["$ref"])
            except _BrokenError:
                # It is reported where it is written.
                return target
        return first if target in passed else target

    def _first_target(self, kind: str, file: str, ref: str) -> _Target:
        if ref.startswith("#") and file == self._main:
            return _Target(kind, file, place_of(ref))
        path, _, fragment = ref.partition("#")
        if path:
            file = self._relative(path, file)
        if file not in self._files:
            self._load(file)
        if fragment and not unquote(fragment).startswith("/"):
            raise _BrokenError("which is no JSON Pointer. Write the place, such as #/Task.")
        target = _Target(kind, file, place_of(f"#{fragment}"))
        if file != self._main:
            try:
                self._value(target)
            except LookupError:
                raise _BrokenError(f"but {file} has nothing there. Correct the part after the #.") from None
        return target

    def _value(self, target: _Target) -> Any:
        return value_at(self._files[target.file].root, target.place)

    def _relative(self, path: str, file: str) -> str:
        """The file that a `$ref` in `file` names, relative to the folder (RFC 3986, section 5.2)."""
        try:
            parts = urlsplit(path)
        except ValueError:
            parts = urlsplit("invalid:")
        found = normpath(str(PurePosixPath(file).parent / unquote(parts.path)))
        if parts.scheme or parts.netloc or parts.query or found.startswith("/") or found.split("/")[0] == "..":
            raise _BrokenError(
                "which is not a file below the folder of the contract. Write a relative path to one that is."
            )
        return found

    def _load(self, file: str) -> None:
        if self._folder is None:
            raise _BrokenError("which is another file, and only this one was given. Use Contract.read().")
        try:
            path = (self._folder / file).resolve()
            is_below = path.is_relative_to(self._folder.resolve())
            source = path.read_bytes() if is_below and path.is_file() else None
        except (OSError, ValueError):
            source = None
        if source is None:
            raise _BrokenError(f"but there is no file {file} below the folder of the contract. Correct the path.")
        document = read(source, file)
        self._files[file] = document
        self._faults += document.faults


def _name(target: _Target) -> str:
    """The name of a target's component: `task-list.yaml` and `common.yaml#/task_list` are TaskList."""
    last = target.place[-1] if target.place else PurePosixPath(target.file).stem
    return "".join(part[:1].upper() + part[1:] for part in _OTHER_CHARACTERS.split(last)) or last


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 or 1.1 reads as another type, and writes several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # YAML 1.1 has further line breaks, which are escaped only in double quotes.
    style = '"' if _LINE_BREAKS.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
# SafeDumper knows the numbers of YAML 1.1.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$"),
    list("-+.0123456789"),
)
