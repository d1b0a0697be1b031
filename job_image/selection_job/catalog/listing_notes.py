"""Notes on a listing: what to know of lines that name nothing, of odd names and of what was passed over."""

import os

from selection_job.catalog.image_names import EXTENSIONS, is_utf8, quote_some
from selection_job.catalog.near_names import explain_spelling
from selection_job.catalog.relevant_filenames import RelevantFilenames
from selection_job.catalog.sighting import OTHER_MEDIUM, Sighting
from selection_job.formats.spellings import IN_ANOTHER_FORM
from selection_job.manifest.noun import FILE, FOLDER, IMAGE, LINE, NAME, agree
from selection_job.stores.sidecar_files import ImageFiles

_MOST_FOLDERS = 10
_MOST_NAMED = 6


def explain_nothing(sighting: Sighting, relevant: RelevantFilenames | None, url: str, relevant_url: str) -> str:
    """Return why nothing takes part, and what to do."""
    medium = sighting.medium
    if relevant is not None and len(sighting.left_out):
        unused = _unused(sighting, relevant)
        useless = unused + sighting.named.list_lines(n_files=2)
        hint = _explain_unused(unused, sighting, url) or "Names are relative to it, and case matters."
        return (
            f"None of the lines of {relevant_url} names one of the {len(sighting.left_out)} "
            f"{medium.file_noun.plural} in {url}: {quote_some(useless) or 'it is empty'}. {hint}"
        )
    n_files, none = sighting.n_others + sighting.n_other_media, f"There is no {medium.file_noun.singular} in {url}:"
    if not n_files and sighting.unreadable:
        return f"{none} no file was seen (names that start with '.' are left out)."
    if not n_files:
        return f"{none} it is empty, or holds only files and folders whose names start with '.', which are left out."
    others = f"{sighting.n_others} other {FILE.form(sighting.n_others)}{_explain_other(sighting)}"
    return (
        f"{none} {others} {agree(n_files, 'were')} seen, none ends in "
        f"{' '.join(EXTENSIONS[medium])} (in any case; names that start with '.' are left out)."
    )


def _explain_other(sighting: Sighting) -> str:
    own, other = sighting.medium.file_noun.plural, OTHER_MEDIUM[sighting.medium].file_noun
    if not sighting.n_other_media:
        return ""
    takes = f"dataset type {own.upper()} takes no {other.plural}; spec.dataset.type {other.plural.upper()} does"
    return f" and {other.count(sighting.n_other_media)} ({takes})"


def _unused(sighting: Sighting, relevant: RelevantFilenames) -> list[str]:
    used = sighting.used_wildcards | sighting.respelled_wildcards
    unused = [wildcard.line for wildcard in relevant.wildcards if wildcard.line not in used]
    return sighting.named.list_lines(n_files=0) + unused


def _explain_unused(unused: list[str], sighting: Sighting, url: str) -> str:
    """Return what to do about the first lines that name nothing; '' where that can't be told."""
    listed = [*sighting.not_relevant, *sighting.names]
    for folder in unused[:_MOST_FOLDERS]:
        if folder.endswith("/") and "*" not in folder and any(name.startswith(folder) for name in listed):
            return f"{f'{folder}*'!r} takes all that is in a folder."
    return explain_spelling([line for line in unused if "*" not in line], listed, url)


def note_relevant(sighting: Sighting, relevant: RelevantFilenames | None, key: str, input_url: str) -> list[str]:
    """Return what to know of the lines of a list of relevant names."""
    if relevant is None:
        return []
    notes = []
    if relevant.n_duplicates:
        notes.append(f"{key}: {LINE.count_with(relevant.n_duplicates, 'repeat')} an earlier line.")
    if odd := [wildcard.line for wildcard in relevant.wildcards if wildcard.without_effect.strip("*")]:
        notes.append(
            f"{key}: text right after the first '*' of a line has no effect; write it as a pattern that leaves names "
            f"out: {quote_some(odd)}"
        )
    noun = sighting.medium.file_noun.singular
    respelled = sorted(sighting.respelled_wildcards - sighting.used_wildcards)
    if respelled := sighting.named.list_lines(n_files=1) + respelled:
        notes.append(
            f"{key}: {LINE.count_with(len(respelled), 'are')} {IN_ANOTHER_FORM} than the names of the "
            f"input, and taken for the {noun} of the same name: {quote_some(respelled)}"
        )
    if several := sighting.named.list_lines(n_files=2):
        notes.append(
            f"{key}: {LINE.count_with(len(several), 'are')} {IN_ANOTHER_FORM} than the names of the "
            f"input, which has more than one {noun} of such a name; write it as it is listed: {quote_some(several)}"
        )
    if unused := _unused(sighting, relevant):
        hint = _explain_unused(unused, sighting, input_url)
        note = f"{key}: {LINE.count_with(len(unused), 'name')} no {noun} of the input: {quote_some(unused)}"
        notes.append(f"{note}. {hint}" if hint else note)
    return notes


def note_encoding(names: list[str]) -> list[str]:
    """Return a note on names that are not UTF-8."""
    odd = sorted(name for name in names if not is_utf8(name))
    n = len(odd)
    words = f"not UTF-8 and {agree(n, 'count')} as corrupt; rename {agree(n, 'them')}"
    return [f"{NAME.count_with(n, 'are')} {words}: {quote_some(odd)}"] if odd else []


def note_unreadable(folders: list[str]) -> list[str]:
    """Return a note on folders that may not be read."""
    if not folders:
        return []
    n = len(folders)
    return [
        f"{FOLDER.count(n)} of the input may not be read and {agree(n, 'were')} passed over: "
        f"{quote_some(sorted(folders))}. "
        f"If files of the dataset lie there, let user {os.geteuid()} read them."
    ]


def note_endings(sighting: Sighting) -> list[str]:
    """Return a note on files of other kinds, by what they end in."""
    named = [(ending, n) for ending, n in sighting.endings.items() if ending]
    counted = sorted(named, key=lambda pair: (-pair[1], pair[0]))[:_MOST_NAMED]
    n_all = sighting.endings.total()
    if not n_all:
        return []
    n_rest = n_all - sum(n for _, n in counted)
    parts = [f"{ending} ({n:,})" for ending, n in counted] + ([f"another way ({n_rest:,})"] if n_rest else [])
    return [f"{n_all:,} other {FILE.form(n_all)} of the input {agree(n_all, 'end')} in {', '.join(parts)}: not read."]


def note_foreign_files(subject: str, files: ImageFiles) -> list[str]:
    """Return a note on files beside the images' own, such as predictions, which are about no image that takes part."""
    if not files.n_foreign:
        return []
    n = files.n_foreign
    words = f"to no image that takes part and {agree(n, 'are')} not read, such as {quote_some(files.foreign)}"
    return [f"{subject}: {FILE.count_with(n, 'belong')} {words}"]


def note_respelled_files(subject: str, files: ImageFiles) -> list[str]:
    """Return a note on files that were found by another Unicode form of their image's name."""
    if not files.respelled:
        return []
    n, names = len(files.respelled), quote_some(list(files.respelled.values()))
    than = f"{agree(n, 'their')} {IMAGE.form(n)}, and {agree(n, 'were')} read"
    return [f"{subject}: {FILE.count_with(n, 'are')} {IN_ANOTHER_FORM} than {than}: {names}"]
