"""An object of one of our own kinds as the API server holds it, and the key by which the loop knows it."""

from dataclasses import dataclass
from typing import NamedTuple

from selection_operator.views.raw import Raw


class Key(NamedTuple):
    """Which object a pass is about."""

    kind: str
    """In a word for people, such as run."""
    namespace: str
    name: str


@dataclass(frozen=True)
class CustomObject:
    """What the objects of all our kinds have alike."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    document: Raw
    """apiVersion, kind, metadata (name, namespace, uid, labels), spec."""
    status: Raw

    @property
    def owner(self) -> Key:
        """Whose pass looks at it: its own."""
        return self.key

    @property
    def operator(self) -> str:
        """The operator that wrote its status; '' when none has, or one that leaves no name."""
        return str(self.status.get("operator", ""))

    def is_true(self, condition: str) -> bool:
        """Say whether the status holds a condition of this type with status True."""
        return any(each["type"] == condition and each["status"] == "True" for each in self.status.get("conditions", []))
