"""YAML as kubectl and the API server read it: the words and numbers of goyaml.v2, keys as strings, no duplicates.

PyYAML finds the structure (events); what a scalar means is decided here. Every anchor, document and depth is bounded,
because a manifest may come from anyone. The table in tests/api/test_kubernetes_yaml.py was checked against the Go
module sigs.k8s.io/yaml 1.6 (strict).
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

DEEPEST = 64
MOST_ALIASED = 10_000
"""Nodes that aliases may repeat in all; each `*name` counts with everything inside it."""

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
}
NOT_FINITE = re.compile(r"\.(nan|NaN|NAN)|[-+]?\.(inf|Inf|INF)")
INTEGERS = (
    (re.compile(r"([-+]?)(0|[1-9][0-9]*)"), 10),
    (re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)"), 16),
    (re.compile(r"([-+]?)0[oO]?([0-7]+)"), 8),
    (re.compile(r"([-+]?)0[bB]([01]+)"), 2),
)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
TAG_PREFIX = "tag:yaml.org,2002:"
LONGEST_NUMBER = 400

Scalar = str | int | float | bool | None


class YamlError(ValueError):
    """A text that is not YAML as kubectl reads it; str() says the line and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")


def load_documents(text: str) -> list[Any]:
    """Return the values of all documents in the text; an empty document is None. Raises YamlError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is libyaml, as goyaml.v2 is in Go
    try:
        builder = _Builder(yaml.parse(text, Loader=loader))
        return builder.documents()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, "control characters are not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "invalid YAML"
        hint = " (a tab? indent with spaces)" if "cannot start any token" in why else ""
        last_line = text.rstrip().count("\n") + 1
        raise YamlError(min(mark.line + 1, last_line) if mark else 1, f"invalid YAML: {why}{hint}") from None


def resolve_plain(text: str) -> Scalar:
    """Return what an unquoted scalar means: null, boolean, number (integral ones as int), or the text itself.

    Raises ValueError for .nan and .inf, which JSON has no word for.
    """
    value = _resolve(text)
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def _resolve(text: str) -> Scalar:
    """Return the same with floats left as floats."""
    if text in WORDS:
        return WORDS[text]
    if NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that a manifest can hold; quote it if it is a text")
    if text[0] not in "+-.0123456789" or len(text) > LONGEST_NUMBER:
        return text
    number = _read_number(text if text[0] == "." else text.replace("_", ""))
    return text if number is None else number


def _read_number(text: str) -> int | float | None:
    for pattern, base in INTEGERS:
        if match := pattern.fullmatch(text):
            return _bounded(int(match[1] + match[2], base))
    number = float(text) if FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None  # out of a float's range: Go keeps the text


def _bounded(number: int) -> int | float:
    """Integers beyond 64 bits are floats at the API server."""
    return number if -(2**63) <= number < 2**63 else float(number)


def _resolve_tagged(tag: str, text: str) -> Scalar:
    """Return what a scalar with an explicit tag means; unknown tags are texts, as for goyaml.v2."""
    kind = tag.removeprefix(TAG_PREFIX)
    if kind == "binary":
        return _decode_binary(text)
    if tag == kind or kind not in {"int", "float", "bool", "null"}:
        return text
    value = _resolve(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits: dict[str, bool] = {
        "int": is_number and isinstance(value, int),
        "float": is_number,
        "bool": isinstance(value, bool),
        "null": value is None,
    }
    if not fits[kind]:
        raise ValueError(f"'{text[:40]}' is not a !!{kind}")
    return resolve_plain(text)


def _decode_binary(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("!!binary holds no base64 of a text") from None


class _Builder:
    """Builds values from parser events, counting depth and what aliases repeat."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}  # value, nodes in it
        self._open: set[str] = set()
        self._nodes = 0
        self._aliased = 0
        self._builders: dict[type, Callable[[Any, int], Any]] = {
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingStartEvent: self._mapping,
        }

    def documents(self) -> list[Any]:
        """Return the value of each document; anchors end with their document."""
        values = []
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version not in (None, (1, 1)):
                    raise YamlError(_line(event), "only YAML 1.1 is read; remove the %YAML line")
                self._anchors = {}
                values.append(self._value(next(self._events), 0))
        return values

    def _value(self, event: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > DEEPEST:
            raise YamlError(_line(event), f"nested more than {DEEPEST} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._nodes
        anchor = event.anchor
        if anchor:
            self._open.add(anchor)
        value = (
            self._scalar(event) if isinstance(event, yaml.ScalarEvent) else self._builders[type(event)](event, depth)
        )
        if anchor:
            self._open.discard(anchor)
            self._anchors[anchor] = (value, self._nodes - before + 1)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor in self._open:
            raise YamlError(_line(event), f"the anchor '{event.anchor}' contains itself")
        if event.anchor not in self._anchors:
            raise YamlError(_line(event), f"there is no anchor '{event.anchor}' above")
        value, nodes = self._anchors[event.anchor]
        self._aliased += nodes
        self._nodes += nodes
        if self._aliased > MOST_ALIASED:
            raise YamlError(
                _line(event), f"aliases repeat more than {MOST_ALIASED} values; write the manifest without them"
            )
        return value

    def _scalar(self, event: Any) -> Scalar:
        try:
            if event.tag is not None:
                return _resolve_tagged(event.tag, event.value)
            return resolve_plain(event.value) if event.implicit[0] else str(event.value)
        except ValueError as error:
            raise YamlError(_line(event), str(error)) from None

    def _sequence(self, _: Any, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, _: Any, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            is_merge = _is_merge(event)
            key = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if is_merge:
                merged |= _merge(value, event, taken={**merged, **own})
                continue
            name = _key(key, event)
            if name in own:
                raise YamlError(_line(event), f"the key '{name[:80]}' is already set in this mapping")
            own[name] = value
        return {**merged, **own}


def _is_merge(event: Any) -> bool:
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == "<<"
        and (event.implicit[0] if event.tag is None else event.tag == f"{TAG_PREFIX}merge")
    )


def _merge(value: Any, event: Any, *, taken: dict[str, Any]) -> dict[str, Any]:
    """Return what << brings in, the first source winning. A key that stands above << is refused: goyaml.v2 would
    overwrite it, against YAML's own rule.
    """
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlError(_line(event), "<< needs a mapping or a list of mappings")
    merged = {name: entry for source in reversed(sources) for name, entry in source.items()}
    twice = sorted(set(merged) & set(taken))
    if twice:
        raise YamlError(_line(event), f"<< would overwrite the key '{twice[0][:80]}'; put << first in its mapping")
    return merged


def _key(key: Any, event: Any) -> str:
    """Write a key as the string that it becomes in JSON."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, int | float):
        return str(key) if isinstance(key, int) else f"{key:.7g}"
    found = "null" if key is None else "a list or a mapping"
    raise YamlError(_line(event), f"a key must be a text; found {found}")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
