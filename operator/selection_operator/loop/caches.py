"""What the watches have delivered: the newest version of each object, by the key of the object it belongs to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from selection_operator.kind import CreateFailure
from selection_operator.views.custom_objects import Key
from selection_operator.views.progress import LiveProgress
from selection_operator.views.resources import Resource


class Cached(Protocol):
    """A view that the caches can hold."""

    @property
    def uid(self) -> str:
        """Its identity."""

    @property
    def resource_version(self) -> str:
        """Its version at the API server."""

    @property
    def owner(self) -> Key:
        """The object of ours whose pass looks at it."""


V = TypeVar("V", bound=Cached)


def version_of(view: Cached) -> int:
    """Return the resource version as a number: the API server's are, and compare within one resource (KEP-5504)."""
    return int(view.resource_version)


@dataclass
class ObjectIndex(Generic[V]):
    """The objects of one resource, the newest version of each, by uid and by owner."""

    objects: dict[str, V] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    """The version of each object that the watch has delivered last."""
    gone: set[str] = field(default_factory=set)
    """Uids that a watch has reported deleted since the last listing began."""
    _by_owner: dict[Key, set[str]] = field(default_factory=dict)

    def put(self, view: V) -> bool:
        """Keep a version unless a newer one is known; say whether it is news."""
        known = self.objects.get(view.uid)
        if view.uid in self.gone or (known is not None and version_of(known) >= version_of(view)):
            return False
        self.objects[view.uid] = view
        self._by_owner.setdefault(view.owner, set()).add(view.uid)
        return True

    def watch(self, view: V, *, deleted: bool) -> None:
        """Take what a watch has delivered."""
        self.delivered[view.uid] = version_of(view)
        if deleted:
            self.gone.add(view.uid)
            self.remove(view.uid)
        else:
            self.put(view)

    def remove(self, uid: str) -> None:
        """Forget an object."""
        view = self.objects.pop(uid, None)
        self.delivered.pop(uid, None)
        if view is not None:
            siblings = self._by_owner.get(view.owner, set())
            siblings.discard(uid)
            if not siblings:
                self._by_owner.pop(view.owner, None)

    def replace(self, listed: Iterable[V], known_before: Mapping[str, V]) -> None:
        """Take a listing: what it lacks is gone, unless it came while the list was on its way."""
        present = {view.uid: view for view in listed}
        for uid in [uid for uid in known_before if uid not in present]:
            self.remove(uid)
        for view in present.values():
            self.put(view)
        self.gone.clear()

    def of(self, owner: Key) -> list[V]:
        """Return the objects that belong to an owner."""
        return [self.objects[uid] for uid in self._by_owner.get(owner, ())]

    def newest(self, owner: Key) -> V | None:
        """Return an owner's newest object: of two of one name, one just deleted and one just created, the latter."""
        return max(self.of(owner), key=version_of, default=None)


@dataclass
class Caches:
    """Everything that a pass reads."""

    indices: dict[Resource[Any], ObjectIndex[Any]]
    live: dict[str, LiveProgress] = field(default_factory=dict)
    """What pods have said of themselves, by pod uid."""
    told: dict[str, LiveProgress] = field(default_factory=dict)
    """What a status has told of it, or what another operator has written over."""
    create_failures: dict[str, CreateFailure] = field(default_factory=dict)
    """Why an object's child could not be made, by the object's uid; forgotten once it is, or is not wanted any more."""

    @classmethod
    def holding(cls, resources: Iterable[Resource[Any]]) -> "Caches":
        """Return empty caches for these resources."""
        return cls({resource: ObjectIndex() for resource in resources})

    def live_of(self, uids: Iterable[str]) -> dict[str, LiveProgress]:
        """Return what these pods have said of themselves, and drop what ended ones had."""
        for uid in self.told.keys() - self.live.keys():
            del self.told[uid]
        return {uid: self.live[uid] for uid in uids if uid in self.live}

    def is_news(self, live: Mapping[str, LiveProgress]) -> bool:
        """Say whether any of this has not been told yet."""
        return any(self.told.get(uid) != said for uid, said in live.items())

    def __getitem__(self, resource: Resource[V]) -> ObjectIndex[V]:
        return self.indices[resource]
