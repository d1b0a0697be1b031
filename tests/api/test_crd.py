"""The CRD: structural by Kubernetes' rules, described, bounded, and with the rules that span fields."""

import json
import re

import pytest
import yaml

from selection_api.crd import make_crd, make_schema
from selection_api.names import PLURAL
from selection_api.schema import manifest_schema

CRD = make_crd()
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

WORDS = {
    *("type", "format", "description", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("required", "properties", "items", "additionalProperties", "x-kubernetes-preserve-unknown-fields"),
    *("x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    "x-kubernetes-validations",
}
TYPES = {"string", "integer", "number", "boolean", "array", "object"}


def nodes(node, path="root"):
    yield path, node
    for key, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{key}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


NODES = list(nodes(SCHEMA))
everywhere = pytest.mark.parametrize(("path", "node"), NODES, ids=[path for path, _ in NODES])


def is_untyped(node):
    keeps = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    return bool(keeps) and "type" not in node


def has_foreign_size(node):
    """minLength belongs to strings, minItems to arrays, minProperties to objects."""
    owners = {"Length": "string", "Items": "array", "Properties": "object"}
    return any(owners[word[3:]] != node.get("type") for word in node if word[3:] in owners)


RULES = {
    "unknown word": lambda node: set(node) - WORDS,
    "no type": lambda node: node.get("type") not in TYPES and not is_untyped(node),
    "properties beside additionalProperties": lambda node: {"properties", "additionalProperties"} <= set(node),
    "properties of no object": lambda node: (
        {"properties", "additionalProperties"} & set(node) and node.get("type") != "object"
    ),
    "array without items": lambda node: node.get("type") == "array" and "items" not in node,
    "exclusiveMinimum that is no boolean": lambda node: not isinstance(node.get("exclusiveMinimum", True), bool),
    "required without property": lambda node: set(node.get("required", [])) - set(node.get("properties", {})),
    "size of another type": has_foreign_size,
}


def violations(node):
    """Return the rules of a structural schema that a node breaks."""
    return [name for name, is_broken in RULES.items() if is_broken(node)]


def test_checker_finds_what_pydantic_emits():
    """The checker itself can fail: pydantic's own schema of the model breaks these rules."""
    raw = manifest_schema()["properties"]["spec"]
    broken = {rule for _, node in nodes(raw) for rule in violations(node)}
    assert {"unknown word", "no type", "exclusiveMinimum that is no boolean"} <= broken


@everywhere
def test_node_is_structural(path, node):
    assert violations(node) == []


@everywhere
def test_field_is_described(path, node):
    if path.endswith(("[]", "{}")) or path == "root.metadata":
        return  # an entry is described by its list
    assert len(node["description"]) > 5
    assert node["description"].rstrip().endswith((".", ")"))


@everywhere
def test_collections_are_bounded_and_lists_typed(path, node):
    if node.get("type") == "array":
        assert node["maxItems"] <= 1024
        assert node["x-kubernetes-list-type"] in {"atomic", "map", "set"}
    if "additionalProperties" in node:
        assert node["maxProperties"] <= 1024
    if node.get("type") == "string" and not {"root.apiVersion", "root.kind"} & {path}:
        assert "maxLength" in node or "enum" in node


@everywhere
def test_spec_keeps_unknown_fields_at_every_depth(path, node):
    if "properties" in node and path.startswith("root.spec"):
        assert node["x-kubernetes-preserve-unknown-fields"] is True
    if path.startswith("root.status") or path == "root":
        assert "x-kubernetes-preserve-unknown-fields" not in node


@everywhere
def test_only_the_status_has_a_default(path, node):
    """A default in the spec would be written into every stored run: GitOps drift, and nothing left to call unset."""
    assert ("default" in node) == (path == "root.status")


@everywhere
def test_pattern_is_one_that_go_understands(path, node):
    if "pattern" in node:
        assert not re.search(r"\(\?[=!<]|\\[0-9]", node["pattern"])


def test_n_samples_has_no_type():
    condition = SCHEMA["properties"]["spec"]["properties"]["workerConfig"]["properties"]["stopping_condition"]
    n_samples = condition["properties"]["n_samples"]
    assert "type" not in n_samples
    assert n_samples["x-kubernetes-preserve-unknown-fields"] is True


def test_status_starts_unobserved():
    assert SCHEMA["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_conditions_are_a_map_by_type():
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert set(conditions["items"]["required"]) == {"type", "status", "reason", "message", "lastTransitionTime"}


def test_every_field_of_the_spec_is_frozen_but_two():
    (rule,) = [rule["rule"] for rule in SCHEMA["x-kubernetes-validations"] if "oldSelf" in rule["rule"]]
    frozen = set(re.findall(r"has\(self\.spec\.(\w+)\) ==", rule))
    assert set(SCHEMA["properties"]["spec"]["properties"]) - frozen == {"suspend", "ttlSecondsAfterFinished"}


def test_rules_name_only_fields_that_exist():
    spec = SCHEMA["properties"]["spec"]["properties"]
    for purpose in ("input", "lightly"):
        datasource = spec["datasources"]["properties"][purpose]
        named = {
            field
            for rule in datasource["x-kubernetes-validations"]
            for field in re.findall(r"self\.(\w+)", rule["rule"])
        }
        assert named <= set(datasource["properties"])


def test_messages_of_rules_are_sentences_for_people():
    rules = [rule for _, node in NODES for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) > 20
    assert all(len(rule["message"]) > 15 for rule in rules)


def test_names_and_columns():
    assert CRD["metadata"]["name"] == f"{PLURAL}.dataselection.io"
    assert CRD["spec"]["names"]["shortNames"] == ["selrun"]
    columns = CRD["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == ["Phase", "Stage", "Percent", "Selected", "Reason", "Age"]
    assert [column.get("priority", 0) for column in columns] == [0, 0, 0, 0, 1, 0]


def test_crd_fits_client_side_apply():
    assert len(yaml.safe_dump(CRD).encode()) < 100_000
    assert len(json.dumps(CRD).encode()) < 100_000


def test_each_call_makes_a_schema_of_its_own():
    first = make_schema()
    first["properties"]["spec"].clear()
    assert make_schema()["properties"]["spec"]["properties"]
