"""Reading raw objects: what each kind of them has alike."""

from collections.abc import Iterable, Mapping
from typing import Any

Raw = Mapping[str, Any]


def controller_of(metadata: Raw) -> str:
    """Return the uid of the owner that controls the object; '' without one."""
    return next((str(owner["uid"]) for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), "")


def words_of(conditions: Iterable[Raw], kind: str, status: str) -> str:
    """Return the message of a condition with this status, or its reason; '' when there is none."""
    for condition in conditions:
        if condition.get("type") == kind and condition.get("status") == status:
            return str(condition.get("message") or condition.get("reason") or kind)
    return ""
