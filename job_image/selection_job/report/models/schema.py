"""The JSON Schema of report.json, made from the models."""

from typing import Any

from selection_job.report.models.report import Report

Node = dict[str, Any]

_MAPPINGS = ("properties", "$defs")


def make_report_schema() -> Node:
    """Return the schema: draft 2020-12, with a definition for each model."""
    schema = _tidy(Report.model_json_schema(by_alias=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "report.json of a selection run",
        **schema,
    }


def _tidy(node: Node) -> Node:
    """Drop pydantic's titles, put each description in one line, and forbid null where a key is absent instead of it."""
    kept = {key: _tidy_word(key, value) for key, value in node.items() if key not in {"title", "default"}}
    if "default" not in node:
        return kept
    (choice,) = [choice for choice in kept.pop("anyOf") if choice != {"type": "null"}]
    return {**choice, **kept}


def _tidy_word(key: str, value: Any) -> Any:
    if key in _MAPPINGS:
        return {name: _tidy(child) for name, child in value.items()}
    if key == "description":
        return " ".join(value.split())
    if key == "anyOf":
        return [_tidy(choice) for choice in value]
    return _tidy(value) if isinstance(value, dict) else value
