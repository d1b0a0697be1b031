"""JSON files that are written item by item: a million entries never lie in memory as text."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO


def dump(value: Any) -> str:
    """Return compact JSON; names stay readable. Raises ValueError for NaN and infinity, which are no JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@contextmanager
def open_new(path: Path) -> Iterator[TextIO]:
    """Give a new file for UTF-8 text; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_items(file: TextIO, items: Iterable[Any]) -> None:
    """Write a list, a line an item."""
    file.write("[")
    for i, item in enumerate(items):
        file.write(f"{',' if i else ''}\n{dump(item)}")
    file.write("\n]")


def split(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield lists of at most so many items; one that is empty where there is none at all."""
    left = iter(items)
    part = list(islice(left, size))
    yield part
    while part := list(islice(left, size)):
        yield part
