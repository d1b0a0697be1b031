"""Noun: what the sentences of a run call one thing that is chosen or looked at, and several, and the verb with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A word in both its numbers."""

    singular: str
    plural: str

    def form(self, number: int) -> str:
        """Return the word in the number that goes with a count.

        >>> IMAGE.form(1), IMAGE.form(0)
        ('image', 'images')
        """
        return self.singular if number == 1 else self.plural

    def count(self, number: int) -> str:
        """Return a number with its noun.

        >>> IMAGE.count(1), IMAGE.count(2000)
        ('1 image', '2,000 images')
        """
        return f"{number:,} {self.form(number)}"

    def count_with(self, number: int, verb: str) -> str:
        """Return a number with its noun and a verb, which is given as several take it.

        >>> IMAGE.count_with(1, "have"), IMAGE.count_with(2, "have")
        ('1 image has', '2 images have')
        """
        return f"{self.count(number)} {agree(number, verb)}"

    @property
    def with_article(self) -> str:
        """The word with "a" or "an".

        >>> IMAGE.with_article, FRAME.with_article
        ('an image', 'a frame')
        """
        return f"{'an' if self.singular[0] in 'aeiou' else 'a'} {self.singular}"


_OF_ONE = {"are": "is", "have": "has", "were": "was", "they": "it", "them": "it", "their": "its"}


def agree(number: int, word: str) -> str:
    """Return a verb or pronoun, given as it goes with several, in the number that goes with a count.

    >>> agree(1, "are"), agree(1, "pass"), agree(1, "lie"), agree(1, "them")
    ('is', 'passes', 'lies', 'it')
    >>> agree(0, "are"), agree(2, "pass")
    ('are', 'pass')
    """
    if number != 1:
        return word
    return _OF_ONE.get(word) or f"{word}{'es' if word.endswith(('s', 'sh', 'ch')) else 's'}"


IMAGE, FRAME, VIDEO = Noun("image", "images"), Noun("frame", "frames"), Noun("video", "videos")
FILE, NAME, ROW = Noun("file", "files"), Noun("name", "names"), Noun("row", "rows")
OBJECT, SEQUENCE = Noun("object", "objects"), Noun("sequence", "sequences")
LINE, FOLDER = Noun("line", "lines"), Noun("folder", "folders")
NUMBER, BOX = Noun("number", "numbers"), Noun("box", "boxes")
