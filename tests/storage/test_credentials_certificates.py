"""A private authority's certificate in the Secret is trusted, by the SDKs, by obstore and by our own listing."""

import json
import os

import own_authority
import pytest
import storage_servers
import urllib3
from conftest import ACCESS_KEY, BUCKET, REGION, SECRET, TOKEN, Place, make_service_account
from storage_servers import ACCOUNT, ACCOUNT_KEY

from selection_job.errors import StorageRefused


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return own_authority.certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def no_certificates_by_environment(monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def pool(tls):
    with urllib3.PoolManager(ca_cert_data=tls.authority) as pool:
        yield pool


def _s3(url):
    datasource = {"type": "S3", "resourcePath": f"s3://{BUCKET}/run/", "region": REGION, "endpoint": url}
    return Place("s3", datasource, {"access_key": ACCESS_KEY, "secret_access_key": SECRET})


@pytest.fixture(scope="module")
def s3_moto(tls, pool, tmp_path_factory):
    with storage_servers.start_moto(tmp_path_factory.mktemp("moto"), tls=tls) as server:
        pool.request("PUT", f"{server.url}/{BUCKET}", headers={"Authorization": "AWS4-HMAC-SHA256 x/x/us-east-1/s3"})
        yield _s3(server.url)


@pytest.fixture(scope="module")
def s3_rclone(tls, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rclone")
    with storage_servers.start_rclone(folder, ACCESS_KEY, SECRET, tls=tls) as server:
        (folder / "buckets" / BUCKET).mkdir()
        yield _s3(server.url)


@pytest.fixture(scope="module")
def gcs(tls, pool, tmp_path_factory):
    """The address that gives out tokens is signed by the private authority too."""
    folder = tmp_path_factory.mktemp("gcs")
    with (
        storage_servers.start_fake_gcs(folder, tls=tls) as server,
        storage_servers.answering(lambda request: (200, {}, TOKEN), tls=tls) as tokens,
    ):
        body = json.dumps({"name": BUCKET}).encode()
        pool.request("POST", f"{server.url}/storage/v1/b?project=p", body=body)
        datasource = {"type": "GCS", "resourcePath": f"gs://{BUCKET}/run/", "projectId": "p1", "endpoint": server.url}
        yield Place("gcs", datasource, {"credentials": make_service_account(f"{tokens}/token")})


@pytest.fixture(scope="module")
def azure(tls, tmp_path_factory):
    from azure.storage.blob import BlobServiceClient

    with storage_servers.start_azurite(tmp_path_factory.mktemp("azurite"), tls=tls) as server:
        (folder := tmp_path_factory.mktemp("ca")).joinpath("ca.pem").write_text(tls.authority)
        key = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
        with BlobServiceClient(server.url, key, connection_verify=str(folder / "ca.pem")) as client:
            client.create_container(BUCKET)
        datasource = {
            "type": "AZURE",
            "containerName": f"{BUCKET}/run/",
            "accountName": ACCOUNT,
            "endpoint": server.url,
        }
        yield Place("azure", datasource, {"account_key": ACCOUNT_KEY})


KINDS = ["s3_moto", "s3_rclone", "gcs", "azure"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_authority_in_the_secret_is_trusted_on_every_way_to_the_bucket(kind, request, tls, open_place, monkeypatch):
    place = request.getfixturevalue(kind)
    store = open_place(place.over(place.datasource, {**place.secret, "ca.crt": tls.authority}))
    fast = []
    kept = store._try_fast
    monkeypatch.setattr(store, "_try_fast", lambda key, act: fast.append(kept(key, act)) or fast[-1])
    store.write("a.jpg", b"x")
    assert store.read("a.jpg") == b"x"
    assert fast[-1] == b"x", "obstore trusts it as well"
    assert store.create("by-the-sdk", b"y")
    assert sorted(info.key for info in store.list()) == ["a.jpg", "by-the-sdk"]
    for key in ("a.jpg", "by-the-sdk"):
        store.delete(key)


@pytest.mark.parametrize("kind", KINDS)
def test_without_it_the_run_ends_at_once_and_says_what_to_do(kind, request, open_place):
    place = request.getfixturevalue(kind)
    with pytest.raises(StorageRefused, match=r"certificate .*is not trusted.*Secret's key ca\.crt"):
        open_place(place)


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_on_top_of_what_the_environment_names(kind, request, tls, open_place, monkeypatch, tmp_path):
    (tmp_path / "others.pem").write_text(own_authority.certify(tmp_path).authority)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    place = request.getfixturevalue(kind)
    with pytest.raises(StorageRefused, match="is not trusted"):
        open_place(place)
    open_place(place.over(place.datasource, {**place.secret, "ca.crt": tls.authority}))


def test_the_environments_alone_is_trusted_too(s3_moto, tls, open_place, monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text(tls.authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    open_place(s3_moto)


@pytest.mark.parametrize("pem", ["not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused_by_the_secrets_name(s3_moto, open_place, pem):
    with pytest.raises(StorageRefused, match=r"The Secret a-secret .*key ca\.crt is no certificate in PEM"):
        open_place(s3_moto.over(s3_moto.datasource, {**s3_moto.secret, "ca.crt": pem}))


def test_the_bundle_is_written_once_and_for_this_datasource_only(s3_moto, tls, open_place):
    from selection_job.stores.cloud import certificates

    place = s3_moto.over(s3_moto.datasource, {**s3_moto.secret, "ca.crt": tls.authority})
    open_place(place)
    n = certificates._write_once.cache_info().currsize
    open_place(place)
    assert certificates._write_once.cache_info().currsize == n
    assert not {"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"} & set(os.environ)
    with pytest.raises(StorageRefused, match="is not trusted"):
        open_place(s3_moto, writable=False)


def test_the_address_that_a_role_comes_from_is_trusted_as_well(s3_moto, tls, open_place, monkeypatch):
    """moto answers for STS at the same address, with the same certificate."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_moto.datasource["endpoint"])
    role = {**s3_moto.datasource, "roleArn": "arn:aws:iam::123456789012:role/reads-pictures"}
    store = open_place(s3_moto.over(role, {**s3_moto.secret, "ca.crt": tls.authority}))
    assert store.credentials.startswith("assumed role arn:aws:iam::123456789012:role/reads-pictures by Secret")
    with pytest.raises(StorageRefused, match=r"assumed role .*CERTIFICATE_VERIFY_FAILED.*ca\.crt"):
        open_place(s3_moto.over(role))
