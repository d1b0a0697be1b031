"""Unusable folder: why an encoder's folder can't be used, before anyone has said which folder it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from selection_job.errors import UnusableData

_FIELD = "spec.workerConfig.encoder"
_LONGEST_REASON = 200


class UnusableFolder(Exception):
    """What is wrong with the folder; str() is a sentence that begins with the name of a file."""


@contextmanager
def name_folder(url: str) -> Iterator[None]:
    """Turn an UnusableFolder into UnusableData that names the field and the folder."""
    try:
        yield
    except UnusableFolder as problem:
        raise UnusableData(f"{_FIELD}: {url}: {problem}") from problem


def explain_failure(error: BaseException) -> str:
    """Return the first line of what a library says, cut to a readable length."""
    lines = str(error).strip().splitlines()
    reason = "".join(c if c.isprintable() else "?" for c in lines[0]) if lines else type(error).__name__
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…"
