"""Problems of a manifest, and the one error that carries them all."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""The way to a field: keys and list indices from the manifest's root."""

LONGEST_QUOTE = 120
LONGEST_NUMBER = 30
LONGEST_LIST = 4
LONGEST_INTEGER_BITS = 1024

MOST_TOLD = 50
"""Problems that a message tells one by one; of more than these it tells the number."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (spec.workerConfig.method; empty for the manifest itself) and a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        """One line, whatever the manifest holds."""
        return f"{self.path or 'manifest'}: {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule between fields, before it becomes a Problem.

    `depends_on` names further places the rule has read: when one of them (or something inside it) is wrong in itself,
    the finding may be a mere consequence and is kept back.
    """

    location: Location
    message: str
    depends_on: tuple[Location, ...] = ()


class ManifestError(ValueError):
    """A manifest that can't be run; str() is one message with one line a problem, for the first MOST_TOLD of them.

    n_more  how many fields are wrong besides, which nobody has put into words
    """

    def __init__(self, problems: Iterable[Problem], n_more: int = 0) -> None:
        self.problems = list(problems)
        self.n_more = n_more
        lines = [str(problem) for problem in self.problems[:MOST_TOLD]]
        n = len(self.problems) + n_more
        first = f"; the first {len(lines)}" if n > len(lines) else ""
        super().__init__("\n  ".join([f"The manifest has {n:,} problem{'s' if n > 1 else ''}{first}:", *lines]))


def render_path(location: Sequence[str | int]) -> str:
    """Write a location as people do: spec.selectionConfig.strategies[0].input, labels['a.b/c']."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif len(part) <= LONGEST_QUOTE and part.replace("_", "").replace("-", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{quote(part)}]"
    return text


def quote(text: str) -> str:
    """Put a user's text between single quotes, on one line, not too long."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"')
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped)
    return f"'{escaped[:LONGEST_QUOTE]}…'" if len(escaped) > LONGEST_QUOTE else f"'{escaped}'"


def describe_value(value: object) -> str:
    """Say what was found, in words: the string '10', the number 2.5, a list."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {_write_number(value)}"
    if isinstance(value, str):
        return f"the string {quote(value)}" if value else "an empty string"
    if isinstance(value, list | tuple):
        return _describe_list(value)
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"


def _describe_list(entries: Sequence[object]) -> str:
    numbers = [
        _write_number(entry) for entry in entries if isinstance(entry, int | float) and not isinstance(entry, bool)
    ]
    if entries and len(numbers) == len(entries) <= LONGEST_LIST:
        return f"[{', '.join(numbers)}]"
    return f"a list of {len(entries)}" if entries else "an empty list"


def _write_number(number: float) -> str:
    if isinstance(number, int) and number.bit_length() > LONGEST_INTEGER_BITS:
        return f"of {number.bit_length()} bits"  # Python refuses to write out integers of thousands of digits
    text = str(int(number)) if isinstance(number, float) and number.is_integer() and abs(number) < 1e15 else str(number)
    return text if len(text) <= LONGEST_NUMBER else f"{text[:LONGEST_NUMBER]}…"
