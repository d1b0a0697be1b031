"""selectionConfig.lightly_path_regex, compiled by RE2: no expression takes more than time in proportion to a name."""

from typing import Any

from selection_job.errors import InvalidManifest

FIELD = "spec.selectionConfig.lightly_path_regex"


def compile_path_regex(text: str) -> Any:
    """Return the expression as RE2 compiles it; its groupindex names the groups.

    Raises InvalidManifest where RE2 refuses it (it knows neither look-around nor back-references), or where it has no
    named group.
    """
    try:
        return _compile(text)
    except ValueError as error:
        raise InvalidManifest(f"{FIELD}: {error}") from None


def find_fault(text: str) -> str | None:
    """Return what is wrong with the expression, None where nothing is."""
    try:
        _compile(text)
    except ValueError as error:
        return str(error)
    return None


def _compile(text: str) -> Any:
    import re2  # only where a manifest has an expression: `check` answers sooner without it

    options = re2.Options()
    options.log_errors = False
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(
            f"is no regular expression of RE2's syntax: {reason}. There are no look-around and no back-references; a "
            "named group is (?P<camera>[^/]+)."
        ) from None
    if not expression.groupindex:
        raise ValueError("has no named group, such as (?P<camera>[^/]+), so there is nothing to take.")
    return expression
