"""Listing: the images or videos of the input datasource that take part in a run, sorted by name."""

import logging
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from selection_job.catalog.catalog import Listing
from selection_job.catalog.image_names import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, is_hidden, is_utf8, quote_some
from selection_job.catalog.relevant_filenames import RelevantFilenames, parse_relevant_filenames
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium
from selection_job.stores.store import ObjectInfo, Store

log = logging.getLogger("selection_job")

_LONGEST_ENDING = 10
_MOST_ENDINGS, _MOST_NAMED = 1000, 6
_EXTENSIONS = {IMAGES: IMAGE_EXTENSIONS, VIDEOS: VIDEO_EXTENSIONS}
_OTHER = {IMAGES: VIDEOS, VIDEOS: IMAGES}


@dataclass
class _Sighting:
    """What was seen while listing: the files that take part, and what explains why there are none."""

    medium: Medium
    names: list[str] = field(default_factory=list)
    sizes_bytes: "array[int]" = field(default_factory=lambda: array("q"))
    versions: list[str] = field(default_factory=list)
    n_other_media: int = 0
    n_others: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    n_not_relevant: int = 0
    named: set[str] = field(default_factory=set)
    used_wildcards: set[str] = field(default_factory=set)


def list_images(input_store: Store, lightly_store: Store, *, relevant_filenames_file: str = "") -> Listing:
    """Return the images below the input datasource, by code points of their names.

    Files and folders whose name starts with '.' are left out, objects of size 0 stay (they become corrupt: 'empty').
    relevant_filenames_file    key in the lightly datasource; '' for all images. Its form: relevant_filenames.py
    Memory: the columns, about 250 bytes an image.
    Raises UnusableData where nothing takes part or the relevant-filenames file is missing or wrong.
    """
    return _list_media(IMAGES, input_store, lightly_store, relevant_filenames_file)


def list_videos(input_store: Store, lightly_store: Store, *, relevant_filenames_file: str = "") -> Listing:
    """Return the videos below the input datasource, as list_images does the images."""
    return _list_media(VIDEOS, input_store, lightly_store, relevant_filenames_file)


def _list_media(medium: Medium, input_store: Store, lightly_store: Store, relevant_filenames_file: str) -> Listing:
    relevant = _read_relevant(lightly_store, relevant_filenames_file) if relevant_filenames_file else None
    sighting = _look(input_store.list(), relevant, medium)
    if not sighting.names:
        raise UnusableData(
            _explain_nothing(sighting, relevant, input_store.url, lightly_store.url + relevant_filenames_file)
        )
    for note in (others := _note_endings(sighting)):
        log.info("%s", note)
    sizes_bytes = np.frombuffer(sighting.sizes_bytes, np.int64)
    names, versions = sighting.names, sighting.versions
    if any(name > following for name, following in pairwise(names)):  # folders are listed as they come
        order = np.array(names, dtype=object).argsort(kind="stable")  # 8 bytes a name, where a list would take 40
        names, versions = [names[row] for row in order], [versions[row] for row in order]
        sizes_bytes = sizes_bytes[order]
    return Listing(
        names=names,
        sizes_bytes=sizes_bytes,
        versions=versions,
        notes=[*_note_relevant(sighting, relevant, relevant_filenames_file), *_note_encoding(names), *others],
    )


def _read_relevant(lightly_store: Store, key: str) -> RelevantFilenames:
    where = lightly_store.url + key
    try:
        content = lightly_store.read(key)
    except ObjectMissing as error:
        raise UnusableData(
            f"The relevant-filenames file was expected at {where} and is not there. Put it there, in the lightly "
            "datasource, or leave out spec.workerConfig.relevant_filenames_file to use all files."
        ) from error
    return parse_relevant_filenames(content, where=where)


def _look(objects: Iterable[ObjectInfo], relevant: RelevantFilenames | None, medium: Medium) -> _Sighting:
    sighting = _Sighting(medium)
    extensions, other_extensions = _EXTENSIONS[medium], _EXTENSIONS[_OTHER[medium]]
    for info in objects:
        name = info.key.lower()
        if is_hidden(info.key):
            continue
        if name.endswith(extensions):
            _take(info, relevant, sighting)
            continue
        sighting.endings[_take_ending(name, sighting.endings)] += 1
        if name.endswith(other_extensions):
            sighting.n_other_media += 1
        else:
            sighting.n_others += 1
    return sighting


def _take_ending(name: str, known: Counter[str]) -> str:
    """Return what a file's name ends in, '' where that is nothing that people call an ending."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    is_ending = dot and ending.isascii() and ending.isalnum() and len(ending) <= _LONGEST_ENDING
    return f".{ending}" if is_ending and (len(known) < _MOST_ENDINGS or f".{ending}" in known) else ""


def _take(info: ObjectInfo, relevant: RelevantFilenames | None, sighting: _Sighting) -> None:
    if relevant is not None:
        wildcards = relevant.find(info.key)
        if wildcards is None:
            sighting.n_not_relevant += 1
            return
        sighting.used_wildcards.update(wildcard.line for wildcard in wildcards)
        if info.key in relevant.names:
            sighting.named.add(info.key)
    sighting.names.append(info.key)  # columns: a million ObjectInfos with their ints would take 100 MB more
    sighting.sizes_bytes.append(info.size_bytes)
    sighting.versions.append(info.version)


def _explain_nothing(sighting: _Sighting, relevant: RelevantFilenames | None, url: str, relevant_url: str) -> str:
    medium = sighting.medium
    if relevant is not None and sighting.n_not_relevant:
        return (
            f"None of the lines of {relevant_url} names one of the {sighting.n_not_relevant} "
            f"{medium.file_noun.plural} in {url}: {quote_some(_unused(sighting, relevant)) or 'it is empty'}. "
            "Names are relative to it, and case matters."
        )
    return (
        f"There is no {medium.file_noun.singular} in {url}: {sighting.n_others} other files{_explain_other(sighting)} "
        f"were seen, none ends in {' '.join(_EXTENSIONS[medium])} (in any case; names that start with '.' are left "
        "out)."
    )


def _explain_other(sighting: _Sighting) -> str:
    own, other = sighting.medium.file_noun.plural, _OTHER[sighting.medium].file_noun.plural
    n = sighting.n_other_media
    if not n:
        return ""
    return f" and {n} {other} (dataset type {own.upper()} takes no {other}; spec.dataset.type {other.upper()} does)"


def _unused(sighting: _Sighting, relevant: RelevantFilenames) -> list[str]:
    unused = sorted(relevant.names - sighting.named)
    return unused + [wildcard.line for wildcard in relevant.wildcards if wildcard.line not in sighting.used_wildcards]


def _note_relevant(sighting: _Sighting, relevant: RelevantFilenames | None, key: str) -> list[str]:
    if relevant is None:
        return []
    notes = []
    if relevant.n_duplicates:
        notes.append(f"{key}: {relevant.n_duplicates} lines repeat an earlier line.")
    if odd := [wildcard.line for wildcard in relevant.wildcards if wildcard.without_effect.strip("*")]:
        notes.append(
            f"{key}: {len(odd)} lines have text right after their first '*', which has no effect; write it as a "
            f"pattern that leaves names out: {quote_some(odd)}"
        )
    if unused := _unused(sighting, relevant):
        noun = sighting.medium.file_noun.singular
        notes.append(f"{key}: {len(unused)} lines name no {noun} of the input: {quote_some(unused)}")
    return notes


def _note_encoding(names: list[str]) -> list[str]:
    odd = [name for name in names if not is_utf8(name)]
    return [f"{len(odd)} names are not UTF-8 and count as corrupt; rename them: {quote_some(odd)}"] if odd else []


def _note_endings(sighting: _Sighting) -> list[str]:
    named = [(ending, n) for ending, n in sighting.endings.items() if ending]
    counted = sorted(named, key=lambda pair: (-pair[1], pair[0]))[:_MOST_NAMED]
    n_all = sighting.endings.total()
    if not n_all:
        return []
    n_rest = n_all - sum(n for _, n in counted)
    parts = [f"{ending} ({n:,})" for ending, n in counted] + ([f"another way ({n_rest:,})"] if n_rest else [])
    verb = "ends" if n_all == 1 else "end"
    return [f"{n_all:,} other {'file' if n_all == 1 else 'files'} of the input {verb} in {', '.join(parts)}: not read."]
