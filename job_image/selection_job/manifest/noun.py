"""Noun: what the sentences of a run call one thing that is chosen or looked at, and several."""

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

    @property
    def with_article(self) -> str:
        """The word with "a" or "an".

        >>> IMAGE.with_article, FRAME.with_article
        ('an image', 'a frame')
        """
        return f"{'an' if self.singular[0] in 'aeiou' else 'a'} {self.singular}"


IMAGE, FRAME, VIDEO = Noun("image", "images"), Noun("frame", "frames"), Noun("video", "videos")
FILE, NAME, ROW = Noun("file", "files"), Noun("name", "names"), Noun("row", "rows")
OBJECT, SEQUENCE = Noun("object", "objects"), Noun("sequence", "sequences")
