"""Sighting: one look at all files of a datasource, which tells those that take part from the others."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from selection_job.catalog.catalog import hash_name
from selection_job.catalog.image_names import EXTENSIONS, is_hidden
from selection_job.catalog.named_files import NamedFiles
from selection_job.catalog.relevant_filenames import RelevantFilenames
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium
from selection_job.stores.store import ObjectInfo, Store

OTHER_MEDIUM = {IMAGES: VIDEOS, VIDEOS: IMAGES}
_LONGEST_ENDING = 10
_MOST_ENDINGS = 1000
_MOST_KEPT = 100_000


@dataclass
class Sighting:
    """What was seen while listing: the files that take part, and what explains why others don't."""

    medium: Medium
    names: list[str] = field(default_factory=list)
    sizes_bytes: "array[int]" = field(default_factory=lambda: array("q"))
    versions: list[str] = field(default_factory=list)
    n_other_media: int = 0
    n_others: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    left_out: "array[int]" = field(default_factory=lambda: array("q"))
    """Hashes of the names that the list of relevant names leaves out; nothing else is kept of a million of them."""
    not_relevant: list[str] = field(default_factory=list)
    """The first of these names, for messages."""
    unreadable: list[str] = field(default_factory=list)
    named: NamedFiles = field(default_factory=lambda: NamedFiles(frozenset()))
    doubtful: "array[int]" = field(default_factory=lambda: array("q"))
    """Places of files that a line may name in another spelling."""
    used_wildcards: set[str] = field(default_factory=set)
    respelled_wildcards: set[str] = field(default_factory=set)


def look(store: Store, relevant: RelevantFilenames | None, medium: Medium) -> Sighting:
    """Return what is seen of a store's files: names of one medium, and of these what the list names."""
    sighting = Sighting(medium)
    if relevant is not None:
        sighting.named = NamedFiles(relevant.names)
    extensions, other_extensions = EXTENSIONS[medium], EXTENSIONS[OTHER_MEDIUM[medium]]
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


def _take(info: ObjectInfo, relevant: RelevantFilenames | None, sighting: Sighting) -> None:
    if relevant is not None:
        wildcards, may_be_named = relevant.find(info.key), sighting.named.see(info.key)
        if wildcards is None and not may_be_named:
            _leave_out(info.key, sighting)
            return
        if wildcards is None:
            sighting.doubtful.append(len(sighting.names))
        for wildcard in wildcards or ():
            is_spelled_so = info.key.startswith(wildcard.prefix)
            (sighting.used_wildcards if is_spelled_so else sighting.respelled_wildcards).add(wildcard.line)
    sighting.names.append(info.key)  # columns: a million ObjectInfos with their ints would take 100 MB more
    sighting.sizes_bytes.append(info.size_bytes)
    sighting.versions.append(info.version)


def _leave_out(name: str, sighting: Sighting) -> None:
    sighting.left_out.append(hash_name(name))
    if len(sighting.not_relevant) < _MOST_KEPT:
        sighting.not_relevant.append(name)


def _leave_out_doubtful(sighting: Sighting) -> None:
    """Leave out what no line names after all: one is spelled so, or several files differ only by their spelling."""
    left_out = {place for place in sighting.doubtful if not sighting.named.names(sighting.names[place])}
    if not left_out:
        return
    for place in sorted(left_out):
        _leave_out(sighting.names[place], sighting)
    kept = [place for place in range(len(sighting.names)) if place not in left_out]
    sighting.names = [sighting.names[place] for place in kept]
    sighting.sizes_bytes = array("q", [sighting.sizes_bytes[place] for place in kept])
    sighting.versions = [sighting.versions[place] for place in kept]
