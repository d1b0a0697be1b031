"""Each refusal of a provider ends in its own sentence and in exit code 4; passing ones in 75."""

import re

import pytest
import storage_servers
from storage_servers import ACCOUNT_KEY

from selection_api import ExitCode
from selection_job.errors import ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable
from selection_job.stores.cloud.bucket_errors import Attempt, translate
from selection_job.stores.cloud.provider_client import VendorError

XML = "<Error><Code>{}</Code><Message>{}</Message>{}</Error>"


@pytest.fixture
def open_answering(open_place, make_place):
    """A function (answer, writable) -> opens an S3 datasource whose server answers so."""
    servers = []

    def open_it(answer, *, writable=False):
        server = storage_servers.answering(answer)
        url = server.__enter__()
        servers.append(server)
        datasource = {"type": "S3", "resourcePath": "s3://bucket/in/", "region": "eu-central-1", "endpoint": url}
        return open_place(make_place("s3-moto").over(datasource), writable=writable)

    yield open_it
    for server in servers:
        server.__exit__(None, None, None)


def refusing(status, code, message="no", *, extra="", headers=None):
    body = XML.format(code, message, extra).encode()
    return lambda request: (status, headers or {}, body)


SENTENCES = [
    (
        403,
        "AccessDenied",
        "",
        r"LIST s3://bucket/in/ \(AccessDenied: no\)\. Allow LIST .*Secret a-secret",
    ),
    (403, "InvalidAccessKeyId", "", r"InvalidAccessKeyId: no\)\. The access key does not exist"),
    (403, "SignatureDoesNotMatch", "", r"check secret_access_key"),
    (400, "ExpiredToken", "", r"The session token has expired"),
    (403, "RequestTimeTooSkewed", "", r"clock differs"),
    (404, "NoSuchBucket", "", r"No such bucket: s3://bucket/in/"),
    (400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>", r"lies in the region eu-west-3: set region"),
    (301, "PermanentRedirect", "<Region>us-east-2</Region>", r"lies in the region us-east-2"),
]


@pytest.mark.parametrize(("status", "code", "extra", "sentence"), SENTENCES, ids=[case[1] for case in SENTENCES])
def test_a_refusal_at_opening_says_what_and_the_way_out(open_answering, status, code, extra, sentence):
    with pytest.raises(StorageRefused, match=sentence) as caught:
        open_answering(refusing(status, code, extra=extra))
    assert caught.value.exit_code == ExitCode.STORAGE_REFUSED
    assert "wJalr" not in str(caught.value), "a secret"


def test_the_region_of_a_redirect_without_a_body_is_read_from_its_header(open_answering):
    answer = refusing(301, "PermanentRedirect", headers={"x-amz-bucket-region": "ap-south-1"})
    with pytest.raises(StorageRefused, match="ap-south-1"):
        open_answering(answer)


@pytest.mark.parametrize("writable", [False, True])
def test_a_redirect_that_names_no_region_is_a_refusal(open_answering, writable):
    asked = []

    def answer(request):
        asked.append(request)
        return (200, {}, LISTING) if "list-type" in request.path else (301, {}, b"")

    with pytest.raises(StorageRefused, match="in another region or behind another address: check region and endpoint"):
        open_answering(answer, writable=writable)
    assert len(asked) < 10, "botocore looks for the region by requests that are redirected too"


LISTING = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>in/a.jpg</Key><Size>3</Size>"
    b'<ETag>"e"</ETag></Contents></ListBucketResult>'
)


def test_reading_that_is_not_allowed_is_found_before_any_work(open_answering):
    def answer(request):
        listing = "list-type" in request.path
        return (200, {}, LISTING) if listing else refusing(403, "AccessDenied")(request)

    with pytest.raises(StorageRefused, match=r"READ s3://bucket/in/a\.jpg \(AccessDenied"):
        open_answering(answer)


def test_writing_that_is_not_allowed_is_found_before_any_work(open_answering):
    def answer(request):
        return refusing(403, "AccessDenied")(request) if request.method == "PUT" else (200, {}, LISTING)

    with pytest.raises(StorageRefused, match=r"WRITE s3://bucket/in/\.lightly/access-check \(AccessDenied"):
        open_answering(answer, writable=True)


def test_without_permission_to_delete_objects_are_emptied(open_place, make_place, moto):
    """A proxy before moto that refuses DELETE alone, as a policy without s3:DeleteObject does."""

    def forbid(request):
        return refusing(403, "AccessDenied")(request) if request.method == "DELETE" else None

    place = make_place("s3-moto")
    with storage_servers.proxying(moto, forbid) as url:
        store = open_place(place.over({**place.datasource, "endpoint": url}))
        assert not store.can_delete
        store.write("run/report.json", b"{}")
        store.delete("run/report.json")
        store.delete("run/nothing")
        assert [(info.key, info.size_bytes) for info in store.list("run/")] == [("run/report.json", 0)]


@pytest.mark.parametrize("kind", ["s3-moto", "s3-rclone", "gcs", "azure"])
def test_a_bucket_that_is_not_there_is_refused_by_name(kind, make_place, open_place):
    place = make_place(kind)
    name = "containerName" if kind == "azure" else "resourcePath"
    missing = {**place.datasource, name: place.datasource[name].replace("pictures", "no-such-bucket")}
    for writable in (False, True):
        with pytest.raises(StorageRefused, match=r"No such bucket: .*no-such-bucket/"):
            open_place(place.over(missing), writable=writable)


WRONG = {
    "s3-rclone": ({"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
    "azure": ({"account_key": "d3Jvbmc="}, "Auth"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_secret_is_refused_with_the_providers_code(kind, make_place, open_place):
    secret, code = WRONG[kind]
    place = make_place(kind)
    with pytest.raises(StorageRefused, match=rf"No permission to LIST .*{code}"):
        open_place(place.over(place.datasource, secret))


MISSING_KEYS = {
    "s3-moto": (
        {"access_key": "x"},
        "The Secret a-secret of spec.datasources.lightly lacks secret_access_key .*"
        "Expected keys: access_key, secret_access_key; found: access_key",
    ),
    "gcs": ({"credential": "{}"}, "lacks credentials .*found: credential"),
    "azure": ({"key": "x"}, "expected the key sas_token or account_key"),
}


@pytest.mark.parametrize("kind", MISSING_KEYS)
def test_a_key_that_the_secret_lacks_is_named(kind, make_place, open_place):
    secret, sentence = MISSING_KEYS[kind]
    place = make_place(kind)
    with pytest.raises(StorageRefused, match=sentence):
        open_place(place.over(place.datasource, secret))


@pytest.mark.parametrize(("kind", "key"), [("gcs", "credentials"), ("azure", "account_key")])
def test_a_malformed_credential_is_refused_without_showing_it(kind, key, make_place, open_place):
    place = make_place(kind)
    with pytest.raises(StorageRefused, match="Secret") as caught:
        open_place(place.over(place.datasource, {key: "my-private-word"}))
    assert "my-private-word" not in str(caught.value)


MEANINGS = [
    (VendorError(404, "NoSuchKey", "m"), "READ", ObjectMissing),
    (VendorError(404, "NoSuchBucket", "m"), "READ", StorageRefused),
    (VendorError(403, "AccessDenied", "m"), "READ", ObjectRefused),
    (VendorError(403, "AccessDenied", "m"), "WRITE", StorageRefused),
    (VendorError(403, "InvalidObjectState", "m"), "READ", ObjectRefused),
    (VendorError(400, "ExpiredToken", "m"), "READ", StorageRefused),
    (VendorError(401, "authError", "m"), "READ", StorageRefused),
    (VendorError(429, "rateLimitExceeded", "m"), "READ", StorageUnavailable),
    (VendorError(503, "SlowDown", "m"), "WRITE", StorageUnavailable),
    (VendorError(None, "ReadTimeoutError", "m"), "READ", StorageUnavailable),
]


@pytest.mark.parametrize(("error", "permission", "kind"), MEANINGS, ids=str)
def test_what_an_answer_means(error, permission, kind):
    meaning = translate(error, Attempt(permission, "s3://bucket/in/", "a.jpg", "Secret x"))
    assert type(meaning) is kind
    assert re.search(rf"s3://bucket/in/a\.jpg.*{error.code}", str(meaning))


def test_an_expired_sas_token_is_refused(make_place, open_place):
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    place = make_place("azure")
    expired = generate_container_sas(
        "devstoreaccount1",
        "pictures",
        ACCOUNT_KEY,
        permission=ContainerSasPermissions(list=True, read=True),
        expiry=datetime.now(UTC) - timedelta(hours=1),
    )
    with pytest.raises(StorageRefused, match=r"No permission to LIST azure://devstoreaccount1/pictures/.*Auth"):
        open_place(place.over(place.datasource, {"sas_token": expired}))


def test_a_sas_token_with_the_documented_permissions_reads_and_writes(make_place, open_place):
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    def sign(**permissions):
        allowed = ContainerSasPermissions(**permissions)
        until = datetime.now(UTC) + timedelta(hours=1)
        return {
            "sas_token": generate_container_sas(
                "devstoreaccount1", "pictures", ACCOUNT_KEY, permission=allowed, expiry=until
            )
        }

    place = make_place("azure")
    writer = open_place(place.over(place.datasource, sign(list=True, read=True, write=True, create=True, delete=True)))
    writer.write("a//b.jpg", b"x")
    assert writer.can_delete
    reader = open_place(place.over(place.datasource, sign(list=True, read=True)), writable=False)
    assert [(info.key, reader.read(info.key)) for info in reader.list()] == [("a//b.jpg", b"x")]
    with pytest.raises(StorageRefused, match=r"WRITE azure://.*access-check"):
        open_place(place.over(place.datasource, sign(list=True, read=True)), writable=True)
