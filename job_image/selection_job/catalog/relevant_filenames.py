r"""Relevant filenames: the file that says which images take part.

One name a line, relative to the input. Left out: blank lines, lines that start with '#', a byte order mark, '\r' and
blanks at the end, './' at the start. A line with '*' takes all names that start with what stands before the first '*'
(what follows it up to a blank changes nothing, as in the worker, and is noted); gitignore patterns may follow after
blanks, relative to the input, and leave out again what they match:

    subdir/* subdir/image_4* !subdir/image_41.png

takes subdir/ without image_4*, but with image_41.png. In a pattern '\ ' stands for a blank. A name that starts with
'#' is written '\#', one with a '*' in it can only be taken by a prefix. Names, prefixes and patterns also mean names
that are spelled in another Unicode form; named_files.py and formats/spellings.py say how.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from selection_job.catalog.gitignore import compile_gitignore
from selection_job.errors import UnusableData
from selection_job.formats.spellings import compose

_BLANKS = " \t"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Wildcard:
    """A line with '*': names with the prefix, but for those that leaves_out matches."""

    line: str
    prefix: str
    leaves_out: Callable[[str], bool]
    """Takes a name in its composed form."""
    without_effect: str  # what stands between the first '*' and the next blank


class RelevantFilenames:
    """The parsed file: names, lines with '*', and n_duplicates lines that say again what an earlier line said."""

    def __init__(self, names: frozenset[str], wildcards: list[Wildcard], n_duplicates: int) -> None:
        self.names = names
        self.wildcards = wildcards
        self.n_duplicates = n_duplicates
        self._by_prefix: dict[str, list[Wildcard]] = {}
        for wildcard in wildcards:
            for prefix in {wildcard.prefix, compose(wildcard.prefix)}:
                self._by_prefix.setdefault(prefix, []).append(wildcard)
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix})

    def find(self, name: str) -> list[Wildcard] | None:
        """Return None where the image does not take part, else the wildcards that take it (none where it is named).

        Looks prefixes up by length, so that ten thousand wildcards cost no more than their lengths.
        """
        found = self._find_prefixes(name)
        if (composed := compose(name)) != name:
            found |= self._find_prefixes(composed)
        wildcards = [wildcard for wildcard in found.values() if not wildcard.leaves_out(composed)]
        return wildcards if wildcards or name in self.names else None

    def _find_prefixes(self, name: str) -> dict[str, Wildcard]:
        """Return by its line each wildcard whose prefix the name has."""
        candidates = (self._by_prefix.get(name[:length], []) for length in self._prefix_lengths if length <= len(name))
        return {wildcard.line: wildcard for same in candidates for wildcard in same}


def parse_relevant_filenames(content: bytes, *, where: str, input_url: str = "") -> RelevantFilenames:
    """Parse the file's bytes; where is its name in messages, input_url what whole paths begin with.

    Raises UnusableData for a file that is not UTF-8 or is JSON, and for lines that leave the input ('..', a leading
    '/').
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = "it is UTF-16" if content.startswith(_UTF_16) else f"byte {error.start} is not"
        raise UnusableData(f"{where} must be UTF-8 text; {found}: save it as UTF-8.") from error
    _check_form(text, where)
    names: set[str] = set()
    wildcards: dict[str, Wildcard] = {}
    n_lines = 0
    for number, line in _clean_lines(text):
        _check_line(line, f"{where}, line {number}", input_url)
        n_lines += 1
        if "*" in line:
            wildcards.setdefault(line, _parse_wildcard(line))
        else:
            names.add(_strip_escape(line))
    return RelevantFilenames(frozenset(names), list(wildcards.values()), n_lines - len(names) - len(wildcards))


def _clean_lines(text: str) -> Iterator[tuple[int, str]]:
    separator = "\n" if "\n" in text else "\r"  # of old Macs, and of what exports for them
    for number, line in enumerate(text.split(separator), start=1):
        cleaned = line.rstrip(f"\r{_BLANKS}")
        while cleaned.startswith("./"):
            cleaned = cleaned[2:].lstrip("/")
        if cleaned.strip(_BLANKS) and not cleaned.startswith("#"):
            yield number, cleaned


def _check_form(text: str, where: str) -> None:
    """Refuse a list in JSON: none of its lines would name anything, and it is one word to say why."""
    if not text.lstrip().startswith(("[", "{")):
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    if value:
        raise UnusableData(f"{where} is JSON. Write one name a line, without brackets, quotes and commas.")


def _check_line(line: str, where: str, input_url: str) -> None:
    path = line.partition("*")[0]
    if path.startswith("/") or ".." in path.split("/") or "\0" in line:
        inside = path.removeprefix(input_url).lstrip("/")
        is_below = ".." not in inside.split("/") and "\0" not in line
        hint = f" Write {inside[:200]!r}." if is_below and inside else ""
        raise UnusableData(
            f"{where}: {line[:200]!r} leaves the input. Names are relative to the input datasource, "
            f"without '..' and a leading '/'.{hint}"
        )


def _parse_wildcard(line: str) -> Wildcard:
    prefix, _, rest = line.partition("*")
    without_effect, *patterns = re.split(rf"(?<!\\)[{_BLANKS}]+", rest)
    return Wildcard(line, _strip_escape(prefix), compile_gitignore([compose(p) for p in patterns]), without_effect)


def _strip_escape(name: str) -> str:
    return name[1:] if name.startswith("\\#") else name
