"""From a decoded document to a SelectionRun, with every problem in one error."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from selection_api.messages import Error, location_of, problem_of
from selection_api.problems import (
    MOST_TOLD,
    Finding,
    Location,
    ManifestError,
    Problem,
    describe_value,
    render_path,
)
from selection_api.rules import find_broken_rules
from selection_api.selection_run import BROKEN_RULES, SelectionRun
from selection_api.spec import SelectionRunSpec
from selection_api.unsupported import unsupported_options

DEEPEST = 64

_FOLDER = {"type": "LOCAL", "resourcePath": "/placeholder/"}
_STRATEGIES: Location = ("spec", "selectionConfig", "strategies", 0)
_PLACEHOLDERS: dict[Location, object] = {
    ("spec", "datasources"): {"input": _FOLDER, "lightly": _FOLDER},
    ("spec", "datasources", "input"): _FOLDER,
    ("spec", "datasources", "lightly"): _FOLDER,
    ("spec", "datasources", "input", "type"): "LOCAL",
    ("spec", "datasources", "lightly", "type"): "LOCAL",
    _STRATEGIES: {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
    (*_STRATEGIES, "input"): {"type": "EMBEDDINGS"},
    (*_STRATEGIES, "input", "type"): "EMBEDDINGS",
    (*_STRATEGIES, "strategy"): {"type": "DIVERSITY"},
    (*_STRATEGIES, "strategy", "type"): "DIVERSITY",
}
"""Values that stand in for wrong ones that can't be left out, so that the rules between the other fields can be checked
all the same. 0 stands for any entry of a list."""


def parse_manifest(document: object) -> SelectionRun:
    """Validate a decoded manifest (JSON or YAML) and return the run.

    Raises ManifestError with all problems: of single fields, and of the rules between the fields that are right.
    Options that this version can't carry out are the matter of check_supported; beside other problems they are told
    here, in one go. Where more than MOST_TOLD fields are wrong, those beyond are counted and rules are not looked at.
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
        errors: list[Any] = [*error.errors(include_url=False)]
    of_fields = [error for error in errors if error["type"] != BROKEN_RULES and not _counts_right_entries(error)]
    if len(of_fields) > MOST_TOLD:
        raise ManifestError(map(problem_of, of_fields[:MOST_TOLD]), len(of_fields) - MOST_TOLD)
    raise ManifestError(_collect(document, of_fields))


def _validate(document: object) -> SelectionRun:
    return SelectionRun.model_validate(document, by_alias=True, by_name=False)


def _collect(document: object, of_fields: list[Error]) -> Iterable[Problem]:
    """Return the problems of the fields, then those between the other fields: broken rules, and what is not built."""
    problems = [problem_of(error) for error in of_fields]
    spec, wrong = _read_the_rest(document, [location_of(error) for error in of_fields])
    if spec is not None:
        findings = [finding for finding in find_broken_rules(spec) if not _is_consequence(finding, wrong)]
        problems += [Problem(render_path(finding.location), finding.message) for finding in findings]
        named = {problem.path for problem in problems}
        problems += [
            problem
            for problem in unsupported_options(spec)
            if problem.path not in named and not _touches(problem.path, wrong)
        ]
    return list(dict.fromkeys(problems))


def _counts_right_entries(error: Error) -> bool:
    """Say whether a list is called too short only because pydantic counts the entries that are right."""
    return error["type"] == "too_short" and len(error["input"]) >= int(error["ctx"]["min_length"])


def _read_the_rest(document: Any, wrong: list[Location]) -> tuple[SelectionRunSpec | None, list[Location]]:
    """Return the spec without its wrong fields, None where too little is left, and all that had to go for it.

    A field that others need has a stand-in, or goes together with them.
    """
    gone = list(wrong)
    locations = wrong
    while True:
        for location in locations:
            if location[:1] == ("spec",):
                place = _find_replaceable(location, gone[len(wrong) :])
                gone.append(place)
                document = _without(document, place, _PLACEHOLDERS.get(_any_entry(place)))
        if len(min(gone[len(wrong) :], key=len, default=("spec", ""))) < 2:
            return None, gone
        try:
            return SelectionRunSpec.model_validate(document["spec"], by_alias=True, by_name=False), gone
        except ValidationError as error:
            locations = [("spec", *location_of(dict(one))) for one in error.errors(include_url=False)]


def _find_replaceable(location: Location, gone: list[Location]) -> Location:
    """Return what has to go so that a location is no longer wrong: itself, or what it is in where that did not help.

    A list whose entries have no stand-in goes as a whole: without one of them the others had other indices.
    """
    place = location
    while place and (place in gone or (isinstance(place[-1], int) and _any_entry(place) not in _PLACEHOLDERS)):
        place = place[:-1]
    return place


def _any_entry(location: Location) -> Location:
    return tuple(0 if isinstance(part, int) else part for part in location)


def _touches(path: str, wrong: list[Location]) -> bool:
    """Say whether a path may be called unsupported only for a wrong field: one around it, or of its entry of a list."""
    places = [render_path(location) for location in wrong]
    entry = path[: path.rindex("]") + 1] if "]" in path else path
    return any(place.startswith(entry) or path.startswith(place) for place in places)


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
