"""Every store that the job knows, behind real servers; each test gets a bucket prefix of its own."""

import json
import shutil
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # processes that tests start import from here too

import storage_servers
from storage_servers import ACCOUNT, ACCOUNT_KEY

from selection_api.datasource import Datasource
from selection_job.stores.opening import open_store

ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BUCKET = "pictures"
REGION = "eu-central-1"


@dataclass(frozen=True)
class Place:
    """A datasource of the manifest, and the keys of its Secret."""

    kind: str
    datasource: dict
    secret: dict = field(default_factory=dict)

    def at(self, prefix):
        """Return the place below a prefix of this one."""
        name = "containerName" if self.kind == "azure" else "resourcePath"
        return Place(self.kind, {**self.datasource, name: f"{self.datasource[name]}{prefix}"}, self.secret)

    def over(self, datasource, secret=None):
        """Return a place of the same kind over another datasource, with the same Secret or another."""
        return Place(self.kind, datasource, self.secret if secret is None else secret)

    def reference(self, secret):
        """Return the datasource as a manifest has it, with a reference to its Secret."""
        reference = {"credentialsSecretRef": {"name": secret}} if self.secret else {}
        return {**self.datasource, **reference}


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    with storage_servers.start_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server.url


@pytest.fixture(scope="session")
def rclone(tmp_path_factory):
    with storage_servers.start_rclone(tmp_path_factory.mktemp("rclone"), ACCESS_KEY, SECRET) as server:
        yield server.url


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory):
    with storage_servers.start_fake_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server.url


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    with storage_servers.start_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server.url


def make_s3_client(url):
    """Return a boto3 client of the test's own."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
    )


def _s3_place(kind, url):
    client = make_s3_client(url)
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    datasource = {"type": "S3", "resourcePath": f"s3://{BUCKET}/", "region": REGION, "endpoint": url}
    return Place(kind, datasource, {"access_key": ACCESS_KEY, "secret_access_key": SECRET})


@pytest.fixture(scope="session")
def s3_moto(moto):
    return _s3_place("s3-moto", moto)


@pytest.fixture(scope="session")
def s3_rclone(rclone):
    return _s3_place("s3-rclone", rclone)


def make_service_account(token_url):
    """Return a service account's JSON, with a key made here and its tokens from a server of ours."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forms = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "1",
            "private_key": key.private_bytes(*forms).decode(),
            "client_email": "job@a-project.iam.gserviceaccount.com",
            "token_uri": token_url,
        }
    )


@pytest.fixture(scope="session")
def token_server():
    """A server that gives out Google access tokens to whoever asks."""
    with storage_servers.answering(lambda request: (200, {}, TOKEN)) as url:
        yield url


TOKEN = b'{"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}'


@pytest.fixture(scope="session")
def gcs(fake_gcs, token_server):
    body = json.dumps({"name": BUCKET}).encode()
    storage_servers.post(f"{fake_gcs}/storage/v1/b?project=a-project", body)
    datasource = {"type": "GCS", "resourcePath": f"gs://{BUCKET}/", "projectId": "a-project", "endpoint": fake_gcs}
    return Place("gcs", datasource, {"credentials": make_service_account(f"{token_server}/token")})


@pytest.fixture(scope="session")
def azure(azurite):
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(azurite, {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}) as client:
        client.create_container(BUCKET)
    datasource = {"type": "AZURE", "containerName": f"{BUCKET}/", "accountName": ACCOUNT, "endpoint": azurite}
    return Place("azure", datasource, {"account_key": ACCOUNT_KEY})


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    return Place("local", {"type": "LOCAL", "resourcePath": f"{folder}/"})


KINDS = ["local", "s3-moto", "s3-rclone", "gcs", "azure"]
BUCKETS = [kind for kind in KINDS if kind != "local"]


def _own(place):
    own = place.at(f"{uuid.uuid4().hex[:12]}/")
    if own.kind == "local":
        Path(own.datasource["resourcePath"]).mkdir()
    return own


@pytest.fixture
def make_place(request):
    """A factory kind -> a Place that is empty and this test's own."""
    return lambda kind: _own(request.getfixturevalue(kind.replace("-", "_")))


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """A function (purpose, secret) that lays a Secret's keys where the job reads them."""
    monkeypatch.setenv("SELECTION_SECRETS", str(tmp_path / "secrets"))

    def put(purpose, secret):
        folder = tmp_path / "secrets" / purpose
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for key, value in secret.items():
            (folder / key).write_text(value)
        return folder

    return put


@pytest.fixture
def open_place(mount):
    """A function (place, writable) -> its store, opened as the job opens it."""

    def open_it(place, *, writable=True):
        purpose = "lightly" if writable else "input"
        mount(purpose, place.secret)
        datasource = Datasource.model_validate(place.reference("a-secret"))
        return open_store(datasource, field=f"spec.datasources.{purpose}", writable=writable)

    return open_it


@pytest.fixture(params=KINDS)
def store(request, make_place, open_place):
    """An empty store of each kind."""
    return open_place(make_place(request.param))


@pytest.fixture(params=BUCKETS)
def bucket(request, make_place, open_place):
    """An empty store over each kind of bucket."""
    return open_place(make_place(request.param))
