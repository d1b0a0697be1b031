"""The Job: from a Plan to one object, the same bytes for the same plan; and how it is suspended and ended later."""

from typing import Any

from selection_api.names import (
    ANNOTATION_MANIFEST,
    ANNOTATION_SUSPENDED_BY,
    API_VERSION,
    JOB_CONTAINER,
    KIND,
    LABEL_MANAGED_BY,
    LABEL_RUN,
    LABEL_RUN_UID,
    NEVER_RETRIED,
    OPERATOR_NAME,
    PROGRESS_PORT,
)
from selection_operator.kind import Patch
from selection_operator.runs.plan import KEPT_LABELS, Plan
from selection_operator.settings import Settings
from selection_operator.views.jobs import JobView, WorkloadView
from selection_operator.views.resources import JOBS, WORKLOADS

Object = dict[str, Any]

USER = 65532  # no user of any base image; the same in job_image/Dockerfile
FOLDER = "/etc/selection"
SECRETS = f"{FOLDER}/secrets"
MANIFEST = "manifest.json"
EPHEMERAL_STORAGE = "ephemeral-storage"
ENVIRONMENT = {
    "HOME": "/tmp/home",  # noqa: S108 - the emptyDir of this pod alone
    "TMPDIR": "/tmp",  # noqa: S108
    "TORCH_HOME": "/tmp/torch",  # noqa: S108
    "NUMBA_CACHE_DIR": "/tmp/numba",  # noqa: S108
    "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
    "SELECTION_SECRETS": SECRETS,
    "SELECTION_PROGRESS_ADDRESS": f":{PROGRESS_PORT}",  # IPv4 and IPv6
}


def make_job(plan: Plan, settings: Settings) -> Object:
    """Return the run's Job. The operator makes it once and never edits its template: that is Kueue's to do."""
    spec = plan.run.spec
    job: Object = {
        "backoffLimit": spec.backoff_limit,
        "podReplacementPolicy": "Failed",  # never two pods of a run at once: they would write the same stages
        "podFailurePolicy": {"rules": _failure_rules()},
        "template": {"metadata": _template_metadata(plan), "spec": _pod(plan, settings)},
    }
    if spec.active_deadline_seconds is not None:
        job["activeDeadlineSeconds"] = spec.active_deadline_seconds
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(plan), "spec": job}


def set_job_suspended(job: JobView, *, suspended: bool) -> Patch:
    """Return the change that suspends or resumes a Job, and notes on it that it was us."""
    annotations = {ANNOTATION_SUSPENDED_BY: OPERATOR_NAME if suspended else None}
    return _patch(job, {"suspend": suspended}, annotations=annotations)


def end_job(job: JobView) -> Patch:
    """Return the change that lets a Job fail by its deadline: its pods are stopped, and those that ended stay."""
    return _patch(job, {"activeDeadlineSeconds": 1})


def set_workload_active(workload: WorkloadView, *, active: bool) -> Patch:
    """Return the change that activates or deactivates a Workload, and notes on it that it was us."""
    annotations = {ANNOTATION_SUSPENDED_BY: None if active else OPERATOR_NAME}
    body = {"metadata": {"annotations": annotations}, "spec": {"active": active}}
    return Patch(WORKLOADS, workload.namespace, workload.name, body)


def _patch(job: JobView, spec: Object, **metadata: Any) -> Patch:
    body = {"metadata": {"uid": job.uid, **metadata}, "spec": spec}
    return Patch(JOBS, job.owner.namespace, job.name, body)


def _labels(plan: Plan) -> dict[str, str]:
    return {LABEL_MANAGED_BY: OPERATOR_NAME, LABEL_RUN: plan.run.metadata.name, LABEL_RUN_UID: plan.uid}


def _metadata(plan: Plan) -> Object:
    run = plan.run.metadata
    copied = {key: run.labels[key] for key in KEPT_LABELS if key in run.labels}
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": run.name,
        "uid": plan.uid,
        "controller": True,
        "blockOwnerDeletion": False,  # true would need update on the run's finalizers
    }
    return {
        "name": plan.job_name,
        "namespace": run.namespace,
        "labels": {**copied, **_labels(plan)},
        "ownerReferences": [owner],
    }


def _failure_rules() -> list[Object]:
    """Return the rules in order: a disruption never counts, a user's mistake is never retried."""
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    codes = {"containerName": JOB_CONTAINER, "operator": "In", "values": [int(code) for code in NEVER_RETRIED]}
    return [{"action": "Ignore", "onPodConditions": [disrupted]}, {"action": "FailJob", "onExitCodes": codes}]


def _template_metadata(plan: Plan) -> Object:
    template = plan.run.spec.pod_template
    return {
        "labels": {**template.labels, **_labels(plan)},
        "annotations": {**template.annotations, ANNOTATION_MANIFEST: plan.manifest},
    }


def _pod(plan: Plan, settings: Settings) -> Object:
    template = plan.run.spec.pod_template
    chosen = template.model_dump(
        mode="json",
        by_alias=True,
        exclude_unset=True,
        include={"node_selector", "tolerations", "affinity", "service_account_name", "priority_class_name"}
        | {"runtime_class_name"},
    )
    pull_secrets = dict.fromkeys([*settings.job_image_pull_secrets, *(s.name for s in template.image_pull_secrets)])
    return {
        **chosen,
        **({"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}),
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, settings)],
        "volumes": _volumes(plan, settings),
    }


def _container(plan: Plan, settings: Settings) -> Object:
    return {
        "name": JOB_CONTAINER,
        "image": plan.run.spec.pod_template.image or settings.job_image,
        "imagePullPolicy": settings.job_image_pull_policy,
        "args": ["run", f"{FOLDER}/{MANIFEST}", "--digest", plan.digest],
        "env": _environment(plan),
        "ports": [{"name": "metrics", "containerPort": PROGRESS_PORT}],
        "resources": _resources(plan, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": _mounts(plan),
    }


def _environment(plan: Plan) -> list[Object]:
    """Return our variables, then the user's; one of the same name replaces ours."""
    template = plan.run.spec.pod_template.model_dump(mode="json", by_alias=True, exclude_unset=True, include={"env"})
    variables = {name: {"name": name, "value": value} for name, value in ENVIRONMENT.items()}
    return list((variables | {variable["name"]: variable for variable in template.get("env", [])}).values())


def _resources(plan: Plan, settings: Settings) -> Object:
    """Return limits and requests; ephemeral storage is that of /tmp unless somebody said otherwise."""
    scratch = {EPHEMERAL_STORAGE: settings.scratch_size}
    limits = {**scratch, **plan.resources.limits}
    requests = {**{EPHEMERAL_STORAGE: limits[EPHEMERAL_STORAGE]}, **plan.resources.requests}
    return {"limits": limits, "requests": requests}


def _volumes(plan: Plan, settings: Settings) -> list[Object]:
    shared_memory = plan.run.spec.pod_template.shared_memory_size or settings.shared_memory_size
    field = {"fieldPath": f"metadata.annotations['{ANNOTATION_MANIFEST}']"}
    return [
        {"name": "manifest", "downwardAPI": {"items": [{"path": MANIFEST, "fieldRef": field}]}},
        {"name": "tmp", "emptyDir": {"sizeLimit": settings.scratch_size}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory}},
        *({"name": f"{use}-secret", "secret": {"secretName": name}} for use, name in plan.secrets.items()),
        *(
            {"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim.name}}
            for number, claim in enumerate(plan.claims)
        ),
    ]


def _mounts(plan: Plan) -> list[Object]:
    return [
        {"name": "manifest", "mountPath": f"{FOLDER}/{MANIFEST}", "subPath": MANIFEST, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
        *({"name": f"{use}-secret", "mountPath": f"{SECRETS}/{use}", "readOnly": True} for use in plan.secrets),
        *(
            {"name": f"claim-{number}", "mountPath": mount.path, "readOnly": mount.read_only}
            for number, claim in enumerate(plan.claims)
            for mount in claim.mounts
        ),
    ]
