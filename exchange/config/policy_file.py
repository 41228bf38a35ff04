"""One file of ``policies/`` while it is being read: its data, its places, and the faults found so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError

from exchange.config.faults import Fault, YamlPath, readable_path
from exchange.config.fields import AtKey
from exchange.config.values import Source
from exchange.config.yaml_document import YamlDocument, read_yaml


@dataclass(slots=True)
class PolicyFile:
    """``label`` is how the file is called in a fault, ``name`` is the file's name without ``.yaml``."""

    name: str
    label: str
    document: YamlDocument
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def read(cls, name: str, label: str, content: bytes, *, is_list: bool = False) -> PolicyFile:
        """Return the file with the faults that it has as YAML; its top is a mapping, or a list."""
        document = read_yaml(content)
        file = cls(name, label, document)
        for (line, column), message in document.faults:
            file.faults.append(Fault(Source(label, line, column), "", message))
        if document.readable and not isinstance(document.data, list if is_list else dict):
            kind = "list" if is_list else "mapping of names to values"
            file.fault((), f"write a {kind} at the top of the file")
        return file

    @property
    def data(self) -> Mapping[str, object]:
        """What the file says; empty when it cannot be read."""
        return self.document.data if isinstance(self.document.data, dict) else {}

    @property
    def is_mapping(self) -> bool:
        """False when the file could not be read, so that nothing more can be said about it."""
        return isinstance(self.document.data, dict)

    def source(self, path: YamlPath = (), *, at_key: bool = False) -> Source:
        line, column = self.document.position(path, at_key=at_key)
        return Source(self.label, line, column)

    def fault(self, path: YamlPath, message: str, *, at_key: bool = False) -> None:
        """Record a fault at ``path``, unless what stands there was not even read as YAML."""
        source = self.source(path, at_key=at_key)
        if (source.line, source.column) not in {place for place, _ in self.document.faults}:
            self.faults.append(Fault(source, readable_path(path), message))

    def fault_within(self, path: YamlPath, line: int, column: int, message: str) -> None:
        """Record a fault inside the text at ``path``, whose own lines and columns count from 1."""
        first = self.document.texts.get(path)
        if first is None or line != 1:
            self.fault(path, f"line {line}, column {column} of it: {message}")
        else:
            place = Source(self.label, first[0], first[1] + column - 1)
            self.faults.append(Fault(place, readable_path(path), message))

    def load(self, schema: Schema, section: object, path: YamlPath = ()) -> Mapping[str, Any]:
        """Return what ``schema`` reads in ``section``, which stands at ``path``.

        What is wrong is recorded as faults, and what is right is returned all the same, so that the checks
        that follow can find their faults in the same run.
        """
        try:
            loaded = schema.load(section)  # type: ignore[arg-type]  # a wrong type is reported like any fault
        except ValidationError as error:
            self.record(error.messages, path)
            loaded = error.valid_data
        return loaded if isinstance(loaded, dict) else {}

    def record(self, messages: object, path: YamlPath) -> None:
        """Record what marshmallow says is wrong with the section at ``path``."""
        for place, message in _flatten(messages, path):
            self.fault(place, message, at_key=isinstance(message, AtKey))


def _flatten(messages: object, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    """Yield marshmallow's nested messages with the place of each."""
    if isinstance(messages, dict):
        for part, inner in messages.items():
            yield from _flatten(inner, path if part == "_schema" else (*path, part))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        yield path, messages if isinstance(messages, str) else str(messages)
