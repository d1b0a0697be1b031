"""A manifest from Python: the keyword arguments that schedule_compute_worker_run and set_*_config took.

>>> folder = local_datasource(resource_path="/data/cats/")
>>> config = {"stopping_condition": {"n_samples": 0.1}}
>>> make_manifest("cats", input=folder, lightly=folder, worker_config=config)["spec"]["workerConfig"]
{'stopping_condition': {'n_samples': 0.1}}

Credentials are never part of a manifest: they lie in a Secret, which a datasource names.
"""

from collections.abc import Mapping
from typing import Any

from selection_api.names import API_VERSION, KIND
from selection_api.parsing import parse_manifest

Settings = Mapping[str, Any]


def make_manifest(
    name: str,
    *,
    input: Settings,
    lightly: Settings,
    worker_config: Settings | None = None,
    lightly_config: Settings | None = None,
    selection_config: Settings | None = None,
    dataset: Settings | None = None,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a valid SelectionRun as plain data, ready for YAML, JSON or a Kubernetes client.

    input, lightly    datasources, made by the functions below
    dataset           {"name": …, "type": "IMAGES" | "VIDEOS"}
    labels            such as {"kueue.x-k8s.io/queue-name": "gpu"}
    spec              further fields of the spec as they are named there: suspend, backoffLimit, resources, podTemplate

    Raises ManifestError with every problem in one message.
    """
    metadata = {"name": name, "labels": dict(labels) if labels else None}
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "dataset": dataset,
            "datasources": {"input": input, "lightly": lightly},
            "workerConfig": worker_config,
            "lightlyConfig": lightly_config,
            "selectionConfig": selection_config,
            **spec,
        },
    }
    return parse_manifest(_to_plain(document)).user_settings()


def s3_datasource(
    *,
    resource_path: str,
    region: str,
    credentials_secret: str | None = None,
    thumbnail_suffix: str | None = None,
    endpoint: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
    kms_key_arn: str | None = None,
) -> dict[str, Any]:
    """Return an S3 datasource, as set_s3_config and set_s3_delegated_access_config described it.

    The Secret's keys: access_key, secret_access_key, optionally session_token.
    """
    return _datasource(
        "S3",
        credentials_secret,
        resourcePath=resource_path,
        region=region,
        thumbnailSuffix=thumbnail_suffix,
        endpoint=endpoint,
        roleArn=role_arn,
        externalId=external_id,
        kmsKeyArn=kms_key_arn,
    )


def gcs_datasource(
    *,
    resource_path: str,
    project_id: str,
    credentials_secret: str | None = None,
    thumbnail_suffix: str | None = None,
    endpoint: str | None = None,
) -> dict[str, Any]:
    """Return a Google Cloud Storage datasource, as set_gcs_config described it. The Secret's key: credentials."""
    return _datasource(
        "GCS",
        credentials_secret,
        resourcePath=resource_path,
        projectId=project_id,
        thumbnailSuffix=thumbnail_suffix,
        endpoint=endpoint,
    )


def azure_datasource(
    *,
    container_name: str,
    account_name: str,
    credentials_secret: str | None = None,
    thumbnail_suffix: str | None = None,
    endpoint: str | None = None,
) -> dict[str, Any]:
    """Return an Azure datasource, as set_azure_config described it. The Secret's key: sas_token or account_key."""
    return _datasource(
        "AZURE",
        credentials_secret,
        containerName=container_name,
        accountName=account_name,
        thumbnailSuffix=thumbnail_suffix,
        endpoint=endpoint,
    )


def local_datasource(
    *,
    resource_path: str,
    thumbnail_suffix: str | None = None,
    claim_name: str | None = None,
    read_only: bool | None = None,
) -> dict[str, Any]:
    """Return a folder; in a cluster claim_name is the PersistentVolumeClaim that is mounted there."""
    claim = {"claimName": claim_name, "readOnly": read_only} if claim_name is not None else None
    return _datasource(
        "LOCAL", None, resourcePath=resource_path, thumbnailSuffix=thumbnail_suffix, persistentVolumeClaim=claim
    )


def _datasource(kind: str, credentials_secret: str | None, **fields: Any) -> dict[str, Any]:
    secret = {"name": credentials_secret} if credentials_secret is not None else None
    made: dict[str, Any] = _to_plain({"type": kind, **fields, "credentialsSecretRef": secret})
    return made


def _to_plain(value: Any) -> Any:
    """Turn mappings and tuples into dicts and lists, and leave out what is None."""
    if isinstance(value, Mapping):
        return {key: _to_plain(child) for key, child in value.items() if child is not None}
    return [_to_plain(child) for child in value] if isinstance(value, list | tuple) else value
