"""The CRD: structural by Kubernetes' rules, described, bounded, and with the rules that span fields."""

import json
import math
import re

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


NODES = dict(nodes(SCHEMA))


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


def test_every_node_is_structural():
    assert {path: broken for path, node in NODES.items() if (broken := violations(node))} == {}


def is_described(node):
    text = node.get("description", "").rstrip()
    return len(text) > 5 and text.endswith((".", ")"))


def test_every_field_is_described():
    """But for an entry, which is described by its list, and metadata, which Kubernetes describes."""
    fields = {path: node for path, node in NODES.items() if not path.endswith(("[]", "{}", "root.metadata"))}
    assert len(fields) > 200
    assert [path for path, node in fields.items() if not is_described(node)] == []


def test_every_collection_is_bounded_and_every_list_typed():
    lists = {path: node for path, node in NODES.items() if node.get("type") == "array"}
    maps = {path: node for path, node in NODES.items() if "additionalProperties" in node}
    assert lists
    assert maps
    assert [path for path, node in (lists | maps).items() if bound_of(node) > 1024] == []
    kinds = {"atomic", "map", "set"}
    assert [path for path, node in lists.items() if node.get("x-kubernetes-list-type") not in kinds] == []


def bound_of(node):
    """Return how many entries a list or a map may have."""
    return node.get("maxItems" if node["type"] == "array" else "maxProperties", math.inf)


def test_every_text_is_bounded():
    texts = {path: node for path, node in NODES.items() if node.get("type") == "string"}
    unbounded = {path for path, node in texts.items() if not {"maxLength", "enum"} & set(node)}
    assert unbounded <= {"root.apiVersion", "root.kind"}
    assert len(texts) > 50


def test_the_spec_keeps_unknown_fields_at_every_depth_and_the_status_none():
    keep = {path for path, node in NODES.items() if node.get("x-kubernetes-preserve-unknown-fields") is True}
    of_spec = {path for path, node in NODES.items() if path.startswith("root.spec") and "properties" in node}
    assert len(of_spec) > 20
    assert of_spec - keep == set()
    named = [path for path, node in NODES.items() if "x-kubernetes-preserve-unknown-fields" in node]
    assert [path for path in named if path == "root" or path.startswith("root.status")] == []


def test_only_the_status_has_a_default():
    """A default in the spec would be written into every stored run: GitOps drift, and nothing left to call unset."""
    assert [path for path, node in NODES.items() if "default" in node] == ["root.status"]


def test_every_pattern_is_one_that_go_understands():
    patterns = {path: node["pattern"] for path, node in NODES.items() if "pattern" in node}
    assert len(patterns) > 10
    assert [path for path, pattern in patterns.items() if re.search(r"\(\?[=!<]|\\[0-9]", pattern)] == []


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


def test_what_breaks_a_rule_of_the_whole_object_is_shown_where_it_stands():
    """Without a fieldPath the API server says `<nil>: Invalid value`; it takes paths of the schema only."""
    paths = [rule["fieldPath"] for rule in SCHEMA["x-kubernetes-validations"]]
    assert sorted(paths) == [".metadata", ".spec"]
    assert {path.removeprefix(".") for path in paths} <= set(SCHEMA["properties"])


def test_messages_of_rules_are_sentences_for_people():
    rules = [rule for node in NODES.values() for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) > 20
    assert all(len(rule["message"]) > 15 for rule in rules)


def test_names_and_columns():
    assert CRD["metadata"]["name"] == f"{PLURAL}.dataselection.io"
    assert CRD["spec"]["names"]["shortNames"] == ["selrun"]
    columns = CRD["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == ["Phase", "Stage", "Percent", "Selected", "Reason", "Age"]
    assert [column.get("priority", 0) for column in columns] == [0, 0, 0, 0, 1, 0]


def test_crd_fits_client_side_apply():
    """`kubectl apply` puts the whole manifest into an annotation; all annotations of an object take 262,144 bytes."""
    assert len(yaml.safe_dump(CRD).encode()) < 120_000
    assert len(json.dumps(CRD).encode()) < 120_000


def test_each_call_makes_a_schema_of_its_own():
    first = make_schema()
    first["properties"]["spec"].clear()
    assert make_schema()["properties"]["spec"]["properties"]
