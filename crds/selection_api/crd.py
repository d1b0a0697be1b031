"""The CustomResourceDefinition, made from the model: a structural schema, rules in CEL, printer columns."""

from typing import Any

from selection_api.names import API_VERSION, GROUP, KIND, LONGEST_NAME, PLURAL, SHORT_NAME, VERSION
from selection_api.rules import NEEDED_FIELDS, POSSIBLE_FIELDS
from selection_api.schema import Node, describe_default, described_schema

LONGEST_STRING = 4096
LONGEST_LIST = 1024
MOST_PROPERTIES = 1024
THAWED = ("suspend", "ttlSecondsAfterFinished")
"""Fields of the spec that may change once the run has its Job."""

KEPT = (
    *("type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "required"),
    *("x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
)
"""Words of the models' schema that a structural schema has too, with the same meaning."""

TRANSLATED = (
    *("const", "exclusiveMinimum", "properties", "items", "additionalProperties", "description", "default"),
    *("x-untyped", "x-open", "x-default", "x-type", "x-range", "title", "propertyNames"),
)
"""Words that become something else, or are for people."""


def make_crd() -> Node:
    """Return the whole CustomResourceDefinition as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _printer_columns(),
                    "schema": {"openAPIV3Schema": make_schema()},
                }
            ],
        },
    }


def make_schema() -> Node:
    """Return the structural schema of a SelectionRun."""
    model = described_schema()["properties"]
    spec = to_structural(model["spec"], keep_unknown=True)
    spec["x-kubernetes-validations"] = [_rule_of_selection()]
    for datasource in spec["properties"]["datasources"]["properties"].values():
        datasource["x-kubernetes-validations"] = _rules_of_datasource()
    status = to_structural(model["status"], keep_unknown=False)
    return {
        "type": "object",
        "description": "One run: trains or loads an embedding model, embeds images, selects the ones worth labelling.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**status, "default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": [_rule_of_name(), _rule_of_freeze(list(spec["properties"]))],
    }


def to_structural(node: Node, *, keep_unknown: bool) -> Node:
    """Turn a node of the models' schema into a structural one; keep_unknown keeps unknown keys of its objects."""
    unknown = set(node) - {*KEPT, *TRANSLATED}
    if unknown:
        raise ValueError(f"no translation to a structural schema for {sorted(unknown)}")
    made: Node = {key: node[key] for key in KEPT if key in node}
    description = _describe(node)
    if description:
        made["description"] = description
    if "const" in node:
        made["enum"] = [node["const"]]
    if "exclusiveMinimum" in node:
        made |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if node.get("x-untyped") or node.get("x-open"):
        return made | {"x-kubernetes-preserve-unknown-fields": True}
    additions: Node = _ADDITIONS.get(node.get("type", ""), _nothing)(node, keep_unknown)
    return made | additions


def _nothing(_: Node, __: bool) -> Node:
    return {}


def _of_string(node: Node, _: bool) -> Node:
    return {} if "maxLength" in node or "enum" in node or "const" in node else {"maxLength": LONGEST_STRING}


def _of_integer(_: Node, __: bool) -> Node:
    return {"format": "int64"}


def _of_array(node: Node, keep_unknown: bool) -> Node:
    return {
        "maxItems": node.get("maxItems", LONGEST_LIST),
        "x-kubernetes-list-type": node.get("x-kubernetes-list-type", "atomic"),
        "items": to_structural(node["items"], keep_unknown=keep_unknown),
    }


def _of_object(node: Node, keep_unknown: bool) -> Node:
    if "properties" not in node:
        values = to_structural(node["additionalProperties"], keep_unknown=keep_unknown)
        return {"maxProperties": node.get("maxProperties", MOST_PROPERTIES), "additionalProperties": values}
    children = {key: to_structural(child, keep_unknown=keep_unknown) for key, child in node["properties"].items()}
    return {"properties": children, **({"x-kubernetes-preserve-unknown-fields": True} if keep_unknown else {})}


_ADDITIONS: dict[str, Any] = {
    "string": _of_string,
    "integer": _of_integer,
    "array": _of_array,
    "object": _of_object,
}


def _describe(node: Node) -> str:
    text = " ".join(str(node.get("description", "")).split())
    default = describe_default(node)
    return f"{text} Default: {default}." if text and default else text


def _rule_of_name() -> Node:
    return {
        "rule": f"self.metadata.name.size() <= {LONGEST_NAME} && !self.metadata.name.contains('.')",
        "message": f"metadata.name must be at most {LONGEST_NAME} characters without '.', so that the Job's name fits",
        "fieldPath": ".metadata",
    }


def _rule_of_freeze(fields: list[str]) -> Node:
    """Return the rule that compares field by field; optional syntax (.?) would lose the sizes that bound its cost."""
    pairs = [(f"self.spec.{field}", f"oldSelf.spec.{field}") for field in fields if field not in THAWED]
    same = " && ".join(f"has({new}) == has({old}) && (!has({new}) || {new} == {old})" for new, old in pairs)
    return {
        "rule": f"!has(oldSelf.status) || !has(oldSelf.status.job) || ({same})",
        "message": "the spec is frozen once the run has its Job: only suspend and ttlSecondsAfterFinished may change. "
        "Delete the run, or apply the manifest under another name",
        "fieldPath": ".spec",
    }


def _rule_of_selection() -> Node:
    legacy = " || ".join(
        f"has(self.workerConfig.{key})" for key in ("method", "stopping_condition", "scorer", "active_learning")
    )
    return {
        "rule": f"!has(self.selectionConfig) || !has(self.workerConfig) || !({legacy})",
        "message": "selectionConfig excludes workerConfig's method, stopping_condition, scorer and active_learning",
    }


def _rules_of_datasource() -> list[Node]:
    rules = []
    for kind, needed in NEEDED_FIELDS.items():
        present = " && ".join(f"has(self.{field})" for field in sorted(needed))
        names = " and ".join(sorted(needed))
        rules.append({"rule": f"self.type != '{kind}' || ({present})", "message": f"type {kind} needs {names}"})
        others = {field for other in NEEDED_FIELDS for field in NEEDED_FIELDS[other] | POSSIBLE_FIELDS[other]}
        foreign = sorted(others - needed - POSSIBLE_FIELDS[kind])
        absent = " && ".join(f"!has(self.{field})" for field in foreign)
        message = f"type {kind} has no {', '.join(foreign)}"
        rules.append({"rule": f"self.type != '{kind}' || ({absent})", "message": message})
    for kind, start in {"S3": "s3://", "GCS": "gs://", "LOCAL": "/"}.items():
        rule = f"self.type != '{kind}' || !has(self.resourcePath) || self.resourcePath.startsWith('{start}')"
        rules.append({"rule": rule, "message": f"resourcePath of type {kind} starts with {start}"})
    return rules


def _printer_columns() -> list[Node]:
    return [
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Stage", "type": "string", "jsonPath": ".status.stage"},
        {"name": "Percent", "type": "integer", "jsonPath": ".status.progress.percent"},
        {"name": "Selected", "type": "integer", "jsonPath": ".status.counts.selected"},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
            "priority": 1,
        },
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
