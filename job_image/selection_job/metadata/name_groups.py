"""Metadata from file names: the named groups of selectionConfig.lightly_path_regex."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from selection_job.catalog.image_names import is_utf8, quote_some
from selection_job.errors import UnusableData
from selection_job.formats.spellings import compose
from selection_job.manifest.path_regex import FIELD, compile_path_regex
from selection_job.metadata.metadata_column import MetadataColumn

_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")


def match_names(text: str, names: Sequence[str], keys: Sequence[str]) -> tuple[list[MetadataColumn], int]:
    """Return the columns of those groups that are among keys, and how many names the expression does not match.

    The expression is searched anywhere in the name, as the listing gives it; where it is not there, both are taken in
    their composed forms. A column's labels are what the group
    matched, '' where it or the whole expression did not; numbers are set too where every match is a plain decimal
    number. Some 5 µs a name.
    Raises InvalidManifest, and UnusableData where no name matches or a group is always empty.
    """
    expression, composed_expression = compile_path_regex(text), compile_path_regex(compose(text))
    groups = {name: number for name, number in expression.groupindex.items() if name in keys}
    labels: dict[str, list[str]] = {name: [] for name in groups}
    n_unmatched = 0
    for name in names:
        found = expression.search(name) if is_utf8(name) else None
        if found is None and not name.isascii() and is_utf8(name):
            found = composed_expression.search(compose(name))
        n_unmatched += found is None
        for group, number in groups.items():
            labels[group].append((found[number] or "") if found else "")
    some = quote_some(list(names[:3]))
    if n_unmatched == len(names):
        raise UnusableData(f"{FIELD} {text!r} matches none of the {len(names):,} names of images, such as {some}.")
    for group, words in labels.items():
        if not any(words):
            raise UnusableData(f"{FIELD} {text!r} leaves the group {group} empty in all names, such as {some}.")
    return [MetadataColumn(name, _to_numbers(words), _share(words)) for name, words in labels.items()], n_unmatched


def _to_numbers(words: list[str]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return the words as numbers, NaN for '', or None where one of the others is none."""
    numbers = {word: float(word) for word in set(words) if _NUMBER.fullmatch(word)}
    if not numbers or len(numbers) + ("" in words) < len(set(words)):
        return None
    return np.array([numbers.get(word, np.nan) for word in words])


def _share(words: list[str]) -> list[str]:
    """Return the same words, equal ones as one object: a million copies of 'front' take 55 MB."""
    same: dict[str, str] = {}
    return [same.setdefault(word, word) for word in words]
