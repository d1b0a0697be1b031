"""selectionConfig.lightly_path_regex, compiled by RE2: no expression takes more than time in proportion to a name."""

from typing import Any

from selection_job.errors import InvalidManifest

FIELD = "spec.selectionConfig.lightly_path_regex"


def compile_path_regex(text: str) -> Any:
    """Return the expression as RE2 compiles it; its groupindex names the groups.

    Raises InvalidManifest where RE2 refuses it (it knows neither look-around nor back-references), or where it has no
    named group.
    """
    import re2  # only where a manifest has an expression: `check` answers without it otherwise

    options = re2.Options()
    options.log_errors = False
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidManifest(
            f"{FIELD}: is no regular expression of RE2's syntax: {reason}. There are no look-around and no "
            "back-references; a named group is (?P<camera>[^/]+)."
        ) from None
    if not expression.groupindex:
        raise InvalidManifest(f"{FIELD}: has no named group, such as (?P<camera>[^/]+), so there is nothing to take.")
    return expression
