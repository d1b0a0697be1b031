"""Rules between fields of a spec: what no single field can say. Pure functions from a spec to findings."""

import posixpath
import re
from collections.abc import Iterator

from selection_api.datasource import Datasource
from selection_api.encoder_rules import find_in_encoder
from selection_api.lightly_config import LightlyConfig
from selection_api.pod_template import PodTemplate, Resources
from selection_api.problems import Finding, Location, describe_value, quote
from selection_api.query_rules import find_in_queries
from selection_api.selection_rules import find_fault_in_task, find_in_selection
from selection_api.spec import Dataset, SelectionRunSpec
from selection_api.worker_config import WorkerConfig, legacy_selection_keys

SPEC = "spec"
DATASOURCES: Location = (SPEC, "datasources")
WORKER: Location = (SPEC, "workerConfig")
LIGHTLY: Location = (SPEC, "lightlyConfig")
SELECTION: Location = (SPEC, "selectionConfig")

NEEDED_FIELDS = {
    "S3": {"resourcePath", "region"},
    "GCS": {"resourcePath", "projectId"},
    "AZURE": {"containerName", "accountName"},
    "LOCAL": {"resourcePath"},
}
POSSIBLE_FIELDS = {
    "S3": {"endpoint", "roleArn", "externalId", "kmsKeyArn", "credentialsSecretRef"},
    "GCS": {"endpoint", "credentialsSecretRef"},
    "AZURE": {"endpoint", "credentialsSecretRef"},
    "LOCAL": {"persistentVolumeClaim"},
}
FIELDS_OF_SOME_TYPE = set().union(*NEEDED_FIELDS.values(), *POSSIBLE_FIELDS.values())

SYSTEM_TREES = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc"),
    *("/run", "/sbin", "/sys", "/usr", "/var/run"),
)
"""Folders that are refused with everything below them."""

SYSTEM_FOLDERS = ("/", "/home", "/opt", "/root", "/tmp", "/var")  # noqa: S108 - refused, not used
"""Folders that are refused themselves, because mounting over them breaks a container; what lies below is fine."""

BUCKET_PATH = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?", re.DOTALL)


def find_broken_rules(spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield every broken rule of a spec whose fields are right in themselves."""
    for purpose in ("input", "lightly"):
        yield from find_in_datasource(getattr(spec.datasources, purpose), (*DATASOURCES, purpose))
    yield from find_between_datasources(spec.datasources.input, spec.datasources.lightly)
    yield from find_in_dataset(spec.dataset)
    yield from find_in_worker_config(spec.worker_config)
    yield from find_in_selection_form(spec)
    if spec.selection_config is not None:
        yield from find_in_selection(spec.selection_config, SELECTION)
    yield from find_in_queries(spec)
    yield from find_in_sequences(spec)
    yield from find_in_checkpoints(spec.worker_config, spec.lightly_config)
    yield from find_in_encoder(spec)
    yield from find_in_gpus(spec.lightly_config, spec.resources)
    yield from find_in_pod_template(spec.pod_template)


def find_in_dataset(dataset: Dataset) -> Iterator[Finding]:
    """Yield settings of videos where there are none, and two ways to sample at once."""
    location: Location = (SPEC, "dataset")
    given = [key for key in ("everyNthFrame", "targetFps") if dataset.model_dump(by_alias=True)[key] is not None]
    if dataset.type != "VIDEOS":
        for key in given:
            yield Finding((*location, key), "is for type VIDEOS", ((*location, "type"),))
    elif len(given) > 1:
        yield Finding((*location, "targetFps"), "and everyNthFrame are two ways to sample frames; give one of them")


def find_in_datasource(datasource: Datasource, location: Location) -> Iterator[Finding]:
    """Yield fields that are missing, that belong to another type, and paths that can't be."""
    kind = datasource.type
    fields = datasource.model_dump(by_alias=True, exclude_none=True)
    for missing in sorted(NEEDED_FIELDS[kind] - set(fields)):
        yield Finding((*location, missing), f"is required for a datasource of type {kind}", (location,))
    for foreign in sorted((set(fields) & FIELDS_OF_SOME_TYPE) - NEEDED_FIELDS[kind] - POSSIBLE_FIELDS[kind]):
        types = [other for other in NEEDED_FIELDS if foreign in NEEDED_FIELDS[other] | POSSIBLE_FIELDS[other]]
        message = f"belongs to type {' or '.join(types)}, not to {kind}; remove it"
        yield Finding((*location, foreign), message, ((*location, "type"),))
    if datasource.external_id is not None and datasource.role_arn is None:
        yield Finding((*location, "externalId"), "is of use with roleArn only; give both or none", (location,))
    path = datasource.resource_path
    problem = find_in_resource_path(kind, path) if path is not None else ""
    if problem:
        yield Finding((*location, "resourcePath"), problem, ((*location, "type"),))


def find_in_resource_path(kind: str, path: str) -> str:
    """Return what is wrong with a resourcePath; '' for nothing."""
    if not path.isprintable():
        return "must not hold control characters"
    if kind == "LOCAL":
        return find_in_folder(path)
    scheme = {"S3": "s3://", "GCS": "gs://"}.get(kind, "")
    if scheme and (not path.startswith(scheme) or not BUCKET_PATH.fullmatch(path.removeprefix(scheme))):
        return f"expected {scheme}BUCKET/PREFIX/ for a datasource of type {kind}; found {describe_value(path)}"
    return ""


def find_in_folder(path: str) -> str:
    """Return what is wrong with a LOCAL folder; '' for nothing."""
    if not path.startswith("/") or any(part in {".", ".."} for part in path.split("/")):
        return f"expected an absolute folder without '.' and '..' parts; found {describe_value(path)}"
    folder = "/" + posixpath.normpath(path).lstrip("/")
    if folder in SYSTEM_FOLDERS or any(folder == tree or folder.startswith(f"{tree}/") for tree in SYSTEM_TREES):
        return (
            f"is a system folder ({quote(folder)}), which is refused; choose a folder of your own such as /data/input"
        )
    return ""


def find_between_datasources(first: Datasource, second: Datasource) -> Iterator[Finding]:
    """Yield what the two datasources say differently where they must agree."""
    one, other = first.thumbnail_suffix, second.thumbnail_suffix
    here = (*DATASOURCES, "lightly")
    if one is not None and other is not None and one != other:
        message = f"differs from input's {quote(one)}; where both datasources set it, it is the same"
        yield Finding((*here, "thumbnailSuffix"), message, ((*DATASOURCES, "input", "thumbnailSuffix"),))
    if lies_within(second, first) and not (other or one or ".lightly/").startswith(".lightly/"):
        message = "lightly lies within input: thumbnails outside .lightly/ would be listed as images by the next run"
        yield Finding((*here, "thumbnailSuffix"), message, (DATASOURCES,))
    claim, other_claim = first.persistent_volume_claim, second.persistent_volume_claim
    if other_claim is not None and other_claim.read_only:
        message = "results are written to this datasource: the claim can't be read-only"
        yield Finding((*here, "persistentVolumeClaim", "readOnly"), message)
    if (
        first.resource_path == second.resource_path
        and claim
        and other_claim
        and claim.claim_name != other_claim.claim_name
    ):
        message = "two claims can't be mounted at one folder; give each its own resourcePath"
        yield Finding((*here, "resourcePath"), message, (DATASOURCES,))


def lies_within(inner: Datasource, outer: Datasource) -> bool:
    """Say whether what one datasource holds is among what the other lists."""

    def place(datasource: Datasource) -> str:
        path = datasource.resource_path or f"{datasource.account_name}/{datasource.container_name}"
        return path.rstrip("/") + "/"

    return inner.type == outer.type and place(inner).startswith(place(outer))


def find_in_worker_config(config: WorkerConfig) -> Iterator[Finding]:
    """Yield worker options that exclude each other."""
    for key in ("embeddings", "use_datapool"):
        if config.enable_training and getattr(config, key):
            message = f"is not possible together with {key}: new training makes embeddings that can't be compared"
            yield Finding((*WORKER, "enable_training"), message, ((*WORKER, key),))
    for section in ("active_learning", "object_level"):
        name = getattr(config, section).task_name
        if name and (fault := find_fault_in_task(name)):
            yield Finding((*WORKER, section, "task_name"), fault)
    if config.method == "coral" and not (config.active_learning.task_name or config.embeddings or config.pretagging):
        message = (
            "coral weighs images by a score, and none is named; set active_learning.task_name (a prediction task), "
            "pretagging, or embeddings with a column al_score, or use coreset"
        )
        yield Finding((*WORKER, "method"), message, ((*WORKER, "active_learning"), (*WORKER, "embeddings")))


def find_in_selection_form(spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield a selection that is told twice, or not at all."""
    legacy = legacy_selection_keys(spec.worker_config)
    if spec.selection_config is not None:
        for key in legacy:
            message = (
                f"is not possible together with selectionConfig; remove spec.workerConfig.{key} or selectionConfig"
            )
            yield Finding((*WORKER, key), message, (SELECTION,))
        return
    if spec.worker_config.stopping_condition.is_off:
        condition = (*WORKER, "stopping_condition")
        state = "both n_samples and min_distance are off" if "stopping_condition" in legacy else "is missing"
        message = (
            f"{state}: nothing tells how many images to keep; set n_samples (0.1 keeps 10%), min_distance, or both"
        )
        yield Finding(condition, message, (WORKER, SELECTION))


def find_in_sequences(spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield a number of frames that is no number of whole sequences."""
    length, config = spec.worker_config.selected_sequence_length, spec.selection_config
    wanted = spec.worker_config.stopping_condition.n_samples
    count = config.n_samples if config else wanted.count if wanted else None
    if count is None or count <= 0 or count % length == 0:
        return
    below, above = count // length * length, (count // length + 1) * length
    ways = f"{below} or {above}" if below else f"{above}"
    message = f"{count} frames are no whole sequences of {length} (workerConfig.selected_sequence_length); use {ways}"
    location = (*SELECTION, "n_samples") if config else (*WORKER, "stopping_condition", "n_samples")
    yield Finding(location, message, ((*WORKER, "selected_sequence_length"),))


def find_in_checkpoints(worker: WorkerConfig, lightly: LightlyConfig) -> Iterator[Finding]:
    """Yield two checkpoints that differ."""
    if worker.checkpoint and lightly.checkpoint and worker.checkpoint != lightly.checkpoint:
        message = "differs from workerConfig.checkpoint; set one of them"
        yield Finding((*LIGHTLY, "checkpoint"), message, ((*WORKER, "checkpoint"),))


def find_in_gpus(lightly: LightlyConfig, resources: Resources | None) -> Iterator[Finding]:
    """Yield a trainer that asks for more GPUs than the pod gets."""
    if resources is None or "gpus" not in lightly.trainer.model_fields_set:
        return
    limit = resources.gpu_limit
    if lightly.trainer.gpus > limit:
        message = (
            f"asks for {lightly.trainer.gpus}, above the {limit} of spec.resources.limits; raise the limit or lower it"
        )
        yield Finding((*LIGHTLY, "trainer", "gpus"), message, ((SPEC, "resources"),))


def find_in_pod_template(template: PodTemplate) -> Iterator[Finding]:
    """Yield environment variables that say nothing, or two things."""
    for i, variable in enumerate(template.env):
        location = (SPEC, "podTemplate", "env", i)
        source = variable.value_from
        if source is not None and variable.value is not None:
            yield Finding(location, "give value or valueFrom, not both", (location,))
        if source is not None and len(source.model_dump(exclude_none=True)) != 1:
            expected = "expected one of secretKeyRef, configMapKeyRef and fieldRef"
            yield Finding((*location, "valueFrom"), expected, (location,))
