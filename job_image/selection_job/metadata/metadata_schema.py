"""The schema of custom metadata: which values there are, where they stand in a file, and of what type they are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from selection_job.catalog.image_names import quote_some
from selection_job.formats.json_reading import InvalidFile, describe

MOST_ENTRIES = 1000
LONGEST_WORD = 253
"""Characters of a category: what strategy.target can name."""

RESERVED = "lightly"
"""Where computed metadata would stand in a file."""

Value = float | str | None
"""A number, a word, or nothing."""

_PART = re.compile(r"([^.\[\]]+)((?:\[\d{1,6}\])*)")
_MISSING = object()


@dataclass(frozen=True)
class DataType:
    """How a value of a file becomes a number or a word."""

    name: str
    expected: str  # in messages
    is_number: bool
    convert: Callable[[Any], Value]  # None for a value of another type
    is_usable: bool = True  # False: a strategy can't look at it


@dataclass(frozen=True)
class SchemaEntry:
    """One value of metadata."""

    path: str
    """As selectionConfig names it: weather.temperature, or sensors[0].gain."""
    steps: tuple[str | int, ...]
    type: DataType
    default: Value
    """Of images without the value; None where the schema gives none."""


def parse_schema(document: Any) -> tuple[SchemaEntry, ...]:
    """Return the entries of a schema.json.

    Raises InvalidFile, naming the entry: where it is no list of objects, a key is missing or of a wrong type, two
    entries have one path, or a path begins with the reserved key.
    """
    if not isinstance(document, list):
        raise InvalidFile(f"holds {describe(document)}, expected a list of objects with name, path and valueDataType")
    if len(document) > MOST_ENTRIES:
        raise InvalidFile(f"has {len(document):,} entries, the limit is {MOST_ENTRIES:,}")
    entries = tuple(_parse_entry(given, f"[{i}]") for i, given in enumerate(document))
    paths = [entry.path for entry in entries]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise InvalidFile(f"has the path {quote_some(twice)} more than once; each value has one entry")
    return entries


def _parse_entry(given: Any, at: str) -> SchemaEntry:
    if not isinstance(given, dict):
        raise InvalidFile(f"{at}: found {describe(given)}, expected an object with path and valueDataType")
    for key in ("name", "path", "valueDataType"):
        value = given.get(key, given.get("path", _MISSING) if key == "name" else _MISSING)
        if not isinstance(value, str) or not value:
            found = "nothing" if value is _MISSING else describe(value)
            raise InvalidFile(f"{at}.{key}: found {found}, expected a string")
    data_type = DATA_TYPES.get(given["valueDataType"])
    if data_type is None:
        known = ", ".join(DATA_TYPES)
        raise InvalidFile(f"{at}.valueDataType: found {describe(given['valueDataType'])}, expected one of {known}")
    default = _parse_default(given.get("defaultValue"), data_type, f"{at}.defaultValue")
    return SchemaEntry(given["path"], _parse_path(given["path"], f"{at}.path"), data_type, default)


def _parse_path(path: str, at: str) -> tuple[str | int, ...]:
    """Return keys of objects and places in lists.

    >>> _parse_path("sensors[0].gain", "")
    ('sensors', 0, 'gain')
    """
    steps: list[str | int] = []
    for part in path.split("."):
        found = _PART.fullmatch(part)
        if found is None:
            raise InvalidFile(f"{at}: found {describe(path)}, expected keys joined by dots, such as weather.wind[0]")
        steps += [found[1], *(int(place) for place in re.findall(r"\d+", found[2]))]
    if steps[0] == RESERVED:
        raise InvalidFile(f"{at}: found {describe(path)}; {RESERVED} is reserved for what is computed from the images")
    return tuple(steps)


def _parse_default(default: Any, data_type: DataType, at: str) -> Value:
    if default is None:
        return None
    value = _to_any_word(default) if not data_type.is_number else data_type.convert(default)
    if value is None:
        expected = data_type.expected if data_type.is_number else "a string, a number, true or false"
        raise InvalidFile(f"{at}: found {describe(default)}, expected {expected} ({data_type.name})")
    return value


def find_value(entry: SchemaEntry, metadata: Mapping[str, Any]) -> Value:
    """Return the entry's value in a file's metadata, its default where there is none (also for null).

    Raises InvalidFile, naming the path, what was found and what was expected, for a value of another type.
    """
    value: Any = metadata
    for i, step in enumerate(entry.steps):
        value = _take_step(value, step, entry, i)
        if value is None:
            return entry.default
    converted = entry.type.convert(value)
    if converted is None:
        raise InvalidFile(f"{entry.path}: found {describe(value)}, expected {entry.type.expected} ({entry.type.name})")
    return converted


def _take_step(value: Any, step: str | int, entry: SchemaEntry, i: int) -> Any:
    if isinstance(step, str) and isinstance(value, dict):
        return value.get(step)
    if isinstance(step, int) and isinstance(value, list):
        return value[step] if step < len(value) else None
    expected = "an object" if isinstance(step, str) else "an array"
    raise InvalidFile(f"{entry.path}: found {describe(value)} at {_join(entry.steps[:i])}, expected {expected}")


def _join(steps: tuple[str | int, ...]) -> str:
    """Return steps as a path.

    >>> _join(("sensors", 0, "gain"))
    'sensors[0].gain'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and float(value).is_integer()


def _to_integer(value: Any) -> Value:
    return float(value) if _is_integer(value) else None


def _to_number(value: Any) -> Value:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _to_integer_word(value: Any) -> Value:
    return str(int(value)) if _is_integer(value) else None


def _to_number_word(value: Any) -> Value:
    return None if _to_number(value) is None else _to_integer_word(value) or repr(value)


def _to_boolean_word(value: Any) -> Value:
    return ("true" if value else "false") if isinstance(value, bool) else None


def _to_word(value: Any) -> Value:
    return value if isinstance(value, str) and len(value) <= LONGEST_WORD else None


def _to_text(value: Any) -> Value:
    return value if isinstance(value, str) else None


def _to_any_word(value: Any) -> Value:
    return _to_word(value) if isinstance(value, str) else _to_boolean_word(value) or _to_number_word(value)


_WORD = f"a string of at most {LONGEST_WORD} characters"
DATA_TYPES = {
    data_type.name: data_type
    for data_type in (
        DataType("NUMERIC_INT", "a whole number", True, _to_integer),
        DataType("NUMERIC_FLOAT", "a number", True, _to_number),
        DataType("CATEGORICAL_INT", "a whole number", False, _to_integer_word),
        DataType("CATEGORICAL_STRING", _WORD, False, _to_word),
        DataType("CATEGORICAL_BOOLEAN", "true or false", False, _to_boolean_word),
        DataType("CATEGORICAL_DATETIME", _WORD, False, _to_word),
        DataType("CATEGORICAL_TIMESTAMP", "a number", False, _to_number_word),
        DataType("OTHER_STRING", "a string", False, _to_text, is_usable=False),
    )
}
"""By name, as valueDataType gives it."""
