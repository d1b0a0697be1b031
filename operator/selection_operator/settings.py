"""The operator's own settings, from its environment."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError

from selection_api.pod_template import Resources
from selection_api.status import LONGEST_IDENTITY

TRUE_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
PULL_POLICIES = ("Always", "IfNotPresent", "Never")


class InvalidSettings(ValueError):
    """The operator's environment is wrong; the message names the variable."""


@dataclass(frozen=True)
class Settings:
    """What whoever installed the operator has decided."""

    job_image: str
    """The image of Jobs, unless a run's podTemplate names another."""

    job_image_pull_policy: str = "IfNotPresent"
    """As in a Pod."""

    job_image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the runs' namespaces."""

    job_resources: Resources = field(default_factory=Resources)
    """What a Job's container gets when the run says nothing, without GPUs."""

    gpu_resource: str = "nvidia.com/gpu"
    """The extended resource that a GPU is asked for by."""

    shared_memory_size: str = "2Gi"
    """The size of /dev/shm, unless a run's podTemplate says otherwise."""

    scratch_size: str = "20Gi"
    """The size limit of /tmp, and what a Job asks of the node's ephemeral storage."""

    watch_namespaces: tuple[str, ...] = ()
    """The namespaces to serve; empty for the whole cluster."""

    resync_seconds: float = 300.0
    """How often everything is listed anew, in case a watch has missed something."""

    progress_seconds: float = 10.0
    """How often a running pod is asked how far it is."""

    kueue_enabled: bool = False
    """Whether Workloads may be patched, so that spec.suspend works under a Kueue queue."""

    identity: str = "selection-operator"
    """The name that it leaves in the statuses it writes: the same after a restart, another for another installation."""

    log_level: str = "INFO"
    """As in logging."""

    listen: tuple[str, int] = ("0.0.0.0", 8080)  # noqa: S104 - the kubelet's probes come from outside the pod
    """Where /healthz and /metrics are served."""


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from SELECTION_* variables. Raises InvalidSettings naming the wrong variable."""
    read = _Reader(environment)
    namespaces = read.names("WATCH_NAMESPACES")
    return Settings(
        job_image=read.image("JOB_IMAGE"),
        job_image_pull_policy=read.choice("JOB_IMAGE_PULL_POLICY", PULL_POLICIES, "IfNotPresent"),
        job_image_pull_secrets=read.names("JOB_IMAGE_PULL_SECRETS"),
        job_resources=read.resources("JOB_RESOURCES"),
        gpu_resource=read.text("GPU_RESOURCE", "nvidia.com/gpu"),
        shared_memory_size=read.text("SHARED_MEMORY_SIZE", "2Gi"),
        scratch_size=read.text("SCRATCH_SIZE", "20Gi"),
        watch_namespaces=namespaces,
        resync_seconds=read.seconds("RESYNC_SECONDS", 300.0),
        progress_seconds=read.seconds("PROGRESS_SECONDS", 10.0),
        kueue_enabled=read.flag("KUEUE_ENABLED"),
        identity=read.identity("IDENTITY", namespaces),
        log_level=read.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        listen=read.address("LISTEN", "0.0.0.0:8080"),
    )


@dataclass(frozen=True)
class _Reader:
    environment: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environment.get(f"SELECTION_{name}", "").strip() or default

    def image(self, name: str) -> str:
        value = self.text(name, "")
        if not value:
            raise InvalidSettings(f"SELECTION_{name} is not set")
        if "://" in value:
            raise InvalidSettings(f"SELECTION_{name} is {value!r}: an image begins with its registry, without a scheme")
        return value

    def identity(self, name: str, namespaces: tuple[str, ...]) -> str:
        """Return the name given; else one that tells operators of different namespaces apart."""
        where = ",".join(sorted(namespaces))
        suffix = f"-{sha256(where.encode()).hexdigest()[:8]}" if where else ""
        value = self.text(name, f"{Settings.identity}{suffix}")
        if len(value) > LONGEST_IDENTITY:
            raise InvalidSettings(f"SELECTION_{name} has {len(value)} characters; at most {LONGEST_IDENTITY} are taken")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise InvalidSettings(f"SELECTION_{name} is {value!r}; expected one of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool:
        value = self.text(name, "").lower()
        if value not in TRUE_WORDS:
            raise InvalidSettings(f"SELECTION_{name} is {value!r}; expected true or false")
        return TRUE_WORDS[value]

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < 86400:
            raise InvalidSettings(f"SELECTION_{name} is {value!r}; expected seconds, more than 0, at most a day")
        return seconds

    def address(self, name: str, default: str) -> tuple[str, int]:
        host, _, port = self.text(name, default).rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise InvalidSettings(f"SELECTION_{name} is not an address such as 0.0.0.0:8080")
        return host, int(port)

    def resources(self, name: str) -> Resources:
        try:
            return TypeAdapter(Resources).validate_python(json.loads(self.text(name, "{}")))
        except (ValueError, ValidationError) as error:
            raise InvalidSettings(f"SELECTION_{name} is not {{limits: …, requests: …}} in JSON: {error}") from error
