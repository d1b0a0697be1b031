"""What is missing is said before any work: bucket, prefix, permission and the provider's own code, on each cloud."""

import json
import re

import pytest
import storage_servers
import urllib3
from conftest import BUCKET, make_service_account
from test_bucket_errors import refusing
from test_credentials_policies import GoogleIam, Iam, give_tokens, sign

from selection_api import ExitCode
from selection_job.errors import StorageRefused
from selection_job.stores.access import PROBE_KEY
from selection_job.stores.cloud.bucket import BucketStore

KEY = "AKIALESS000000000000"
S3_ACTIONS = {"LIST": "s3:ListBucket", "READ": "s3:GetObject", "WRITE": "s3:PutObject"}
GCS_PERMISSIONS = {
    "LIST": "storage.objects.list",
    "READ": "storage.objects.get",
    "WRITE": "storage.objects.create",
    "OVERWRITE": "storage.objects.delete",
}
SAS = {"LIST": "rcwd", "READ": "lcwd", "WRITE": "rld", "OVERWRITE": "rlcd"}


def s3_lacking(permission, place, moto):
    allowed = [action for name, action in S3_ACTIONS.items() if name != permission]
    policy = {"Statement": [{"Effect": "Allow", "Action": [*allowed, "s3:DeleteObject"], "Resource": "*"}]}
    server = storage_servers.proxying(moto, Iam({KEY: [policy]}))
    return server, {"access_key": KEY, "secret_access_key": "any"}


@pytest.mark.parametrize(
    ("permission", "writable"), [("LIST", False), ("READ", False), ("LIST", True), ("READ", True), ("WRITE", True)]
)
def test_s3_names_bucket_prefix_permission_and_code(permission, writable, make_place, open_place, moto):
    place = make_place("s3-moto")
    open_place(place).write("a.jpg", b"x")
    server, secret = s3_lacking(permission, place, moto)
    with server as url:
        check(
            place.over({**place.datasource, "endpoint": url}, secret), open_place, writable, permission, "AccessDenied"
        )


def check(place, open_place, writable, permission, code):
    """Open the place; the refusal names all that whoever mends it needs."""
    where = place.datasource.get("resourcePath") or f"azure://devstoreaccount1/{place.datasource['containerName']}"
    with pytest.raises(StorageRefused) as caught:
        open_place(place, writable=writable)
    said = str(caught.value)
    assert re.search(rf"No permission to {permission} {re.escape(where)}.*\({code}", said), said
    assert caught.value.exit_code == ExitCode.STORAGE_REFUSED


@pytest.mark.parametrize(
    ("permission", "writable"), [("LIST", False), ("READ", False), *((name, True) for name in GCS_PERMISSIONS)]
)
def test_gcs_names_bucket_prefix_permission_and_code(permission, writable, make_place, open_place, fake_gcs):
    place = make_place("gcs")
    open_place(place).write("a.jpg", b"x")
    allowed = {name for lacking, name in GCS_PERMISSIONS.items() if lacking != permission}
    with urllib3.PoolManager() as pool, give_tokens("less") as tokens:
        secret = {"credentials": make_service_account(f"{tokens}/token")}
        iam = GoogleIam({"less": allowed}, pool, fake_gcs)
        with storage_servers.proxying(fake_gcs, iam) as url:
            behind = place.over({**place.datasource, "endpoint": url}, secret)
            check(
                behind, open_place, writable, permission, f"forbidden: less does not have {GCS_PERMISSIONS[permission]}"
            )


@pytest.mark.parametrize(
    ("permission", "writable"), [("LIST", False), ("READ", False), *((name, True) for name in SAS)]
)
def test_azure_names_container_prefix_permission_and_code(permission, writable, make_place, open_place):
    place = make_place("azure")
    open_place(place).write("a.jpg", b"x")
    less = place.over(place.datasource, sign(SAS[permission]))
    check(less, open_place, writable, permission, "Authoriz")


@pytest.mark.parametrize("bucket", ["UPPER CASE", "bücket", "b" * 300, "a:b", ""])
def test_a_name_that_no_bucket_has_is_refused_and_not_tried_again(bucket, make_place, open_place):
    place = make_place("s3-moto")
    with pytest.raises(StorageRefused, match=rf"LIST of s3://{bucket}/in/ was refused .*Invalid bucket name"):
        open_place(place.over({**place.datasource, "resourcePath": f"s3://{bucket}/in/"}))


def test_a_bucket_that_refuses_overwriting_alone_is_found_out(make_place, open_place, moto):
    """As a bucket policy that demands If-None-Match does."""
    place, seen = make_place("s3-moto"), set()

    def refuse(request):
        if request.method == "PUT" and request.path in seen:
            return refusing(403, "AccessDenied")(request)
        return seen.add(request.path) if request.method == "PUT" else None

    with storage_servers.proxying(moto, refuse) as url:
        check(place.over({**place.datasource, "endpoint": url}), open_place, True, "OVERWRITE", "AccessDenied")


def test_a_probe_that_an_earlier_run_could_not_delete_is_overwritten(make_place, open_place):
    store = open_place(place := make_place("s3-moto"))
    store.write(PROBE_KEY, b"of an earlier run")
    open_place(place)
    assert not store.exists(PROBE_KEY)


def test_a_probe_that_another_run_deletes_at_the_same_time_refuses_nothing(make_place, open_place, monkeypatch):
    other = open_place(place := make_place("s3-moto"))
    write = BucketStore.write

    def write_and_lose(store, key, content, **options):
        write(store, key, content, **options)
        if options.get("permission") == "OVERWRITE":
            other.delete(PROBE_KEY)

    monkeypatch.setattr(BucketStore, "write", write_and_lose)
    assert open_place(place).can_delete


@pytest.mark.parametrize(
    ("status", "code", "message", "sentence"),
    [
        (400, "AuthorizationQueryParametersError", "the region 'a' is wrong", "lies in the region eu-west-3"),
        (403, "AccessDenied", "Request has expired", "clock differs"),
        (403, "AccessDenied", "Request is not valid yet", "clock differs"),
    ],
)
def test_what_s3_says_of_a_signed_address_is_understood(status, code, message, sentence, make_place, open_place):
    place = make_place("s3-moto")
    answer = refusing(status, code, message, extra="<Region>eu-west-3</Region>")
    refused = pytest.raises(StorageRefused, match=rf"LIST s3://{BUCKET}/.*{code}.*{sentence}")
    with storage_servers.answering(answer) as url, refused:
        open_place(place.over({**place.datasource, "endpoint": url}))


def test_a_wrong_clock_is_named_where_google_refuses_a_signed_request(make_place, open_place):
    error = {"error": "invalid_grant", "error_description": "Invalid JWT: Token must be in a reasonable timeframe."}
    answer = 400, {"Content-Type": "application/json"}, json.dumps(error).encode()
    place = make_place("gcs")
    with storage_servers.answering(lambda request: answer) as tokens:
        secret = {"credentials": make_service_account(f"{tokens}/token")}
        with pytest.raises(StorageRefused, match=r"LIST gs://pictures/.*reasonable timeframe.*clock is wrong"):
            open_place(place.over(place.datasource, secret))


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_google_does_not_take_is_refused_with_its_reason(status, make_place, open_place):
    body = {"error": {"code": status, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}}
    place = make_place("gcs")
    answer = status, {"Content-Type": "application/json"}, json.dumps(body).encode()
    with storage_servers.answering(lambda request: answer) as url:
        behind = place.over({**place.datasource, "endpoint": url})
        check(behind, open_place, False, "LIST", "authError: Invalid Credentials")
