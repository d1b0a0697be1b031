"""Query: what a QUERIES input looks for, in sentences or in images."""

from collections.abc import Sequence
from dataclasses import dataclass

from selection_api.selection_config import SelectionInput

_LONGEST_TEXT = 60


@dataclass(frozen=True)
class Query:
    """Equal ones have the same values. Either texts or a folder is there."""

    texts: tuple[str, ...] = ()
    other_texts: tuple[str, ...] = ()
    """What else an image may show."""
    folder: str = ""
    """Of images in the lightly datasource, with a trailing '/'."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Texts, then other_texts."""
        return (*self.texts, *self.other_texts)

    def describe(self) -> str:
        """Return the query in a few words.

        >>> Query(("a cyclist", "a bicycle"), ("a road",)).describe()
        '"a cyclist" and 1 more against 1 other'
        >>> Query(folder="holes/").describe()
        'images of holes/'
        """
        if self.folder:
            return f"images of {shorten_text(self.folder)}"
        words = list_texts(self.texts)
        n = len(self.other_texts)
        return f"{words} against {n} other{'s' if n > 1 else ''}" if n else words


def make_query(given: SelectionInput) -> Query:
    """Return what a QUERIES input looks for."""
    folder = given.images or ""
    return Query(
        given.texts or (), given.other_texts or (), folder if folder.endswith("/") or not folder else f"{folder}/"
    )


def list_texts(texts: Sequence[str]) -> str:
    """Return the first sentence between quotes, and how many more there are."""
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f'"{shorten_text(texts[0])}"{more}'


def shorten_text(text: str) -> str:
    """Return a text of at most 60 letters, on one line."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"
