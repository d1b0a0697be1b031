"""Spellings: one name, several rows of code points.

macOS and what comes from it writes 'é' as 'e' and an accent (Unicode's NFD), nearly everything else as one letter
(NFC). Both are the same name to people and to Unicode, and different ones to file systems and buckets. Names stay as
they are listed; where one is sought and is not there as it is spelled, the one of the same composed form is meant,
if there is only one.
"""

import unicodedata
from collections.abc import Callable, Iterable

IN_ANOTHER_FORM = "spelled in another Unicode form (NFC or NFD)"
"""For notes, which say that a name was found although it is spelled otherwise."""


def compose(name: str) -> str:
    """Return the name's composed form, NFC, which all its spellings share."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def decompose(name: str) -> str:
    """Return the name's decomposed form, NFD."""
    return name if name.isascii() else unicodedata.normalize("NFD", name)


class Spellings:
    """Finds names by other spellings than their own. Memory: some 300 bytes a name that is not composed."""

    def __init__(self, names: Iterable[str], is_there: Callable[[str], bool]) -> None:
        """Take in the names; is_there says of a spelling whether it is one of them."""
        self._is_there = is_there
        self._by_composed: dict[str, set[str]] = {}
        for name in names:
            if not (name.isascii() or unicodedata.is_normalized("NFC", name)):
                self._by_composed.setdefault(compose(name), set()).add(name)

    def list_others(self, name: str) -> list[str]:
        """Return all names that are this one in another spelling, sorted."""
        if not self._by_composed and name.isascii():
            return []
        composed = compose(name)
        others = self._by_composed.get(composed, set()) - {name}
        return sorted(others | {composed} if composed != name and self._is_there(composed) else others)

    def find_other(self, name: str) -> str | None:
        """Return the name that is meant by one that is not there as it is spelled; None for no or several ones."""
        others = self.list_others(name)
        return others[0] if len(others) == 1 else None
