"""From a run to its Plan: the run's names and what its pod needs, decided and checked before anything is made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from selection_api import ManifestError, Problem, SelectionRun, check_supported, parse_manifest
from selection_api.datasource import Datasource
from selection_api.names import ANNOTATION_MANIFEST, API_VERSION, KIND, LABEL_PRIORITY, LABEL_QUEUE, Reason, run_id
from selection_api.pod_template import Resources
from selection_operator.settings import Settings

MOST_ANNOTATION_BYTES = 200_000
"""The API server takes 256 KiB of annotations; the rest is left to other controllers (Kueue, service meshes)."""

KEPT_LABELS = (LABEL_QUEUE, LABEL_PRIORITY)
PURPOSES = ("input", "lightly")


class Rejected(Exception):
    """A run that gets no Job; the reason and a message with every problem."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Mount:
    """A claim's place in the container."""

    path: str
    read_only: bool


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim and where it is mounted."""

    name: str
    mounts: tuple[Mount, ...]


@dataclass(frozen=True)
class Plan:
    """All that the Job depends on besides the operator's settings."""

    run: SelectionRun
    uid: str
    job_name: str
    manifest: str
    resources: Resources
    claims: tuple[Claim, ...]
    secrets: Mapping[str, str]
    """Secret names by purpose (input, lightly)."""

    @property
    def digest(self) -> str:
        """The manifest's digest, as the job checks it."""
        return f"sha256:{sha256(self.manifest.encode()).hexdigest()}"


def make_plan(document: Mapping[str, Any], settings: Settings) -> Plan:
    """Return the plan of a run as the API server holds it. Raises Rejected with every problem."""
    run = _validate(document)
    uid = document["metadata"]["uid"]
    plan = Plan(
        run=run,
        uid=uid,
        job_name=run_id(run.metadata.name, uid),
        manifest=_write_manifest(document),
        resources=_resources_of(run, settings),
        claims=_claims_of(run),
        secrets=_secrets_of(run),
    )
    _check_size(plan)
    return plan


def _validate(document: Mapping[str, Any]) -> SelectionRun:
    try:
        run = parse_manifest({key: value for key, value in document.items() if key != "status"})
    except ManifestError as error:
        raise Rejected(Reason.INVALID_SPEC, str(error)) from error
    try:
        check_supported(run)
    except ManifestError as error:
        raise Rejected(Reason.NOT_SUPPORTED, str(error)) from error
    problems = list(_problems_in_a_cluster(run))
    if problems:
        raise Rejected(Reason.INVALID_SPEC, str(ManifestError(problems)))
    return run


def _problems_in_a_cluster(run: SelectionRun) -> list[Problem]:
    """Return what is right on a laptop and wrong in a pod: folders that no claim brings there."""
    message = "type LOCAL needs a persistentVolumeClaim in a cluster: the pod has no other folder than a claim's"
    return [
        Problem(f"spec.datasources.{purpose}", message)
        for purpose in PURPOSES
        if _datasource(run, purpose).type == "LOCAL" and _datasource(run, purpose).persistent_volume_claim is None
    ]


def _datasource(run: SelectionRun, purpose: str) -> Datasource:
    datasource: Datasource = getattr(run.spec.datasources, purpose)
    return datasource


def _write_manifest(document: Mapping[str, Any]) -> str:
    """Return the manifest for the job: what the user wrote, and the run's identity; the same bytes for the same run."""
    metadata = document["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata}
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": kept, "spec": document["spec"]}
    return json.dumps(manifest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _resources_of(run: SelectionRun, settings: Settings) -> Resources:
    """Return the run's resources as they are, or the chart's with as many GPUs as the trainer uses."""
    if run.spec.resources is not None:
        return run.spec.resources
    chart = settings.job_resources
    gpus = {settings.gpu_resource: run.spec.lightly_config.trainer.gpus} if run.spec.lightly_config.trainer.gpus else {}
    return Resources(limits={**chart.limits, **gpus}, requests=chart.requests)


def _claims_of(run: SelectionRun) -> tuple[Claim, ...]:
    """Return each claim once. A folder inside another one of the same claim is reached through the outer mount."""
    wanted: dict[str, list[tuple[PurePosixPath, bool]]] = {}
    for purpose in PURPOSES:
        datasource = _datasource(run, purpose)
        claim, path = datasource.persistent_volume_claim, datasource.resource_path
        if claim is not None and path is not None:
            wanted.setdefault(claim.claim_name, []).append((PurePosixPath(path), claim.read_only))
    return tuple(Claim(name, _mounts_of(places)) for name, places in wanted.items())


def _mounts_of(places: list[tuple[PurePosixPath, bool]]) -> tuple[Mount, ...]:
    paths = sorted({path for path, _ in places})
    outer = [path for path in paths if not any(other in path.parents for other in paths)]
    return tuple(
        Mount(str(path), all(read_only for place, read_only in places if path in (place, *place.parents)))
        for path in outer
    )


def _secrets_of(run: SelectionRun) -> dict[str, str]:
    references = {purpose: _datasource(run, purpose).credentials_secret_ref for purpose in PURPOSES}
    return {purpose: reference.name for purpose, reference in references.items() if reference is not None}


def _check_size(plan: Plan) -> None:
    annotations = {**plan.run.spec.pod_template.annotations, ANNOTATION_MANIFEST: plan.manifest}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > MOST_ANNOTATION_BYTES:
        raise Rejected(
            Reason.TOO_LARGE,
            f"The manifest and podTemplate.annotations take {size} bytes, above the {MOST_ANNOTATION_BYTES} that a "
            "Job's pod template can carry. Make lists in spec shorter, for example by relevant_filenames_file.",
        )
