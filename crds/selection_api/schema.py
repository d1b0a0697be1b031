"""The models as one plain schema: references inlined, nulls gone. Messages, documentation and the CRD read it."""

from functools import cache
from typing import Any

from selection_api.descriptions import add_descriptions
from selection_api.model import LARGEST_INT32
from selection_api.problems import Location
from selection_api.selection_run import SelectionRun

Node = dict[str, Any]
"""A JSON schema. Own keys beside the standard ones: x-untyped (any type, the model checks), x-open (any keys),
x-type, x-range, x-default (words for people)."""


@cache
def manifest_schema() -> Node:
    """Return the schema of a whole manifest, without references. Shared: not to be changed."""
    return _write_out(SelectionRun.model_json_schema(by_alias=True))


@cache
def described_schema() -> Node:
    """Return the same with the description of each field, for the CRD and the documentation."""
    schema = SelectionRun.model_json_schema(by_alias=True)
    return _write_out(add_descriptions(schema, SelectionRun))


def _write_out(schema: Node) -> Node:
    root: Node = _inline(schema, schema.get("$defs", {}))
    root.pop("$defs", None)
    return root


def node_at(location: Location) -> Node | None:
    """Return the schema of the field at a location; None where the models know of none."""
    node: Node | None = manifest_schema()
    for part in location:
        if node is None:
            return None
        node = _child(node, part)
    return node


def known_keys(location: Location) -> list[str]:
    """Return the keys that the mapping at a location may have."""
    node = node_at(location) or {}
    return list(node.get("properties", {}))


def describe_range(node: Node) -> str:
    """Say which values a field takes: 'from 0 to 1', 'one of a, b'; '' for any of its type."""
    if "x-range" in node:
        return str(node["x-range"])
    if "enum" in node:
        return "one of " + ", ".join(_word(choice) for choice in node["enum"])
    words = _describe_bounds(node)
    if "multipleOf" in node:
        words = f"a multiple of {node['multipleOf']}, {words}" if words else f"a multiple of {node['multipleOf']}"
    return words


def _describe_bounds(node: Node) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high = node.get("maximum")
    if isinstance(high, int) and high in (LARGEST_INT32, 2**53):
        high = None  # the limit of the type, not of the field
    if above is not None:
        return f"above {above}" + (f" and up to {high}" if high is not None else "")
    if low is not None and high is not None:
        return f"from {_word(low)} to {_word(high)}"
    if low is not None:
        return f"at least {_word(low)}"
    return f"at most {_word(high)}" if high is not None else ""


def _word(choice: object) -> str:
    return "''" if choice == "" else f"{choice:g}" if isinstance(choice, float) else str(choice)


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(part, int):
        return node.get("items")
    if part in node.get("properties", {}):
        return node["properties"][part]  # type: ignore[no-any-return]
    more = node.get("additionalProperties")
    return more if isinstance(more, dict) else None


def _inline(node: Node, definitions: Node) -> Node:
    """Return the node with the definitions it refers to written out; a field's own words win."""
    merged: Node = {}
    if "$ref" in node:
        merged = _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    own = {key: _inline_word(key, value, definitions) for key, value in node.items() if key not in {"$ref", "$defs"}}
    return _plain_values(_without_null(_renamed({**merged, **own})))


def _inline_word(key: str, value: Any, definitions: Node) -> Any:
    if key in {"properties", "patternProperties"}:
        return {name: _inline(child, definitions) for name, child in value.items()}
    if key in {"items", "additionalProperties", "propertyNames"} and isinstance(value, dict):
        return _inline(value, definitions)
    return [_inline(choice, definitions) for choice in value] if key == "anyOf" else value


def _renamed(node: Node) -> Node:
    """Give bounds their names in JSON schema: pydantic keeps its own where a validator runs before the bound."""
    size = {"array": "Items", "object": "Properties"}.get(node.get("type", ""), "Length")
    names = {
        "ge": "minimum",
        "le": "maximum",
        "gt": "exclusiveMinimum",
        "multiple_of": "multipleOf",
        "min_length": f"min{size}",
        "max_length": f"max{size}",
    }
    return {names.get(key, key): value for key, value in node.items()}


def _plain_values(node: Node) -> Node:
    """Turn a mapping whose keys follow a pattern into one with any keys: the models check keys, Kubernetes can't."""
    patterns = node.get("patternProperties")
    if patterns is None:
        return node
    rest = {key: value for key, value in node.items() if key not in {"patternProperties", "propertyNames"}}
    return {**rest, "additionalProperties": next(iter(patterns.values()))}


def _without_null(node: Node) -> Node:
    """Turn 'X or null' into X: null equals absent."""
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**choices[0], **rest}


def describe_default(node: Node) -> str:
    """Say what a field is when it is absent; '' when it is required or simply not there."""
    if "x-default" in node:
        return str(node["x-default"])
    default = node.get("default")
    if default is None or isinstance(default, dict) or default in ([], ()):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return "[" + ", ".join(_word(entry) for entry in default) + "]"
    return _word(default)
