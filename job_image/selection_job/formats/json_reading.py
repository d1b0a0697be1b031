"""JSON files of users: decoded with bounds, or the reason why they can't be used."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
"""Objects and arrays inside each other."""

_WORDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
_LONGEST_FOUND = 40
_LONGEST_INTEGER = 300  # digits; float64 ends at 308


class InvalidFile(Exception):
    """A file that can't be used; str() is the reason, without its name."""


def decode_json(content: bytes, *, max_bytes: int) -> Any:
    r"""Return the document: dict, list, str, int, finite float, bool or None.

    Raises InvalidFile, with line and column where JSON is broken: more than max_bytes, empty, not UTF-8, deeper than
    MAX_DEPTH, a key twice in an object, NaN and Infinity, numbers beyond float64, half a character ('\\ud800').
    """
    if len(content) > max_bytes:
        raise InvalidFile(f"is too large: {len(content):,} bytes, the limit is {max_bytes:,}")
    if not content.strip():
        raise InvalidFile("is empty")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(f"is not UTF-8 text (byte {error.start})") from None
    document = _decode(text)
    _check_depth(content, document)
    if "\\u" in text:
        _check_characters(document)
    return document


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidFile(f"is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise InvalidFile(f"has the key {describe(twice)} twice in one object")
    return mapping


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _too_far(text)
    return number


def _bounded(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise _too_far(text)
    return int(text)


def _too_far(text: str) -> InvalidFile:
    return InvalidFile(f"holds {text[:_LONGEST_FOUND]}…, which is beyond the range of numbers")


def _refuse_constant(word: str) -> Any:
    raise InvalidFile(f"holds {word}, which is no number in JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_int=_bounded, parse_constant=_refuse_constant
)


def _check_depth(content: bytes, document: Any) -> None:
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for value in level if isinstance(value, dict | list) for inner in _values(value)]
        if not level:
            return
    raise _too_deep()


def _values(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _too_deep() -> InvalidFile:
    return InvalidFile(f"is nested too deeply: more than {MAX_DEPTH} objects and arrays inside each other")


def _check_characters(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidFile("holds an escape of half a character (a lone surrogate)") from None


def describe(value: Any) -> str:
    """Return what was found, in a few words.

    >>> [describe(value) for value in ("ten", 3.5, True, None, [1], {})]
    ["the string 'ten'", 'the number 3.5', 'true', 'null', 'an array', 'an object']
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return _WORDS[type(value)]
    text = repr(value)
    short = text if len(text) <= _LONGEST_FOUND else f"{text[:_LONGEST_FOUND]}…"
    return f"the {_WORDS[type(value)].split()[1]} {short}"
