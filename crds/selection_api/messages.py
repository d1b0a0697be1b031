"""pydantic's errors in words for the people who write manifests: what was found, what was expected."""

from collections.abc import Callable
from typing import Any

from selection_api.model import PATTERN_WORDS
from selection_api.problems import Location, Problem, describe_value, quote, render_path
from selection_api.schema import Node, describe_range, node_at
from selection_api.unknown_keys import explain_unknown_key, nearest

Error = dict[str, Any]
"""One of ValidationError.errors()."""

KEY_MARK = "[key]"
"""How pydantic ends the location of an error that is about a mapping's key."""

EXPECTED_TYPES = {
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def problem_of(error: Error) -> Problem:
    """Turn one of pydantic's errors into a problem."""
    location = location_of(error)
    path = render_path(location)
    if KEY_MARK in error["loc"]:
        return Problem(path, f"as a key, {_explain_pattern(error, {})}")
    return Problem(path, _explain(error, location))


def location_of(error: Error) -> Location:
    """Return where in the manifest an error lies."""
    return tuple(part for part in error["loc"] if part != KEY_MARK)


def _explain(error: Error, location: Location) -> str:
    kind = error["type"]
    node = node_at(location) or {}
    if kind == "extra_forbidden":
        return explain_unknown_key(location)
    if kind in EXPECTED_TYPES:
        return _explain_type(error, node)
    explain = EXPLANATIONS.get(kind)
    return explain(error, node) if explain else f"{error['msg']}; found {describe_value(error['input'])}"


def _explain_type(error: Error, node: Node) -> str:
    expected, value = EXPECTED_TYPES[error["type"]], error["input"]
    span = describe_range(node)
    found = f"expected {expected}{f' ({span})' if span else ''}; found {describe_value(value)}"
    return f"{found} (remove the quotes)" if _looks_quoted(error["type"], value) else found


def _looks_quoted(kind: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if kind == "bool_type":
        return value.lower() in {"true", "false"}
    return kind in {"int_type", "float_type"} and value.lstrip("-").replace(".", "", 1).isdigit()


def _explain_range(error: Error, node: Node) -> str:
    limits = {"greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}", "greater_than": "above {gt}"}
    expected = describe_range(node) or limits.get(error["type"], "another value").format(**error["ctx"])
    noun = "an integer" if node.get("type") == "integer" else "a number"
    return f"expected {noun} {expected}; found {describe_value(error['input'])}"


def _explain_multiple(error: Error, _: Node) -> str:
    step = error["ctx"]["multiple_of"]
    expected = "an even number" if step == 2 else f"a multiple of {step}"
    return f"expected {expected}; found {describe_value(error['input'])}"


def _explain_choice(error: Error, node: Node) -> str:
    value = error["input"]
    choices = [str(choice) for choice in node.get("enum", [node.get("const", "")])]
    if len(choices) == 1:
        return f"expected {quote(choices[0])}; found {describe_value(value)}"
    message = f"expected {describe_range(node)}; found {describe_value(value)}"
    near = nearest(value, choices) if isinstance(value, str) else None
    return message if near is None else f"{message}. Did you mean {quote(near)}?"


def _explain_pattern(error: Error, _: Node) -> str:
    words = PATTERN_WORDS.get(error.get("ctx", {}).get("pattern", ""), "")
    value = describe_value(error["input"])
    return f"expected {words}; found {value}" if words else f"{error['msg']}; found {value}"


def _explain_length(error: Error, _: Node) -> str:
    limits = error["ctx"]
    bound = f"at least {limits['min_length']}" if "min_length" in limits else f"at most {limits['max_length']}"
    is_text = error["type"].startswith("string")
    actual = len(error["input"])
    return f"expected {bound} {'characters' if is_text else 'entries'}; found {actual}"


EXPLANATIONS: dict[str, Callable[[Error, Node], str]] = {
    "missing": lambda *_: "is required",
    "value_error": lambda error, _: str(error["ctx"]["error"]),
    "greater_than_equal": _explain_range,
    "greater_than": _explain_range,
    "less_than_equal": _explain_range,
    "multiple_of": _explain_multiple,
    "literal_error": _explain_choice,
    "enum": _explain_choice,
    "string_pattern_mismatch": _explain_pattern,
    "string_too_short": _explain_length,
    "string_too_long": _explain_length,
    "too_short": _explain_length,
    "too_long": _explain_length,
    "invalid_key": lambda *_: "expected a key that is a string",
    "int_parsing_size": lambda *_: "expected an integer of a sensible size",
}
