"""HalfMatch: whether an encoder tells pictures apart, without labels: does a left half find its own right half?

Both halves show one scene and share no pixel. An encoder that sees scenes puts them near each other. How many find each
other depends on the pictures as much as on the encoder (crops of one wall all look alike), so the same halves are also
compared by their colours alone: what an encoder sees shows in how far it is beyond them. docs/encoders.md has figures.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

LEAST_PICTURES = 20
"""Fewer different pictures tell nothing."""

_SEEING_SHARE = 0.75
"""Never LOW from here on, however much colours tell."""
_CHANCE_MATCHES = 3
"""Guessing finds one, and three by luck."""
_FIELDS = ("n_pictures", "n_matched", "n_by_colours")

Verdict = Literal["TOO_FEW", "LOW", "FINE"]


@dataclass(frozen=True)
class HalfMatch:
    """Of so many left halves so many have their own right half nearest, by the cosine of their vectors."""

    n_pictures: int
    n_matched: int
    """By the encoder's embeddings."""
    n_by_colours: int
    """By histograms of 64 colours."""

    @property
    def verdict(self) -> Verdict:
        """LOW: the encoder finds less than three in four, and no more than colours alone do or than guessing may."""
        if self.n_pictures < LEAST_PICTURES:
            return "TOO_FEW"
        is_seeing = self.n_matched >= _SEEING_SHARE * self.n_pictures
        return "FINE" if is_seeing or self.n_matched > max(self.n_by_colours, _CHANCE_MATCHES) else "LOW"


def save_match(match: HalfMatch, path: Path) -> None:
    """Write it as JSON."""
    path.write_text(json.dumps(asdict(match)), encoding="utf-8")


def load_match(path: Path) -> HalfMatch | None:
    """Read what save_match wrote; None where there is no such file. Raises ValueError where it is something else."""
    if not path.exists():
        return None
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or not all(type(content.get(field)) is int for field in _FIELDS):
        raise ValueError(f"{path.name} does not say how many halves match")
    match = HalfMatch(*(content[field] for field in _FIELDS))
    if not all(0 <= number <= match.n_pictures for number in (match.n_matched, match.n_by_colours)):
        raise ValueError(f"{path.name} says that more halves match than there are")
    return match
