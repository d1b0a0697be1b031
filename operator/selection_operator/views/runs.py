"""A SelectionRun as the operator keeps it."""

from dataclasses import dataclass

from selection_api.names import KIND
from selection_operator.views.raw import Raw

RunKey = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class RunView:
    """A SelectionRun as the API server holds it."""

    key: RunKey
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    document: Raw
    """apiVersion, kind, metadata (name, namespace, uid, labels), spec."""
    status: Raw

    def is_true(self, condition: str) -> bool:
        """Say whether the status holds a condition of this type with status True."""
        return any(each["type"] == condition and each["status"] == "True" for each in self.status.get("conditions", []))

    @property
    def suspend(self) -> bool:
        """Whether the user wants the run to wait."""
        return bool(self.document["spec"].get("suspend"))


def view_run(raw: Raw) -> RunView:
    """Return the view of a SelectionRun."""
    metadata = raw["metadata"]
    kept = ("name", "namespace", "uid", "labels")  # annotations often hold a second copy of the spec
    document = {
        "apiVersion": raw["apiVersion"],
        "kind": KIND,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": raw.get("spec") or {},
    }
    return RunView(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        document=document,
        status=raw.get("status") or {},
    )
