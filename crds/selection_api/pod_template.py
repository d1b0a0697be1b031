"""spec.podTemplate and spec.resources: what a user may say about the Job's pod, and nothing more."""

from typing import Annotated, Literal

from pydantic import Field

from selection_api.model import (
    PATTERN_WORDS,
    Integer,
    Items,
    KubernetesModel,
    ObjectName,
    OpenMapping,
    Quantity,
)

ENV_NAME = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"
LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
QUALIFIED_NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"
IMAGE = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$"
PATTERN_WORDS |= {
    ENV_NAME: "letters, digits, '_', '-' and '.', not starting with a digit",
    LABEL_VALUE: "letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    QUALIFIED_NAME: "a name such as app or example.com/app",
    IMAGE: "an image such as registry.example.com/selection-job:1.0",
}
LabelKey = Annotated[str, Field(max_length=317, pattern=QUALIFIED_NAME)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[LabelKey, Annotated[str, Field(max_length=65536)]], Field(max_length=64)]


class Resources(KubernetesModel):
    """What the Job's container gets."""

    limits: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] = Field(default_factory=dict)
    """The most it may use, such as {cpu: 4, memory: 16Gi, nvidia.com/gpu: 1}."""

    requests: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] = Field(default_factory=dict)
    """What it is promised; the limits when absent."""

    @property
    def gpu_limit(self) -> int:
        """How many GPUs, or parts of one, it may use."""
        return sum(int(v) for k, v in self.limits.items() if _is_gpu(k) and str(v).isdigit())


def _is_gpu(resource: str) -> bool:
    """Say whether a resource of a node is a GPU or a part of one."""
    return resource.endswith("/gpu") or resource.startswith(("nvidia.com/gpu", "nvidia.com/mig-", "gpu.intel.com/"))


class Toleration(KubernetesModel):
    """A taint that the pod tolerates."""

    key: Annotated[str, Field(max_length=317)] | None = None
    """The taint's key; absent with Exists for all."""

    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    """How value is compared; Equal when absent."""

    value: Annotated[str, Field(max_length=63)] | None = None
    """The taint's value."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; absent for all."""

    toleration_seconds: Annotated[Integer, Field(ge=-(2**53), le=2**53)] | None = None
    """How long NoExecute is tolerated."""


class KeyReference(KubernetesModel):
    """A key of a Secret or ConfigMap in the run's namespace."""

    name: ObjectName
    """The object's name."""

    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key in it."""

    optional: bool = False
    """Whether the pod starts without it."""


class FieldReference(KubernetesModel):
    """A field of the pod itself."""

    field_path: Annotated[str, Field(min_length=1, max_length=253)]
    """The path, such as status.podIP."""

    api_version: Annotated[str, Field(max_length=63)] = "v1"
    """The version the path is written for."""


class EnvironmentSource(KubernetesModel):
    """Where an environment variable's value comes from; one of the three."""

    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""

    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""

    field_ref: FieldReference | None = None
    """A field of the pod."""


class EnvironmentVariable(KubernetesModel):
    """An environment variable of the Job's container."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=ENV_NAME)]
    """The variable's name."""

    value: Annotated[str, Field(max_length=32768)] | None = None
    """The variable's value."""

    value_from: EnvironmentSource | None = None
    """Where the value comes from, instead of `value`."""


class ImagePullSecret(KubernetesModel):
    """A Secret in the run's namespace."""

    name: ObjectName
    """The Secret's name."""


class PodTemplate(KubernetesModel):
    """What the Job's pod gets besides what the operator decides."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the pod."""

    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the pod."""

    node_selector: Labels = Field(default_factory=dict)
    """Labels that the node must have."""

    tolerations: Annotated[Items[Toleration], Field(max_length=64)] = ()
    """Taints that the pod tolerates."""

    affinity: OpenMapping = Field(default_factory=dict, json_schema_extra={"x-default": "{}"})
    """Where the pod prefers or needs to run, as in a Pod: nodeAffinity, podAffinity, podAntiAffinity."""

    service_account_name: ObjectName | None = None
    """The service account, for workload identity. Its token is never mounted."""

    priority_class_name: ObjectName | None = None
    """The priority class."""

    runtime_class_name: ObjectName | None = None
    """The runtime class, such as nvidia."""

    image_pull_secrets: Annotated[Items[ImagePullSecret], Field(max_length=16)] = ()
    """Secrets for pulling the image."""

    env: Annotated[Items[EnvironmentVariable], Field(max_length=128)] = ()
    """Further environment variables of the job's container."""

    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=IMAGE)] | None = None
    """The job's image, instead of the chart's."""

    shared_memory_size: Quantity | None = Field(default=None, json_schema_extra={"x-default": "the chart's"})
    """The size of /dev/shm, such as 2Gi."""
