"""Listing: the images or videos of the input datasource that take part in a run, sorted by name."""

import logging
import os
from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from selection_job.catalog.catalog import Listing
from selection_job.catalog.image_names import EXTENSIONS, is_hidden, is_utf8, quote_some
from selection_job.catalog.named_files import NamedFiles
from selection_job.catalog.relevant_filenames import RelevantFilenames, parse_relevant_filenames
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.formats.spellings import IN_ANOTHER_FORM
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium
from selection_job.stores.store import ObjectInfo, Store

log = logging.getLogger("selection_job")

_LONGEST_ENDING = 10
_MOST_ENDINGS, _MOST_NAMED = 1000, 6
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
    unreadable: list[str] = field(default_factory=list)
    named: NamedFiles = field(default_factory=lambda: NamedFiles(frozenset()))
    doubtful: "array[int]" = field(default_factory=lambda: array("q"))
    """Places of files that a line may name in another spelling."""
    used_wildcards: set[str] = field(default_factory=set)
    respelled_wildcards: set[str] = field(default_factory=set)


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
    sighting = _look(input_store, relevant, medium)
    passed_over = _note_unreadable(sighting.unreadable)
    for note in passed_over:
        log.warning("%s", note)
    if not sighting.names:
        nothing = _explain_nothing(sighting, relevant, input_store.url, lightly_store.url + relevant_filenames_file)
        raise UnusableData(" ".join([nothing, *passed_over]))
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
        notes=[
            *_note_relevant(sighting, relevant, relevant_filenames_file),
            *_note_encoding(names),
            *passed_over,
            *others,
        ],
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


def _look(store: Store, relevant: RelevantFilenames | None, medium: Medium) -> _Sighting:
    sighting = _Sighting(medium)
    if relevant is not None:
        sighting.named = NamedFiles(relevant.names)
    extensions, other_extensions = EXTENSIONS[medium], EXTENSIONS[_OTHER[medium]]
    for info in store.list(unreadable=sighting.unreadable):
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
    _leave_out_doubtful(sighting)
    return sighting


def _take_ending(name: str, known: Counter[str]) -> str:
    """Return what a file's name ends in, '' where that is nothing that people call an ending."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    is_ending = dot and ending.isascii() and ending.isalnum() and len(ending) <= _LONGEST_ENDING
    return f".{ending}" if is_ending and (len(known) < _MOST_ENDINGS or f".{ending}" in known) else ""


def _take(info: ObjectInfo, relevant: RelevantFilenames | None, sighting: _Sighting) -> None:
    if relevant is not None:
        wildcards, may_be_named = relevant.find(info.key), sighting.named.see(info.key)
        if wildcards is None and not may_be_named:
            sighting.n_not_relevant += 1
            return
        if wildcards is None:
            sighting.doubtful.append(len(sighting.names))
        for wildcard in wildcards or ():
            is_spelled_so = info.key.startswith(wildcard.prefix)
            (sighting.used_wildcards if is_spelled_so else sighting.respelled_wildcards).add(wildcard.line)
    sighting.names.append(info.key)  # columns: a million ObjectInfos with their ints would take 100 MB more
    sighting.sizes_bytes.append(info.size_bytes)
    sighting.versions.append(info.version)


def _leave_out_doubtful(sighting: _Sighting) -> None:
    """Leave out what no line names after all: one is spelled so, or several files differ only by their spelling."""
    left_out = {place for place in sighting.doubtful if not sighting.named.names(sighting.names[place])}
    if not left_out:
        return
    kept = [place for place in range(len(sighting.names)) if place not in left_out]
    sighting.names = [sighting.names[place] for place in kept]
    sighting.sizes_bytes = array("q", [sighting.sizes_bytes[place] for place in kept])
    sighting.versions = [sighting.versions[place] for place in kept]
    sighting.n_not_relevant += len(left_out)


def _explain_nothing(sighting: _Sighting, relevant: RelevantFilenames | None, url: str, relevant_url: str) -> str:
    medium = sighting.medium
    if relevant is not None and sighting.n_not_relevant:
        useless = _unused(sighting, relevant) + sighting.named.list_lines(n_files=2)
        return (
            f"None of the lines of {relevant_url} names one of the {sighting.n_not_relevant} "
            f"{medium.file_noun.plural} in {url}: {quote_some(useless) or 'it is empty'}. "
            "Names are relative to it, and case matters."
        )
    return (
        f"There is no {medium.file_noun.singular} in {url}: {sighting.n_others} other files{_explain_other(sighting)} "
        f"were seen, none ends in {' '.join(EXTENSIONS[medium])} (in any case; names that start with '.' are left "
        "out)."
    )


def _explain_other(sighting: _Sighting) -> str:
    own, other = sighting.medium.file_noun.plural, _OTHER[sighting.medium].file_noun.plural
    n = sighting.n_other_media
    if not n:
        return ""
    return f" and {n} {other} (dataset type {own.upper()} takes no {other}; spec.dataset.type {other.upper()} does)"


def _unused(sighting: _Sighting, relevant: RelevantFilenames) -> list[str]:
    used = sighting.used_wildcards | sighting.respelled_wildcards
    unused = [wildcard.line for wildcard in relevant.wildcards if wildcard.line not in used]
    return sighting.named.list_lines(n_files=0) + unused


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
    noun = sighting.medium.file_noun.singular
    respelled = sorted(sighting.respelled_wildcards - sighting.used_wildcards)
    if respelled := sighting.named.list_lines(n_files=1) + respelled:
        notes.append(
            f"{key}: {len(respelled)} lines are {IN_ANOTHER_FORM} than the names of the input, and name the same "
            f"{sighting.medium.file_noun.plural}: {quote_some(respelled)}"
        )
    if several := sighting.named.list_lines(n_files=2):
        notes.append(
            f"{key}: {len(several)} lines are {IN_ANOTHER_FORM} than the names of the input, which has more than one "
            f"{noun} of each of these names; write them as they are listed: {quote_some(several)}"
        )
    if unused := _unused(sighting, relevant):
        notes.append(f"{key}: {len(unused)} lines name no {noun} of the input: {quote_some(unused)}")
    return notes


def _note_encoding(names: list[str]) -> list[str]:
    odd = [name for name in names if not is_utf8(name)]
    return [f"{len(odd)} names are not UTF-8 and count as corrupt; rename them: {quote_some(odd)}"] if odd else []


def _note_unreadable(folders: list[str]) -> list[str]:
    if not folders:
        return []
    subject, verb = ("1 folder", "was") if len(folders) == 1 else (f"{len(folders):,} folders", "were")
    return [
        f"{subject} of the input may not be read and {verb} passed over: {quote_some(sorted(folders))}. "
        f"If files of the dataset lie there, let user {os.geteuid()} read them."
    ]


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
