"""YAML as ``policies/`` means it: PyYAML parses, and the construction of values is ours.

PyYAML alone would read ``on:`` as ``True``, ``12:30`` as 750 and a date as an object, would keep the last of
two equal keys in silence, and would expand an alias bomb. So the parser's events are turned into plain data
here, by the core schema of YAML 1.2.2 (§10.3), with the line and column of every key and value. Events, not
nodes: they still show anchors and tags, and need no recursion, so nesting cannot exhaust the stack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from exchange.config.faults import YamlPath

Position = tuple[int, int]
"""Line and column, from 1."""

MAX_BYTES: Final = 512 * 1024
MAX_NODES: Final = 50_000
MAX_DEPTH: Final = 32

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where PyYAML has it (ten times faster), or the pure one; the events are the same."""

# What YAML 1.2.2 §5.1 lets into a stream; PyYAML's own complaint has no line.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_INTEGER_TEXT: Final = 20
_INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One file: its data, where each part of it stands, and what is wrong with it as YAML."""

    data: object = None
    """Dicts, lists, strings, booleans, integers, floats and ``None``."""
    keys: dict[YamlPath, Position] = field(default_factory=dict)
    values: dict[YamlPath, Position] = field(default_factory=dict)
    texts: dict[YamlPath, Position] = field(default_factory=dict)
    """Where the first character stands of a value that is written on one line as it is, in quotes or not."""
    faults: list[tuple[Position, str]] = field(default_factory=list)
    readable: bool = True
    """False when parsing had to stop, so that ``data`` says nothing."""

    def position(self, path: YamlPath, *, at_key: bool = False) -> Position:
        """Return where ``path`` stands, or where the nearest thing around it does."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


class _Unreadable(Exception):  # noqa: N818  # never leaves this module
    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position = position
        self.message = message


def read_yaml(content: bytes) -> YamlDocument:
    """Return the document that ``content`` holds; never raises: what is wrong is in its ``faults``."""
    construction = _Construction()
    try:
        for event in _events(_decode(content)):
            construction.take(event)
    except _Unreadable as error:
        return YamlDocument(
            faults=[*construction.document.faults, (error.position, error.message)], readable=False
        )
    except yaml.YAMLError as error:
        fault = (_mark_of(error), f"not YAML: {getattr(error, 'problem', None) or 'it cannot be parsed'}")
        return YamlDocument(faults=[*construction.document.faults, fault], readable=False)
    return construction.finish()


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Unreadable((1, 1), f"the file is too large; write at most {MAX_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = content[: error.start].decode("utf-8", "replace")
        raise _Unreadable(_end_of(good), "not UTF-8; save the file as UTF-8") from None
    if bad := _NOT_PRINTABLE.search(text):
        raise _Unreadable(_end_of(text[: bad.start()]), "a control character; remove it")
    return text


def _end_of(text: str) -> Position:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _events(text: str) -> Iterator[Any]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _mark_of(error: yaml.YAMLError) -> Position:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    container: dict[str, object] | list[object]
    path: YamlPath
    key: str | None = None
    """The key whose value comes next; ``None`` where a key is due."""
    keep: bool = True
    """False for the value of a duplicate or merge key: it is read, for its faults, and dropped."""


class _Construction:
    def __init__(self) -> None:
        self.document = YamlDocument()
        self._open: list[_Open] = []
        self._top: list[object] = []
        self._nodes = 0

    def finish(self) -> YamlDocument:
        document = self.document
        if not self._top:
            return YamlDocument(faults=[((1, 1), "the file is empty")], readable=False)
        return YamlDocument(self._top[0], document.keys, document.values, document.texts, document.faults)

    def take(self, event: Any) -> None:
        position = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.NodeEvent):
            self._take_node(event, position)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event, position)

    def _start_document(self, event: Any, position: Position) -> None:
        if self._top:
            raise _Unreadable(position, "a second document; write one document in each file")
        if event.tags or event.version not in {None, (1, 2)}:
            raise _Unreadable(position, "a directive; the files are YAML 1.2, remove the line")

    def _take_node(self, event: Any, position: Position) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Unreadable(position, f"too many values; write at most {MAX_NODES} in one file")
        self._check_plain(event, position)
        around = self._open[-1] if self._open else None
        if around is not None and isinstance(around.container, dict) and around.key is None:
            self._take_key(around, event, position)
        else:
            self._take_value(around, event, position)

    def _check_plain(self, event: Any, position: Position) -> None:
        faults = self.document.faults
        if isinstance(event, yaml.AliasEvent):
            faults.append((position, "an alias; write the value out"))
        elif event.anchor is not None:
            faults.append((position, "an anchor; write values out where they are needed"))
        elif isinstance(event, yaml.ScalarEvent) and _SURROGATE.search(event.value):
            faults.append((position, "half of a surrogate pair; write the character itself"))
        if getattr(event, "tag", None) is not None:
            faults.append((position, "a tag; write plain values, in quotes where a string is meant"))

    def _take_key(self, around: _Open, event: Any, position: Position) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _Unreadable(position, "a key that is not a name; write `name: value`")
        key, path, faults = event.value, (*around.path, event.value), self.document.faults
        around.key, around.keep = key, True
        if event.implicit[0] and key == "<<":
            faults.append((position, "a merge key; write the values out"))
            around.keep = False
        elif event.implicit[0] and not isinstance(_resolve(key), str):
            faults.append((position, "a key that is not a string; put it in quotes"))
        if path in self.document.keys:
            first_line = self.document.keys[path][0]
            faults.append(
                (position, f"duplicate key; it is on line {first_line} already, keep one of the two")
            )
            around.keep = False
        self.document.keys.setdefault(path, position)

    def _take_value(self, around: _Open | None, event: Any, position: Position) -> None:
        value = self._value(event, position)
        path: YamlPath = ()
        keep = True
        if around is None:
            self._top.append(value)
        elif isinstance(around.container, list):
            path = (*around.path, len(around.container))
            around.container.append(value)
        else:
            path, keep = (*around.path, around.key or ""), around.keep
            if keep:
                around.container[around.key or ""] = value
            around.key = None
        self.document.values.setdefault(path, position)
        if isinstance(event, yaml.ScalarEvent) and (quotes := _quotes(event)) is not None:
            self.document.texts.setdefault(path, (position[0], position[1] + quotes))
        if isinstance(value, (dict, list)):
            if len(self._open) >= MAX_DEPTH:
                raise _Unreadable(position, f"too deeply nested; write at most {MAX_DEPTH} levels")
            self._open.append(_Open(value, path))

    def _value(self, event: Any, position: Position) -> object:
        if isinstance(event, yaml.MappingStartEvent):
            return {}
        if isinstance(event, yaml.SequenceStartEvent):
            return []
        if isinstance(event, yaml.AliasEvent):
            return None
        if not event.implicit[0]:
            return event.value
        value = _resolve(event.value)
        if value is _NO_JSON_NUMBER:
            self.document.faults.append((position, "not a number that JSON can hold; put it in quotes"))
            return None
        return value


def _quotes(event: Any) -> int | None:
    """Return how many characters stand before the text; ``None`` if it has escapes or several lines."""
    if event.start_mark.line != event.end_mark.line:
        return None
    # A plain scalar's style is None or empty: the two parsers differ.
    written, quotes = event.end_mark.column - event.start_mark.column, len(event.style or "")
    return quotes if written == len(event.value) + 2 * quotes else None


_NO_JSON_NUMBER: Final = object()


def _resolve(text: str) -> object:
    """Return what a plain scalar means in the core schema (YAML 1.2.2 §10.3.2)."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else _NO_JSON_NUMBER
    return _NO_JSON_NUMBER if _NOT_FINITE.fullmatch(text) else text


def _integer(text: str) -> object:
    # The length first: int() of very many digits raises, and takes quadratic time.
    if len(text) > _MAX_INTEGER_TEXT:
        return _NO_JSON_NUMBER
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text, base)
    return number if number in _INT64 else _NO_JSON_NUMBER
