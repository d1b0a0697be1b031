"""Whether the operator is well: its workers get on, and its watches deliver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from selection_operator.loop.caches import ObjectIndex, version_of
from selection_operator.views.resources import Resource

LONGEST_WAIT_SECONDS = 300.0
"""A key that waits longer, or a pass that lasts longer, means that the workers are stuck."""


@dataclass
class WatchLiveness:
    """Compares listings with what the watches have delivered.

    A watch is stale when a version that one listing showed has not been delivered by the next listing: it had a whole
    resync interval to come.
    """

    expected: dict[Resource[Any], dict[str, int]] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    """The resources, by their plural."""

    def check(self, indices: Mapping[Resource[Any], ObjectIndex[Any]]) -> None:
        """Compare each index, just replaced by a listing, with its watch; call it once a resync."""
        self.stale = tuple(
            resource.plural
            for resource, index in indices.items()
            if any(
                index.delivered.get(uid, -1) < version
                for uid, version in self.expected.get(resource, {}).items()
                if uid in index.objects
            )
        )
        self.expected = {
            resource: {uid: version_of(view) for uid, view in index.objects.items()}
            for resource, index in indices.items()
        }


def find_health_problems(longest_wait: float, workers_alive: bool, liveness: WatchLiveness) -> list[str]:
    """Return what is wrong, in words; empty when all is well."""
    problems = []
    if not workers_alive:
        problems.append("a worker has ended")
    if longest_wait > LONGEST_WAIT_SECONDS:
        problems.append(f"a run has waited {longest_wait:.0f} s for its pass")
    problems += [f"the watch on {plural} is deaf" for plural in liveness.stale]
    return problems
