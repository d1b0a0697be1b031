"""From a decoded document to a SelectionRun, with every problem in one error."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from selection_api.messages import Error, location_of, problem_of
from selection_api.names import API_VERSION, KIND
from selection_api.problems import Finding, Location, ManifestError, Problem, describe_value, render_path
from selection_api.selection_run import BROKEN_RULES, SelectionRun

DEEPEST = 64
PLACEHOLDERS: dict[Location, object] = {
    ("apiVersion",): API_VERSION,
    ("kind",): KIND,
    ("metadata",): {"name": "placeholder"},
    ("metadata", "name"): "placeholder",
    ("spec", "datasources", "input", "type"): "LOCAL",
    ("spec", "datasources", "lightly", "type"): "LOCAL",
}
"""Values that stand in for wrong ones, so that the rules between the other fields can be checked all the same."""


def parse_manifest(document: object) -> SelectionRun:
    """Validate a decoded manifest (JSON or YAML) and return the run.

    Raises ManifestError with all problems: of single fields, and of the rules between the fields that are right.
    Options that this version can't carry out are the matter of check_supported.
    """
    if not isinstance(document, Mapping):
        raise ManifestError(
            [
                Problem(
                    "", f"expected a mapping with apiVersion, kind, metadata and spec; found {describe_value(document)}"
                )
            ]
        )
    if _is_deeper(document, DEEPEST):
        raise ManifestError([Problem("", f"is nested more than {DEEPEST} levels deep")])
    try:
        return _validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    raise ManifestError(_collect(document, errors))


def _validate(document: object) -> SelectionRun:
    return SelectionRun.model_validate(document, by_alias=True, by_name=False)


def _collect(document: object, errors: list[Any]) -> Iterable[Problem]:
    """Return the problems of the fields, then those of the rules between the other fields."""
    of_rules = [error for error in errors if error["type"] == BROKEN_RULES]
    of_fields = [error for error in errors if error["type"] != BROKEN_RULES]
    wrong = [location_of(error) for error in of_fields]
    findings = _findings(of_rules) if of_rules else _findings_of_the_rest(document, wrong)
    kept = [finding for finding in findings if not _is_consequence(finding, wrong)]
    problems = [problem_of(error) for error in of_fields]
    problems += [Problem(render_path(finding.location), finding.message) for finding in kept]
    return list(dict.fromkeys(problems))


def _findings(errors: list[Error]) -> list[Finding]:
    return [finding for error in errors for finding in error["ctx"]["findings"]]


def _findings_of_the_rest(document: object, wrong: list[Location]) -> list[Finding]:
    """Check the rules on the document without its wrong fields; nothing when a needed field is among them."""
    rest = document
    for location in map(_to_key, wrong):
        rest = _without(rest, location, PLACEHOLDERS.get(location))
    try:
        _validate(rest)
    except ValidationError as error:
        of_rules: list[Any] = [e for e in error.errors(include_url=False) if e["type"] == BROKEN_RULES]
        return _findings(of_rules)
    return []


def _to_key(location: Location) -> Location:
    """Return the location, or for an entry of a list the list's: a list can't lose an entry and keep its indices."""
    while location and isinstance(location[-1], int):
        location = location[:-1]
    return location


def _without(value: Any, location: Location, substitute: object) -> Any:
    """Return a copy without the field at a location, or with a substitute in its place."""
    if not location:
        return substitute
    head, *rest = location
    if isinstance(value, Mapping):
        if not rest and substitute is None:
            return {key: child for key, child in value.items() if key != head}
        if head not in value:
            return {**value, head: substitute} if not rest else dict(value)
        return {**value, head: _without(value[head], tuple(rest), substitute)}
    if isinstance(value, list) and isinstance(head, int) and head < len(value):
        return [_without(child, tuple(rest), substitute) if i == head else child for i, child in enumerate(value)]
    return value


def _is_consequence(finding: Finding, wrong: list[Location]) -> bool:
    """Say whether a rule may be broken only because a field it reads is wrong in itself."""
    read = (finding.location, *finding.depends_on)
    return any(bad[: len(place)] == place or place[: len(bad)] == bad for place in read for bad in wrong)


def _is_deeper(value: object, levels: int) -> bool:
    if levels == 0:
        return True
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(_is_deeper(child, levels - 1) for child in children if isinstance(child, Mapping | list | tuple))
