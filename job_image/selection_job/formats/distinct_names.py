"""Distinct names: what two things are called whose names would meet in what is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class Renamed:
    """Something that is written by another name than usual, since that one is another's or refused."""

    what: str
    name: str
    written_as: str


def keep_apart(wanted: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return each name as it is wanted the first time, and with _2, _3, … behind it where it is another's already.

    taken  belong to others from the start
    None of the numbered names is one that is wanted.

    >>> keep_apart(["a", "a", "a_2", "a", "id"], taken=["id"])
    ['a', 'a_3', 'a_2', 'a_4', 'id_2']
    """
    return list(_keep_apart(wanted, set(taken)))


def _keep_apart(wanted: Sequence[str], given: set[str]) -> Iterator[str]:
    used = given | set(wanted)
    for name in wanted:
        own = name
        if name in given:
            own = next(numbered for number in count(2) if (numbered := f"{name}_{number}") not in used)
            used.add(own)
        given.add(own)
        yield own


def list_renamed(what: str, usual: Sequence[str], names: Sequence[str], written: Sequence[str]) -> list[Renamed]:
    """Return those of the names that are not written as usual."""
    rows = zip(usual, names, written, strict=True)
    return [Renamed(what, name, own) for plain, name, own in rows if own != plain]
