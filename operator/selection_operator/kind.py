"""What the loop asks of a kind of our objects, and what it is told: values, and functions without effects.

A kind is looked at, decided about and written by its own room; the loop knows it by its Kind alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from selection_operator.settings import Settings
from selection_operator.views.custom_objects import CustomObject
from selection_operator.views.progress import LiveProgress
from selection_operator.views.resources import Resource

V = TypeVar("V")
C = TypeVar("C", bound=CustomObject)
O = TypeVar("O")  # noqa: E741 - what a kind observes


@dataclass(frozen=True)
class CreateFailure:
    """What the API server answered when a child was to be made."""

    status: int
    """The HTTP status; 0 when it gave none."""
    message: str
    generation: int = 0
    """Of the spec that the child was made from."""

    @property
    def is_rejection(self) -> bool:
        """Whether this child will never be taken: its values (422), its types (400) or its size (413) are wrong."""
        return self.status in (400, 413, 422)


@dataclass(frozen=True)
class Lookup(Generic[V]):
    """A list that is read from the API server for one pass, because the caches can't tell."""

    resource: Resource[V]
    namespace: str
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a pass knows besides the object itself, at one moment."""

    now: datetime
    objects: Mapping[Resource[Any], Sequence[Any]] = field(default_factory=dict)
    live: Mapping[str, LiveProgress] = field(default_factory=dict)
    """What running pods have said of themselves, by pod uid."""
    create_failure: CreateFailure | None = None
    """Why a child could not be made of this generation; None when nobody has tried, or it was."""

    def of(self, resource: Resource[V]) -> Sequence[V]:
        """Return the object's children: what a lookup has found where one was made, else what the watch has."""
        return self.objects.get(resource, ())


@dataclass(frozen=True)
class Create:
    """Make a child, unless it is there already."""

    resource: Resource[Any]
    body: dict[str, Any]


@dataclass(frozen=True)
class Patch:
    """Change some fields of an object (a JSON merge patch)."""

    resource: Resource[Any]
    namespace: str
    name: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete this very object, not one that has its name by now."""

    resource: Resource[Any]
    target: CustomObject


Action = Create | Patch | Delete
"""Each is safe to repeat."""


@dataclass(frozen=True)
class Decision:
    """What a pass wants: first the status is written (where it differs), then the actions are carried out."""

    status: dict[str, Any] | None = None
    """None: leave it."""
    actions: tuple[Action, ...] = ()
    again_after: float | None = None
    """Look again after this many seconds, whatever happens."""


@dataclass(frozen=True)
class Kind(Generic[C, O]):
    """One kind of our objects."""

    name: str
    """As in its objects' keys; the field that names one in logs."""
    resource: Resource[C]
    children: tuple[Resource[Any], ...]
    """What is made for its objects; a change of one is a reason for a pass over its owner."""
    lookups: Callable[[C, Surroundings, Settings], Iterable[Lookup[Any]]]
    """What must be read anew for this pass; mostly nothing."""
    observe: Callable[[C, Surroundings, Settings], O]
    decide: Callable[[C, O, Settings], Decision]
    substance: Callable[[Mapping[str, Any]], object]
    """What of a status is more than words and progress, which are left alone where another process wrote them."""
    make_event: Callable[[C, Mapping[str, Any], datetime], dict[str, Any] | None]
    """The Event for a status just written, given the one before; None when there is nothing new to tell."""

    @property
    def watched(self) -> tuple[Resource[Any], ...]:
        """Its objects and their children."""
        return (self.resource, *self.children)
