"""metadata: what Kubernetes keeps about an object, as far as a run reads it."""

from typing import Annotated

from pydantic import Field

from selection_api.model import DNS_LABEL, DNS_SUBDOMAIN, Integer, Items, KubernetesModel, OpenMapping
from selection_api.names import LONGEST_NAME

OF_THE_SERVER = {
    *("generation", "resource_version", "creation_timestamp", "deletion_timestamp", "deletion_grace_period_seconds"),
    *("generate_name", "self_link", "finalizers", "owner_references", "managed_fields"),
}
"""Fields that say nothing about what the run should do."""


class Metadata(KubernetesModel):
    """metav1.ObjectMeta. A manifest gives the name; the rest is optional or the server's."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=DNS_LABEL)]
    """The run's name: at most 54 characters, so that the Job's name fits 63."""

    namespace: Annotated[str, Field(max_length=63, pattern=DNS_LABEL)] | None = None
    """The namespace."""

    labels: dict[str, str] = Field(default_factory=dict)
    """Labels; kueue.x-k8s.io/queue-name is copied to the Job."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations."""

    uid: Annotated[str, Field(min_length=8, max_length=64, pattern=DNS_SUBDOMAIN)] | None = None
    """The server's: the run's identity; absent in a manifest."""

    generation: Integer | None = None
    """The server's: how often the spec has changed."""

    resource_version: str | None = None
    """The server's: changes with every write."""

    creation_timestamp: str | None = None
    """The server's: when the run was created."""

    deletion_timestamp: str | None = None
    """The server's: when the run was asked to go."""

    deletion_grace_period_seconds: Integer | None = None
    """The server's: how long it may take to go."""

    generate_name: str | None = None
    """A prefix from which the server makes the name."""

    self_link: str | None = None
    """The server's, out of use."""

    finalizers: Items[str] = ()
    """Who must act before the run may go; never ours."""

    owner_references: Items[OpenMapping] = ()
    """Objects that own the run."""

    managed_fields: Items[OpenMapping] = ()
    """The server's: who set which field."""
