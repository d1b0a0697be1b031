"""Noun: what the sentences of a run call one thing that is chosen, and several."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A word in both its numbers."""

    singular: str
    plural: str


IMAGE = Noun("image", "images")
FRAME = Noun("frame", "frames")
OBJECT = Noun("object", "objects")
SEQUENCE = Noun("sequence", "sequences")
