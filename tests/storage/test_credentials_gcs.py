"""Every way to credentials for Google Cloud Storage; metadata servers and token endpoints are played on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import storage_servers
from conftest import make_service_account
from urllib3.util import parse_url

from selection_job.errors import StorageRefused

EMAIL = "reader@a-project.iam.gserviceaccount.com"
POOL = "a-project.svc.id.goog"
NODE = "123456789012-compute@developer.gserviceaccount.com"
ON_GKE, ON_A_VM = "GKE Metadata Server", "Metadata Server for VM"
"""The Server header of the two metadata servers (googleapis/google-cloud-ruby#3750, googleapis/gcp-metadata#657)."""


class MetadataServer:
    """Google's metadata server, played: whose account it has, how it names itself, what it was asked for."""

    def __init__(self, email, name):
        self.email, self.name, self.asked, self.broken = email, name, [], False

    def __call__(self, request):
        headers = {"Metadata-Flavor": "Google", "Server": self.name, "Content-Type": "application/text"}
        path = request.path.partition("?")[0].removeprefix("/computeMetadata/v1")
        self.asked.append(path)
        if request.headers.get("metadata-flavor") != "Google":
            return 403, headers, b"Missing required header"
        if path in ("", "/"):
            return 200, headers, b"computeMetadata/"
        account = path.removeprefix("/instance/service-accounts/default")
        if account == path:
            return (200, headers, b"a-project") if path == "/project/project-id" else (404, headers, b"not here")
        if account == "/email":
            return (404, headers, b"no service account") if self.broken else (200, headers, self.email.encode())
        json_headers = headers | {"Content-Type": "application/json"}
        if account.startswith("/token"):
            token = {"access_token": "metadata-token", "expires_in": 3600, "token_type": "Bearer"}
            return 200, json_headers, json.dumps(token).encode()
        facts = {
            "aliases": ["default"],
            "email": self.email,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
        return 200, json_headers, json.dumps(facts).encode()


@pytest.fixture
def environment(tmp_path):
    """What a process needs, and nothing of this machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_"))}
    kept |= {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"), "OMP_NUM_THREADS": "1"}
    kept |= {"PYTHONPATH": os.pathsep.join(sys.path), "no_proxy": "127.0.0.1,localhost"}
    kept.pop("KUBERNETES_SERVICE_HOST", None)
    return kept


@pytest.fixture
def bucket_with_notes(make_place, fake_gcs):
    """A datasource without a Secret behind a proxy that notes the tokens, and the set of those."""
    tokens, place = set(), make_place("gcs")

    def note(request):
        tokens.add(request.headers.get("authorization"))

    with storage_servers.proxying(fake_gcs, note) as url:
        yield place.over({**place.datasource, "endpoint": url}, {}), tokens


def open_apart(place, environment, **changes):
    """Open the datasource in a process of its own; return its exit code and what it said."""
    command = [sys.executable, str(Path(__file__).parent / "opening_process.py"), json.dumps(place.datasource)]
    done = subprocess.run(command, env=environment | changes, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def by_metadata(url):
    host = parse_url(url).netloc
    return {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}


@pytest.mark.parametrize("email", [EMAIL, POOL])
def test_gke_workload_identity_is_used_and_named(bucket_with_notes, environment, email):
    place, tokens = bucket_with_notes
    with storage_servers.answering(MetadataServer(email, ON_GKE)) as url:
        code, said = open_apart(place, environment, **IN_A_POD, **by_metadata(url))
    assert (code, said) == (0, f"GKE workload identity {email}\nx y\n")
    assert tokens == {"Bearer metadata-token"}


NODES = [(NODE, ON_A_VM), (NODE, ON_GKE), ("gke-nodes@a-project.iam.gserviceaccount.com", ON_A_VM)]


@pytest.mark.parametrize(("email", "name"), NODES)
def test_in_a_pod_the_nodes_service_account_is_refused(bucket_with_notes, environment, email, name):
    place, tokens = bucket_with_notes
    server = MetadataServer(email, name)
    with storage_servers.answering(server) as url:
        code, said = open_apart(place, environment, **IN_A_POD, **by_metadata(url))
    assert code == 4
    assert f"only credentials for Google Cloud Storage are the node's own ({email}), and those are not used" in said
    assert "workload identity" in said
    assert tokens == set(), "nothing was sent to the bucket"
    assert not [path for path in server.asked if "token" in path], "nor a token asked for"


def test_on_a_machine_of_ones_own_its_service_account_is_used_and_named(bucket_with_notes, environment):
    place, _ = bucket_with_notes
    with storage_servers.answering(MetadataServer(NODE, ON_A_VM)) as url:
        code, said = open_apart(place, environment, **by_metadata(url))
    assert (code, said) == (0, f"the machine's service account {NODE}\nx y\n")


def test_a_metadata_server_that_does_not_answer_is_tried_again_later(bucket_with_notes, environment):
    place, _ = bucket_with_notes
    server = MetadataServer(EMAIL, ON_GKE)
    server.broken = True
    with storage_servers.answering(server) as url:
        code, said = open_apart(place, environment, **IN_A_POD, **by_metadata(url))
    assert code == 75 and "does not say whose account it has" in said


def test_without_any_credentials_the_way_out_is_named(bucket_with_notes, environment):
    place, _ = bucket_with_notes
    code, said = open_apart(place, environment, **IN_A_POD, NO_GCE_CHECK="true")
    assert code == 4
    assert "no credentials for Google Cloud Storage were found" in said and "credentialsSecretRef" in said


def test_workload_identity_federation_exchanges_the_pods_token(bucket_with_notes, environment, tmp_path):
    """An external_account configuration outside of GKE: a projected token, exchanged at Google's STS."""
    place, tokens = bucket_with_notes
    (tmp_path / "projected-token").write_text("the-pods-token")
    asked = []

    def exchange(request):
        asked.append(request.body.decode())
        answer = {
            "access_token": "federated-token",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    with storage_servers.answering(exchange) as url:
        configuration = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{url}/v1/token",
            "credential_source": {"file": str(tmp_path / "projected-token")},
        }
        (tmp_path / "federation.json").write_text(json.dumps(configuration))
        file = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "federation.json")}
        code, said = open_apart(place, environment, **IN_A_POD, **file)
    assert (code, said) == (0, "workload identity federation (external_account)\nx y\n")
    assert tokens == {"Bearer federated-token"}
    assert "subject_token=the-pods-token" in asked[0]


def test_a_service_account_key_by_the_environment_is_named(bucket_with_notes, environment, tmp_path, token_server):
    place, tokens = bucket_with_notes
    (tmp_path / "key.json").write_text(make_service_account(f"{token_server}/token"))
    file = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}
    code, said = open_apart(place, environment, **file)
    assert code == 0
    account = "job@a-project.iam.gserviceaccount.com"
    assert said.startswith(f"service-account key of {account} (GOOGLE_APPLICATION_CREDENTIALS)")
    assert tokens == {"Bearer a-token"}


def test_the_secrets_service_account_is_named_and_nothing_else_is_asked(make_place, open_place, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/that-exists.json")
    store = open_place(make_place("gcs"))
    assert store.credentials == "Secret a-secret (service-account key of job@a-project.iam.gserviceaccount.com)"


def test_a_secret_with_another_kind_of_credentials_is_refused_by_kind(make_place, open_place):
    place = make_place("gcs")
    other = {"credentials": json.dumps({"type": "external_account", "audience": "my-private-audience"})}
    with pytest.raises(StorageRefused, match=r"no service-account JSON .*its type is external_account") as caught:
        open_place(place.over(place.datasource, other))
    assert "my-private" not in str(caught.value)


def test_tokens_that_have_expired_are_renewed_in_the_middle_of_a_run(make_place, open_place, fake_gcs):
    given, seen = [], []

    def give(request):
        given.append(f"token-{len(given)}")
        answer = {"access_token": given[-1], "expires_in": 1, "token_type": "Bearer"}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def note(request):
        seen.append(request.headers.get("authorization"))

    place = make_place("gcs")
    with storage_servers.answering(give) as tokens, storage_servers.proxying(fake_gcs, note) as url:
        secret = {"credentials": make_service_account(f"{tokens}/token")}
        store = open_place(place.over({**place.datasource, "endpoint": url}, secret))
        store.write("odd//.jpg", b"x")
        assert store.read("odd//.jpg") == b"x"
    assert len(given) > 2, "a token that ends within google-auth's margin is not used twice"
    assert len(set(seen)) > 2


def test_a_revoked_key_is_refused_with_googles_word(make_place, open_place):
    body = json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}).encode()
    place = make_place("gcs")
    with storage_servers.answering(lambda request: (400, {"Content-Type": "application/json"}, body)) as tokens:
        secret = {"credentials": make_service_account(f"{tokens}/token")}
        with pytest.raises(StorageRefused, match=r"LIST gs://pictures/.*invalid_grant: Invalid JWT Signature"):
            open_place(place.over(place.datasource, secret))
