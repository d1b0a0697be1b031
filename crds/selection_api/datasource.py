"""spec.datasources: where the images are and where results go; one flat union over S3, GCS, AZURE and LOCAL."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from selection_api.model import PATTERN_WORDS, KubernetesModel, ObjectName, RelativePath

ENDPOINT = r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?$"
ROLE_ARN = r"^arn:aws[a-zA-Z-]*:iam::[0-9]{12}:role/.+$"
EXTERNAL_ID = r"^[a-zA-Z0-9_+=,.@:\/-]+$"
KMS_KEY_ARN = r"^arn:aws[a-zA-Z-]*:kms:[a-zA-Z0-9-]*:[0-9]{12}:key/.+$"
REGION = r"^[a-z0-9-]+$"
PROJECT_ID = r"^[a-z0-9][a-z0-9.:-]*$"
ACCOUNT_NAME = r"^[a-z0-9]{3,24}$"
CONTAINER_NAME = r"^[a-z0-9$][a-z0-9-]*(/.*)?$"
PATTERN_WORDS |= {
    ENDPOINT: "an address such as https://storage.example.com:9000, without user, password and query",
    ROLE_ARN: "a role such as arn:aws:iam::123456789012:role/NAME",
    EXTERNAL_ID: "letters, digits and _ + = , . @ : / -",
    KMS_KEY_ARN: "a key such as arn:aws:kms:eu-central-1:123456789012:key/ID",
    REGION: "a region such as eu-central-1",
    PROJECT_ID: "a project id such as my-project-123",
    ACCOUNT_NAME: "3 to 24 lower-case letters and digits",
    CONTAINER_NAME: "a container, and after a '/' the prefix in it: my-container/input/",
}


def _check_thumbnail_suffix(suffix: str) -> str:
    if "[filename]" not in suffix:
        raise ValueError(
            "expected a path with [filename] in it (and [extension]), such as "
            ".lightly/thumbnails/[filename]_thumb.[extension]; without it all thumbnails would have one name"
        )
    return suffix


class SecretReference(KubernetesModel):
    """A Secret in the run's namespace."""

    name: ObjectName
    """The Secret's name."""


class PersistentVolumeClaim(KubernetesModel):
    """A claim in the run's namespace."""

    claim_name: ObjectName
    """The claim's name."""

    read_only: bool = False
    """Whether the claim is mounted read-only."""


class Datasource(KubernetesModel):
    """A bucket, a container or a folder. Which fields belong to it depends on the type."""

    type: Literal["S3", "GCS", "AZURE", "LOCAL"]
    """Where it is: S3 (or compatible), GCS (Google Cloud Storage), AZURE (Blob Storage), LOCAL (a folder)."""

    resource_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """S3: s3://bucket/prefix/; GCS: gs://bucket/prefix/; LOCAL: an absolute folder. Not for AZURE."""

    container_name: Annotated[str, Field(max_length=1024, pattern=CONTAINER_NAME)] | None = None
    """AZURE: the container, and after its first '/' a prefix: my-container/input/."""

    account_name: Annotated[str, Field(pattern=ACCOUNT_NAME)] | None = None
    """AZURE: the storage account."""

    region: Annotated[str, Field(min_length=1, max_length=64, pattern=REGION)] | None = None
    """S3: the bucket's region, such as eu-central-1."""

    project_id: Annotated[str, Field(min_length=1, max_length=253, pattern=PROJECT_ID)] | None = None
    """GCS: the Google Cloud project."""

    endpoint: Annotated[str, Field(max_length=1024, pattern=ENDPOINT)] | None = None
    """S3, GCS, AZURE: the service's address, where it is not the cloud's own: http(s)://host:port."""

    role_arn: Annotated[str, Field(max_length=2048, pattern=ROLE_ARN)] | None = None
    """S3: a role that is assumed to reach the bucket (delegated access)."""

    external_id: Annotated[str, Field(min_length=10, max_length=1224, pattern=EXTERNAL_ID)] | None = None
    """S3: the external id that the role asks for; at least 10 characters. Needs roleArn."""

    kms_key_arn: Annotated[str, Field(max_length=2048, pattern=KMS_KEY_ARN)] | None = None
    """S3: the KMS key that encrypts what is written."""

    credentials_secret_ref: SecretReference | None = None
    """S3, GCS, AZURE: the Secret with the credentials. Keys: S3 access_key, secret_access_key and optionally
    session_token; GCS credentials (service-account JSON); AZURE sas_token or account_key; on all three optionally
    ca.crt, PEM certificates to trust. Absent: the Job's service account (workload identity)."""

    thumbnail_suffix: Annotated[RelativePath, AfterValidator(_check_thumbnail_suffix)] | None = None
    """Where 128x128 thumbnails of the selected images are written, relative to the lightly datasource, such as
    .lightly/thumbnails/[filename]_thumb.[extension]. Absent: none. Equal on both datasources where both set it."""

    persistent_volume_claim: PersistentVolumeClaim | None = None
    """LOCAL, in a cluster: the claim that holds the folder; it is mounted at resourcePath."""


class Datasources(KubernetesModel):
    """Where the images are and where results go."""

    input: Datasource
    """Where the images are. Needs permission to list and read."""

    lightly: Datasource
    """Where .lightly/ lives (relevant file names, predictions, metadata) and where results go. Needs permission to
    list, read and write."""
