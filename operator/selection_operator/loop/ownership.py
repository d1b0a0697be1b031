"""Which of several operators writes an object's status, and for how long the others leave it alone.

An object is served by the operator whose name its status carries: the first one that wrote it. Others stand back, leave
its words alone, and take over when it has not told what happened for a while. Two processes of one name (an old pod and
the one that replaces it) both write what has happened, but neither writes over the other's words about the same.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from selection_operator.kind import Decision
from selection_operator.views.custom_objects import CustomObject, Key

log = logging.getLogger("selection_operator")

PATIENCE_SECONDS = 60.0
"""A status that is out of date for so long has nobody who writes it."""
LONGEST_PATIENCE_SECONDS = 3600.0


@dataclass
class _Sight:
    """A version that somebody else wrote."""

    version: str
    differs_since: float | None = None
    """Since when we would have written something else."""


@dataclass
class Ownership:
    """What one operator knows of the statuses that it writes and of those that others write."""

    name: str
    clock: Callable[[], float]
    """Seconds."""
    patience: float = PATIENCE_SECONDS
    _agreed: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    """The status that we wrote last, or would have written."""
    _sights: dict[Key, _Sight] = field(default_factory=dict)
    _lost: dict[Key, int] = field(default_factory=dict)
    """How often others took over what was ours: two that never agree write ever more rarely."""

    def is_foreign(self, owner: CustomObject) -> bool:
        """Say whether another operator serves the object."""
        return owner.operator not in ("", self.name)

    def is_overtaken(self, owner: CustomObject) -> bool:
        """Say whether another operator has written since our last look: what we heard before may be older."""
        sight = self._sights.get(owner.key)
        return self.is_foreign(owner) and (sight is None or sight.version != owner.resource_version)

    def agree(self, owner: CustomObject) -> None:
        """Note that the status is as we would write it."""
        self._agreed[owner.key] = owner.status
        if self.is_foreign(owner):
            self._look(owner).differs_since = None
        else:
            self._sights.pop(owner.key, None)

    def forget(self, key: Key) -> None:
        """Drop what is known of an object that is gone."""
        for known in (self._agreed, self._sights, self._lost):
            known.pop(key, None)

    def seconds_to_wait(self, owner: CustomObject, decision: Decision, *, in_substance: bool) -> float:
        """Return for how long a decision is not carried out; 0 when it is ours to do now.

        `in_substance` says that more than words would change, or that a child has told something new.
        """
        known, foreign = self._agreed.get(owner.key), self.is_foreign(owner)
        if decision.status is None and not decision.actions:
            return 0.0
        if not foreign and (in_substance or known is None or known == owner.status):
            return 0.0
        sight, now = self._look(owner), self.clock()
        patience = min(self.patience * float(2 ** min(self._lost.get(owner.key, 0), 10)), LONGEST_PATIENCE_SECONDS)
        if foreign and not in_substance:
            sight.differs_since = None
            return patience
        sight.differs_since = now if sight.differs_since is None else sight.differs_since
        left = max(0.0, sight.differs_since + patience - now)
        if foreign and not left:
            message = "%s has not brought the status up to date for %.0f s: taken over"
            log.warning(message, owner.operator, patience, extra=_fields(owner))
        return left

    def _look(self, owner: CustomObject) -> _Sight:
        """Return what is known of this version, which somebody else wrote."""
        before = self._sights.get(owner.key)
        if before is not None and before.version == owner.resource_version:
            return before
        if before is None and self.is_foreign(owner):
            log.info("%s serves it; this operator stands back", owner.operator, extra=_fields(owner))
        if self.is_foreign(owner) and self._agreed.get(owner.key, {}).get("operator") == self.name:
            del self._agreed[owner.key]
            self._lost[owner.key] = self._lost.get(owner.key, 0) + 1
        sight = self._sights[owner.key] = _Sight(owner.resource_version)
        return sight


def _fields(owner: CustomObject) -> dict[str, str]:
    return {"namespace": owner.key.namespace, owner.key.kind: owner.key.name, "uid": owner.uid}
