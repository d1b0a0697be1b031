"""What a running pod says about its progress: clamped to what can be true, never trusted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selection_api.names import Stage
from selection_api.status import Counts, Progress

MOST_ITEMS = 2**53
MOST_IMAGES = 2**31 - 1
LONGEST_WORDS = 300


@dataclass(frozen=True)
class LiveProgress:
    """Where a pod is."""

    stage: Stage
    progress: Progress
    counts: Counts | None
    waiting: str = ""
    """What it waits for, in its own words: one line of bounded length."""


def read_progress(content: bytes) -> LiveProgress | None:
    """Return what the job's /progress says; None when it says nothing that makes sense."""
    try:
        said = json.loads(content)
        stage = Stage(said["stage"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    total = _clamp(said.get("total"), MOST_ITEMS)
    done = min(_clamp(said.get("done"), MOST_ITEMS), total)
    return LiveProgress(stage, make_progress(done, total), _counts(said.get("counts")), _words(said.get("waiting")))


def make_progress(done: int, total: int) -> Progress:
    """Return done of total, with the percentage rounded down: 100 is said only when all is done."""
    return Progress(done=done, total=total, percent=100 * done // total if total else 0)


def _counts(said: object) -> Counts | None:
    if not isinstance(said, Mapping):
        return None
    return Counts(**{field: _clamp(said.get(field), MOST_IMAGES) for field in Counts.model_fields})


def _words(said: object) -> str:
    if not isinstance(said, str):
        return ""
    text = "".join(letter for letter in said[: 4 * LONGEST_WORDS] if letter.isprintable())
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"


def _clamp(value: Any, most: int) -> int:
    """Return a whole number between 0 and most; 0 for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return 0
    return int(max(0, min(value, most)))
