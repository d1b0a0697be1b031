"""The flat union of datasources: which fields belong to which type, which folders are refused, what must agree."""

import pytest

INPUT = "spec.datasources.input"
LIGHTLY = "spec.datasources.lightly"
S3 = {"type": "S3", "resourcePath": "s3://bucket/input/", "region": "eu-central-1"}
GCS = {"type": "GCS", "resourcePath": "gs://bucket/input/", "projectId": "project-1"}
AZURE = {"type": "AZURE", "containerName": "my-container/input/", "accountName": "account1"}
LOCAL = {"type": "LOCAL", "resourcePath": "/data/input/"}
ROLE = "arn:aws:iam::123456789012:role/reader"
KMS = "arn:aws:kms:eu-central-1:123456789012:key/1234"
SECRET = {"credentialsSecretRef": {"name": "read"}}


@pytest.mark.parametrize(
    "datasource",
    [
        S3,
        S3 | SECRET,
        S3 | {"endpoint": "http://minio:9000"},
        S3 | {"roleArn": ROLE, "externalId": "0123456789", "kmsKeyArn": KMS},
        S3 | {"resourcePath": "s3://bucket"},
        GCS,
        GCS | SECRET | {"endpoint": "https://storage.example.com"},
        AZURE,
        AZURE | SECRET | {"endpoint": "http://127.0.0.1:10000/account1"},
        AZURE | {"containerName": "my-container"},
        LOCAL,
        LOCAL | {"persistentVolumeClaim": {"claimName": "images", "readOnly": True}},
        LOCAL | {"resourcePath": "/tmp/demo"},
        LOCAL | {"resourcePath": "/写真/a b"},
    ],
)
def test_datasource_is_accepted(problems, datasource):
    assert problems({INPUT: datasource}) == {}


WRONG = [
    (S3, {"region": ...}, "region", "is required for a datasource of type S3"),
    (S3, {"resourcePath": ...}, "resourcePath", "is required for a datasource of type S3"),
    (S3, {"resourcePath": "gs://bucket/"}, "resourcePath", "expected s3://BUCKET/PREFIX/"),
    (S3, {"resourcePath": "s3://"}, "resourcePath", "expected s3://BUCKET/PREFIX/"),
    (S3, {"resourcePath": "s3://a b/c"}, "resourcePath", "expected s3://BUCKET/PREFIX/"),
    (S3, {"resourcePath": "s3://bucket/a\nb"}, "resourcePath", "control characters"),
    (S3, {"projectId": "p"}, "projectId", "belongs to type GCS, not to S3"),
    (S3, {"containerName": "abc"}, "containerName", "belongs to type AZURE, not to S3"),
    (S3, {"persistentVolumeClaim": {"claimName": "c"}}, "persistentVolumeClaim", "belongs to type LOCAL"),
    (S3, {"roleArn": "reader"}, "roleArn", "expected a role such as arn:aws:iam"),
    (S3, {"externalId": "0123456789"}, "externalId", "is of use with roleArn only"),
    (S3, {"externalId": "short", "roleArn": ROLE}, "externalId", "at least 10 characters"),
    (S3, {"kmsKeyArn": "key"}, "kmsKeyArn", "expected a key such as arn:aws:kms"),
    (S3, {"endpoint": "minio:9000"}, "endpoint", "expected an address such as"),
    (S3, {"endpoint": "https://user:secret@minio:9000"}, "endpoint", "without user, password"),
    (S3, {"credentialsSecretRef": {"name": "Read_Secret"}}, "credentialsSecretRef.name", "expected lower-case"),
    (S3, {"credentialsSecretRef": {}}, "credentialsSecretRef.name", "is required"),
    (GCS, {"projectId": ...}, "projectId", "is required for a datasource of type GCS"),
    (GCS, {"region": "eu"}, "region", "belongs to type S3, not to GCS"),
    (GCS, {"roleArn": ROLE}, "roleArn", "belongs to type S3, not to GCS"),
    (AZURE, {"resourcePath": "x"}, "resourcePath", "belongs to type S3 or GCS or LOCAL, not to AZURE"),
    (AZURE, {"accountName": ...}, "accountName", "is required for a datasource of type AZURE"),
    (AZURE, {"containerName": ...}, "containerName", "is required for a datasource of type AZURE"),
    (AZURE, {"accountName": "ACCOUNT"}, "accountName", "lower-case letters and digits"),
    (LOCAL, {"resourcePath": "data/input"}, "resourcePath", "expected an absolute folder"),
    (LOCAL, {"resourcePath": "/data/../etc"}, "resourcePath", "without '.' and '..'"),
    (LOCAL, {"endpoint": "http://a"}, "endpoint", "belongs to type S3 or GCS or AZURE, not to LOCAL"),
    (LOCAL, SECRET, "credentialsSecretRef", "not to LOCAL"),
    (LOCAL, {"type": "FTP"}, "type", "expected one of S3, GCS, AZURE, LOCAL"),
    (LOCAL, {"type": "local"}, "type", "Did you mean 'LOCAL'?"),
    (LOCAL, {"type": ...}, "type", "is required"),
    (LOCAL, {"thumbnailSuffix": "thumbs/a.jpg"}, "thumbnailSuffix", "[filename]"),
    (LOCAL, {"thumbnailSuffix": "../[filename]"}, "thumbnailSuffix", "without '.' and '..'"),
]


@pytest.mark.parametrize(("base", "change", "field", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_wrong_datasource_is_one_problem_at_its_field(problems, base, change, field, message):
    datasource = {key: value for key, value in (base | change).items() if value is not ...}
    found = problems({INPUT: datasource})
    assert list(found) == [f"{INPUT}.{field}"]
    assert message in found[f"{INPUT}.{field}"]


SYSTEM = [
    "/",
    "//",
    "/etc",
    "/etc/ssl",
    "/usr/share/x",
    "/proc/1",
    "/sys",
    "/dev/shm",
    "/bin",
    "/lib",
    "/lib64/x",
    "/sbin",
]
SYSTEM += ["/boot", "/run/secrets", "/var/run/x", "/tmp", "/tmp/", "/home", "/var", "/opt", "/root", "//etc", "/etc//x"]


@pytest.mark.parametrize("folder", SYSTEM)
def test_system_folder_is_refused(problems, folder):
    assert "system folder" in problems({f"{LIGHTLY}.resourcePath": folder})[f"{LIGHTLY}.resourcePath"]


@pytest.mark.parametrize("folder", ["/tmp/x", "/home/output_dir", "/var/data", "/etcetera", "/library", "/mnt"])
def test_folder_beside_the_system_is_fine(problems, folder):
    assert problems({f"{LIGHTLY}.resourcePath": folder}) == {}


SUFFIX = ".lightly/thumbnails/[filename]_thumb.[extension]"


def test_thumbnail_suffix_on_one_side_or_equal_on_both_is_fine(problems):
    assert problems({f"{INPUT}.thumbnailSuffix": SUFFIX}) == {}
    assert problems({f"{INPUT}.thumbnailSuffix": SUFFIX, f"{LIGHTLY}.thumbnailSuffix": SUFFIX}) == {}


def test_thumbnail_suffixes_that_differ_are_refused(problems):
    found = problems({f"{INPUT}.thumbnailSuffix": SUFFIX, f"{LIGHTLY}.thumbnailSuffix": "t/[filename]"})
    assert list(found) == [f"{LIGHTLY}.thumbnailSuffix"]


def test_results_cannot_go_to_a_read_only_claim(problems):
    claim = {"claimName": "images", "readOnly": True}
    found = problems({f"{LIGHTLY}.persistentVolumeClaim": claim})
    assert "can't be read-only" in found[f"{LIGHTLY}.persistentVolumeClaim.readOnly"]


def test_two_claims_cannot_share_a_folder(problems):
    local = {"type": "LOCAL", "resourcePath": "/data"}
    found = problems(
        {
            INPUT: local | {"persistentVolumeClaim": {"claimName": "a"}},
            LIGHTLY: local | {"persistentVolumeClaim": {"claimName": "b"}},
        }
    )
    assert list(found) == [f"{LIGHTLY}.resourcePath"]


def test_one_claim_may_hold_both(problems):
    local = {"type": "LOCAL", "resourcePath": "/data", "persistentVolumeClaim": {"claimName": "a"}}
    assert problems({INPUT: local, LIGHTLY: local}) == {}


@pytest.mark.parametrize("folder", ["/data/input/", "/data/input", "/data/input/results"])
def test_thumbnails_that_would_become_inputs_are_refused(problems, folder):
    change = {f"{LIGHTLY}.resourcePath": folder, f"{LIGHTLY}.thumbnailSuffix": "thumbnails/[filename].jpg"}
    assert "would be listed as images" in problems(change)[f"{LIGHTLY}.thumbnailSuffix"]
    assert problems(change | {f"{LIGHTLY}.thumbnailSuffix": SUFFIX}) == {}


def test_thumbnails_beside_the_inputs_are_fine(problems):
    change = {f"{LIGHTLY}.resourcePath": "/data/input-results", f"{LIGHTLY}.thumbnailSuffix": "t/[filename].jpg"}
    assert problems(change) == {}
