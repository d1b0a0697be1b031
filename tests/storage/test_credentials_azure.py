"""Every way to credentials for Azure, against azurite, which checks keys, signatures and Entra's tokens."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import own_authority
import pytest
import storage_servers
from conftest import BUCKET, Place
from storage_servers import ACCOUNT, ACCOUNT_KEY

from selection_job.errors import StorageRefused

TENANT, CLIENT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith(("AZURE_", "MSI_", "IDENTITY_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return own_authority.certify(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(tls, monkeypatch, tmp_path):
    """Without a Secret the environment names the certificates."""
    (tmp_path / "ca.pem").write_text(tls.authority)
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture(scope="module")
def entra_url(tls, tmp_path_factory):
    """azurite as it is where it takes Entra's tokens: over TLS."""
    with storage_servers.start_azurite(tmp_path_factory.mktemp("azurite"), tls=tls) as server:
        yield server.url


@pytest.fixture
def container(entra_url, trusted):
    """A datasource without a Secret, in a container of its own."""
    import uuid

    from azure.storage.blob import BlobServiceClient

    name = uuid.uuid4().hex
    key = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY}
    with BlobServiceClient(entra_url, key, connection_verify=trusted) as client:
        client.create_container(name)
    datasource = {"type": "AZURE", "containerName": f"{name}/run/", "accountName": ACCOUNT, "endpoint": entra_url}
    return Place("azure", datasource)


class Entra:
    """Microsoft Entra's token endpoint, played: what it was sent, and how long its tokens last."""

    def __init__(self):
        self.calls, self.lifetime_s, self.audience = [], 3600, "https://storage.azure.com"

    def __call__(self, request):
        self.calls.append((request.path, request.body.decode()))
        body = {"token_type": "Bearer", "expires_in": self.lifetime_s, "access_token": self._token()}
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def _token(self):
        now = int(time.time())
        claims = {"iss": f"https://sts.windows.net/{TENANT}/", "aud": self.audience, "nbf": now - 5, "iat": now - 5}
        claims |= {"exp": now + 3600, "jti": len(self.calls)}
        parts = ({"alg": "none", "typ": "JWT"}, claims)
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*encoded, "bm90LXNpZ25lZA"])


@pytest.fixture
def workload_identity(tls, trusted, monkeypatch, tmp_path):
    """What the webhook of Azure workload identity puts into a pod; the endpoint and the token's file."""
    entra, token = Entra(), tmp_path / "federated-token"
    token.write_text("the-pods-token")
    with storage_servers.answering(entra, tls=tls) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
        monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
        monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
        yield entra, token


def test_workload_identity_exchanges_the_pods_token(container, open_place, workload_identity):
    entra, _ = workload_identity
    store = open_place(container)
    store.write("a.jpg", b"x")
    store.write("odd//.jpg", b"y")
    assert store._try_fast("run/a.jpg", store._get_whole) == b"x", "obstore signs in too"
    assert sorted(info.key for info in store.list()) == ["a.jpg", "odd//.jpg"]
    assert store.credentials == f"Azure workload identity (client {CLIENT})"
    path, form = entra.calls[0]
    assert path == f"/{TENANT}/oauth2/v2.0/token"
    assert "client_assertion=the-pods-token" in form and f"client_id={CLIENT}" in form
    assert len(entra.calls) == 1, "the token is kept"


def test_tokens_that_end_soon_are_renewed_with_the_pods_token_as_it_is_then(container, open_place, workload_identity):
    entra, token = workload_identity
    entra.lifetime_s = 0
    store = open_place(container)
    n = len(entra.calls)
    token.write_text("the-pods-next-token")
    store.write("odd//.jpg", b"x")
    assert store.read("odd//.jpg") == b"x"
    assert len(entra.calls) > n
    assert store.credentials.startswith("Azure workload identity")


def test_a_token_for_another_audience_is_refused(container, open_place, workload_identity):
    entra, _ = workload_identity
    entra.audience = "https://management.azure.com"
    with pytest.raises(StorageRefused, match=r"No permission to LIST azure://.*Auth"):
        open_place(container)


@pytest.mark.usefixtures("workload_identity")
def test_an_identity_that_entra_refuses_is_refused_with_its_code(container, open_place, tls, monkeypatch):
    body = {"error": "invalid_client", "error_description": "AADSTS700213: No matching federated identity record found"}
    answer = 400, {"Content-Type": "application/json"}, json.dumps(body).encode()
    with storage_servers.answering(lambda request: answer, tls=tls) as url:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", url)
        with pytest.raises(StorageRefused, match=rf"no credentials .*{CLIENT}.*AADSTS700213"):
            open_place(container)


@pytest.mark.parametrize("name", ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"])
@pytest.mark.usefixtures("workload_identity")
def test_an_annotation_that_is_missing_is_named(container, open_place, monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(StorageRefused, match=rf"workload identity lacks {name}\. Annotate the service account"):
        open_place(container)


def test_in_a_pod_the_nodes_managed_identity_is_not_even_asked_for(container, open_place, monkeypatch):
    asked = []
    with storage_servers.answering(lambda request: asked.append(request.path) or (200, {}, b"{}")) as url:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        with pytest.raises(StorageRefused, match=r"azure\.workload\.identity/use.*node's own identity is not used"):
            open_place(container)
    assert asked == []


def sign(container, **options):
    """Return a SAS token for a container."""
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    permissions = ContainerSasPermissions.from_string(options.pop("permissions", "rlcwd"))
    until = options.pop("until", datetime.now(UTC) + timedelta(hours=1))
    return generate_container_sas(ACCOUNT, container, ACCOUNT_KEY, permission=permissions, expiry=until, **options)


@pytest.mark.parametrize("mark", ["", "?"])
def test_a_sas_token_is_named_by_kind_and_never_shown(make_place, open_place, caplog, mark):
    caplog.set_level("DEBUG", "selection_job")
    place, token = make_place("azure"), sign(BUCKET)
    store = open_place(place.over(place.datasource, {"sas_token": mark + token + "\n"}))
    store.write("a.jpg", b"x")
    assert store.credentials == "Secret a-secret (SAS token)"
    assert "with the credentials of Secret a-secret (SAS token)" in caplog.text
    assert token.rpartition("sig=")[2] not in caplog.text


def test_an_account_key_is_named_by_kind(make_place, open_place):
    assert open_place(make_place("azure")).credentials == "Secret a-secret (account key)"


def test_a_sas_token_that_was_renewed_in_the_secret_is_used_when_the_old_one_expires(make_place, mount, azurite):
    """A proxy says of the first signature that it has expired, as Azure does of one in the middle of a run."""
    from selection_api.datasource import Datasource
    from selection_job.stores.opening import open_bucket

    first = sign(BUCKET, until=datetime.now(UTC) + timedelta(hours=1))
    second = sign(BUCKET, until=datetime.now(UTC) + timedelta(hours=2))
    old, signatures = unquote(first.rpartition("sig=")[2]), []
    body = b"<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate.</Message></Error>"

    def expire(request):
        signature = unquote(request.path.rpartition("sig=")[2].partition("&")[0])
        signatures.append(signature)
        is_old = expired and signature == old
        return (403, {"x-ms-error-code": "AuthenticationFailed"}, body) if is_old else None

    expired, place = False, make_place("azure")
    with storage_servers.proxying(azurite.removesuffix(f"/{ACCOUNT}"), expire) as url:
        moved = place.over({**place.datasource, "endpoint": f"{url}/{ACCOUNT}"}, {"sas_token": first})
        mount("lightly", {"sas_token": first})
        store = open_bucket(Datasource.model_validate(moved.reference("a-secret")), purpose="lightly")
        store.write("a.jpg", b"x")
        expired = True
        mount("lightly", {"sas_token": second})
        assert store.read("a.jpg") == b"x"
        store.write("b.jpg", b"y")
        assert len(list(store.list())) == 2
    assert len(set(signatures)) == 2
