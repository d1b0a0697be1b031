"""Whether the operator is well: its workers get on, and its watches hear."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from selection_operator.caches import Shelf, version_of

LONGEST_WAIT_SECONDS = 300.0
"""A key that waits longer, or a pass that lasts longer, means that the workers are stuck."""


@dataclass
class Hearing:
    """Compares listings with what the watches have delivered.

    A watch is deaf when a version that one listing showed has not been delivered by the next listing: it had a whole
    resync interval to come.
    """

    expected: dict[str, dict[str, int]] = field(default_factory=dict)
    deaf: tuple[str, ...] = ()

    def check(self, shelves: Mapping[str, Shelf[Any]]) -> None:
        """Compare each shelf, just replaced by a listing, with its watch; call it once a resync."""
        self.deaf = tuple(
            kind
            for kind, shelf in shelves.items()
            if any(
                shelf.delivered.get(uid, -1) < version
                for uid, version in self.expected.get(kind, {}).items()
                if uid in shelf.objects
            )
        )
        self.expected = {
            kind: {uid: version_of(view) for uid, view in shelf.objects.items()} for kind, shelf in shelves.items()
        }


def find_ailments(longest_wait: float, workers_alive: bool, hearing: Hearing) -> list[str]:
    """Return what is wrong, in words; empty when all is well."""
    ailments = []
    if not workers_alive:
        ailments.append("a worker has ended")
    if longest_wait > LONGEST_WAIT_SECONDS:
        ailments.append(f"a run has waited {longest_wait:.0f} s for its pass")
    ailments += [f"the watch on {kind} is deaf" for kind in hearing.deaf]
    return ailments
