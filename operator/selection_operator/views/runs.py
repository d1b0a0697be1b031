"""A SelectionRun as the operator keeps it."""

from dataclasses import dataclass

from selection_api.names import API_VERSION, KIND
from selection_operator.views.custom_objects import CustomObject, Key
from selection_operator.views.raw import Raw

RUN = "run"
"""The kind in a run's Key."""


@dataclass(frozen=True)
class RunView(CustomObject):
    """A SelectionRun as the API server holds it."""

    @property
    def suspend(self) -> bool:
        """Whether the user wants the run to wait."""
        return bool(self.document["spec"].get("suspend"))


def view_run(raw: Raw) -> RunView:
    """Return the view of a SelectionRun."""
    metadata = raw["metadata"]
    kept = ("name", "namespace", "uid", "labels")  # annotations often hold a second copy of the spec
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": raw.get("spec") or {},
    }
    return RunView(
        key=Key(RUN, metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
        document=document,
        status=raw.get("status") or {},
    )
