"""SelectionRun: the custom resource, as a frozen value."""

from typing import Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from selection_api.encoder_rules import is_built_in
from selection_api.metadata import OF_THE_SERVER, Metadata
from selection_api.model import KubernetesModel
from selection_api.rules import find_broken_rules
from selection_api.spec import SelectionRunSpec
from selection_api.status import Status
from selection_api.worker_config import BUILT_IN

BROKEN_RULES = "broken_rules"
NOT_SETTINGS: dict[str, Any] = {"status": True, "metadata": OF_THE_SERVER}


class SelectionRun(KubernetesModel):
    """One run: what should happen (spec) and, in a cluster, what has happened (status)."""

    api_version: Literal["dataselection.io/v1alpha1"]
    """The group and version of this resource."""

    kind: Literal["SelectionRun"]
    """The kind of this resource."""

    metadata: Metadata
    """The run's name, labels and what the server adds."""

    spec: SelectionRunSpec
    """What should happen."""

    status: Status | None = None
    """What has happened; the operator's."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        findings = list(find_broken_rules(self.spec))
        if findings:
            raise PydanticCustomError(BROKEN_RULES, "rules between fields are broken", {"findings": findings})
        return self

    @property
    def dataset_name(self) -> str:
        """The dataset's name; the run's when none is given."""
        return self.spec.dataset.name or self.metadata.name

    def user_settings(self) -> dict[str, Any]:
        """Return what the user set, as a manifest; null, being absent, is not in it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=NOT_SETTINGS)

    def resolved_settings(self) -> dict[str, Any]:
        """Return the manifest with every default written out; it reads back as an equal run, its encoder named.

        Left out are keys that would contradict what the user said: the legacy form of selection beside a
        selectionConfig, trainer.gpus beside resources with fewer GPUs, and lightly's networks beside an encoder.
        """
        settings = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=NOT_SETTINGS)
        spec = settings["spec"]
        if self.spec.selection_config is not None:
            for key in ("method", "stopping_condition", "scorer", "active_learning"):
                spec["workerConfig"].pop(key)
        if self.spec.resources is not None and "gpus" not in self.spec.lightly_config.trainer.model_fields_set:
            spec["lightlyConfig"]["trainer"].pop("gpus")
        if is_built_in(self.spec):
            spec["workerConfig"]["encoder"] = BUILT_IN
        if spec["workerConfig"]["encoder"]:
            spec["lightlyConfig"].pop("model")
            spec["lightlyConfig"]["collate"].pop("input_size")
        return settings
