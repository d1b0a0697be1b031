"""Every way to credentials for S3, against real STS and S3 semantics (moto) and agents played on loopback."""

import contextlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import storage_servers
from conftest import ACCESS_KEY, SECRET, make_s3_client

from selection_job.errors import StorageRefused, StorageUnavailable

ROLE = "arn:aws:iam::123456789012:role/reads-pictures"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """Nothing of this machine's: no keys, no configuration files; the metadata server is nobody's."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/")


@pytest.fixture
def in_a_pod(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")


class Wire:
    """What went through a proxy: requests, and access keys in the order of their first use."""

    def __init__(self):
        self.requests, self.refused = [], set()

    def __call__(self, request):
        self.requests.append(request)
        key = key_of(request)
        if key in self.refused:
            return 400, {}, b"<Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>"
        return None

    @property
    def keys(self):
        return list(dict.fromkeys(key for request in self.requests if (key := key_of(request))))


def key_of(request):
    """Return the access key that signed a request, in its header or in its address."""
    match = re.search(r"Credential=([A-Z0-9]+)", request.headers.get("authorization", "") + request.path)
    return match and match[1]


@pytest.fixture
def watched(make_place, moto):
    """An S3 datasource without a Secret behind a proxy that takes notes, and the notes."""
    wire, place = Wire(), make_place("s3-moto")
    with storage_servers.proxying(moto, wire) as url:
        yield place.over({**place.datasource, "endpoint": url}, {}), wire


@contextlib.contextmanager
def sts(moto, calls, lifetime):
    """moto's STS, with a lifetime of ours in what it gives out; calls: the forms that it was sent."""
    import urllib3

    pool = urllib3.PoolManager()

    def answer(request):
        calls.append(request.body.decode())
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        given = pool.request("POST", moto + request.path, body=request.body, headers=headers)
        until = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = re.sub(rb"<Expiration>[^<]*<", f"<Expiration>{until}<".encode(), given.data)
        return given.status, {"Content-Type": "text/xml"}, body

    with storage_servers.answering(answer) as url, pool:
        yield url


@pytest.fixture
def asks_sts(moto, monkeypatch):
    """A function lifetime -> the forms that STS was sent; STS is asked from here on."""
    with contextlib.ExitStack() as stack:

        def start(lifetime=timedelta(hours=1)):
            calls = []
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stack.enter_context(sts(moto, calls, lifetime)))
            return calls

        yield start


def with_role(place, secret, **fields):
    return place.over({**place.datasource, "roleArn": ROLE, **fields}, secret)


KEYS = {"access_key": ACCESS_KEY, "secret_access_key": SECRET}


@pytest.mark.parametrize(
    ("secret", "method"),
    [
        (KEYS, "Secret a-secret (secret access key)"),
        ({**KEYS, "session_token": "a-token"}, "Secret a-secret (session token)"),
    ],
)
def test_the_keys_of_a_secret_are_named_by_kind(watched, open_place, secret, method):
    place, wire = watched
    store = open_place(place.over(place.datasource, secret))
    assert store.credentials == method
    assert wire.keys == [ACCESS_KEY]
    tokens = {request.headers.get("x-amz-security-token") for request in wire.requests if request.method == "PUT"}
    assert tokens == {secret.get("session_token")}


@pytest.mark.parametrize("external_id", [None, "0123456789-external"])
def test_a_role_is_assumed_with_its_external_id(watched, open_place, asks_sts, external_id):
    place, wire = watched
    calls = asks_sts()
    fields = {"externalId": external_id} if external_id else {}
    store = open_place(with_role(place, KEYS, **fields))
    store.write("a//b.jpg", b"odd")
    store.write("a.jpg", b"x")
    assert store.read("a.jpg") == b"x"
    (call,) = calls
    assert "Action=AssumeRole&" in call and "reads-pictures" in call
    assert ("ExternalId=0123456789-external" in call) == (external_id is not None)
    assert ACCESS_KEY not in wire.keys, "nothing is signed with the keys that may assume the role"
    words = "assumed role, with external id," if external_id else "assumed role"
    assert store.credentials == f"{words} {ROLE} by Secret a-secret (secret access key)"
    assert "0123456789" not in store.credentials


def test_a_role_that_may_not_be_assumed_is_refused_by_name(watched, open_place, monkeypatch):
    place, _ = watched
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>User is not authorized</Message></Error>"
    with storage_servers.answering(lambda request: (403, {}, body + b"</ErrorResponse>")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(StorageRefused, match=rf"by assumed role {ROLE} by Secret.*AccessDenied: User is not"):
            open_place(with_role(place, KEYS))


def test_the_keys_of_a_role_are_renewed_before_they_end(watched, open_place, asks_sts):
    """Keys with five minutes left are within botocore's ten: each use asks for others, in the middle of a run."""
    place, wire = watched
    calls = asks_sts(timedelta(minutes=5))
    store = open_place(with_role(place, KEYS))
    n_before = len(calls)
    for key in ("one//.jpg", "two//.jpg"):
        store.write(key, b"x")
        assert store.read(key) == b"x"
    assert len(calls) > n_before
    assert len(wire.keys) > 2


def test_keys_that_have_expired_in_the_middle_of_a_run_are_replaced(watched, open_place, asks_sts):
    place, wire = watched
    calls = asks_sts()
    store = open_place(with_role(place, KEYS))
    store.write("a.jpg", b"x")
    wire.refused |= set(wire.keys)
    assert store.read("a.jpg") == b"x"
    store.write("b.jpg", b"y")
    assert [info.key for info in store.list()] == ["a.jpg", "b.jpg"]
    assert len(calls) == 2


def test_the_roles_of_input_and_lightly_are_kept_apart(watched, open_place, asks_sts):
    place, wire = watched
    asks_sts()
    reader = open_place(with_role(place, KEYS), writable=False)
    writer = open_place(place.over(place.datasource, KEYS))
    n = len(wire.requests)
    writer.write("a.jpg", b"x")
    assert {key_of(request) for request in wire.requests[n:]} == {ACCESS_KEY}
    n = len(wire.requests)
    assert reader.read("a.jpg") == b"x"
    assert ACCESS_KEY not in {key_of(request) for request in wire.requests[n:]}


def test_keys_of_the_environment_are_not_mixed_into_a_secrets(watched, open_place, monkeypatch):
    place, wire = watched
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-environment")
    store = open_place(place.over(place.datasource, KEYS))
    store.write("a.jpg", b"x")
    assert store.read("a.jpg") == b"x"
    assert wire.keys == [ACCESS_KEY]
    assert {request.headers.get("x-amz-security-token") for request in wire.requests} == {None}


@pytest.fixture
def web_identity(monkeypatch, tmp_path, in_a_pod):
    """What the webhook of IRSA puts into a pod; the token's file."""
    token = tmp_path / "token"
    token.write_text("first-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    return token


def test_irsa_exchanges_the_pods_token(watched, open_place, asks_sts, web_identity):
    place, wire = watched
    calls = asks_sts()
    store = open_place(place)
    store.write("a.jpg", b"x")
    assert store.read("a.jpg") == b"x"
    assert store.credentials == f"web identity (IRSA) of {ROLE}"
    (call,) = calls
    assert "AssumeRoleWithWebIdentity" in call and "WebIdentityToken=first-token" in call
    assert len(wire.keys) == 1


def test_irsa_reads_the_token_again_when_keys_are_renewed(watched, open_place, asks_sts, web_identity):
    place, _ = watched
    calls = asks_sts(timedelta(minutes=5))
    store = open_place(place)
    web_identity.write_text("second-token")
    store.write("a//.jpg", b"x")
    assert "WebIdentityToken=first-token" in calls[0]
    assert "WebIdentityToken=second-token" in calls[-1]


def test_irsa_may_assume_a_role_in_another_account(watched, open_place, asks_sts, web_identity):
    place, _ = watched
    calls = asks_sts()
    store = open_place(with_role(place, {}, externalId="0123456789-external"))
    assert store.credentials == f"assumed role, with external id, {ROLE} by web identity (IRSA) of {ROLE}"
    assert ["WithWebIdentity" in call for call in calls] == [True, False]


@pytest.fixture
def pod_identity(monkeypatch, tmp_path, in_a_pod):
    """The agent of EKS Pod Identity, played; what it was asked for, the token's file, and how long its keys last."""
    token, asked, lifetime = tmp_path / "pod-token", [], [timedelta(hours=6)]
    token.write_text("pod-token-1")

    def answer(request):
        asked.append(request.headers.get("authorization"))
        if request.headers.get("authorization") != token.read_text() or request.path != "/v1/credentials":
            return 401, {}, b"{}"
        until = (datetime.now(UTC) + lifetime[0]).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": f"ASIAPOD{len(asked)}", "SecretAccessKey": "s", "Token": "t", "Expiration": until}
        return 200, {"Content-Type": "application/json"}, json.dumps(keys).encode()

    with storage_servers.answering(answer) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        yield asked, token, lifetime


def test_eks_pod_identity_asks_the_agent_with_the_pods_token(watched, open_place, pod_identity):
    place, wire = watched
    asked, _, _ = pod_identity
    store = open_place(place)
    store.write("a.jpg", b"x")
    assert store.read("a.jpg") == b"x"
    assert store.credentials == "EKS Pod Identity"
    assert asked == ["pod-token-1"]
    assert wire.keys == ["ASIAPOD1"]


def test_eks_pod_identity_renews_with_the_token_as_it_is_then(watched, open_place, pod_identity):
    place, wire = watched
    asked, token, lifetime = pod_identity
    lifetime[0] = timedelta(minutes=5)
    store = open_place(place)
    token.write_text("pod-token-2")
    store.write("a//.jpg", b"x")
    assert asked[-1] == "pod-token-2"
    assert len(wire.keys) > 1


@pytest.mark.parametrize(("status", "error"), [(404, StorageRefused), (503, StorageUnavailable)])
def test_an_agent_that_refuses_ends_the_run_and_one_that_is_not_ready_does_not(
    watched, open_place, pod_identity, monkeypatch, status, error
):
    place, _ = watched
    body = b"[ResourceNotFoundException]: no association found"
    with storage_servers.answering(lambda request: (status, {}, body)) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        with pytest.raises(error, match=r"datasources\.lightly.*no association found"):
            open_place(place)


@pytest.fixture
def node_role(monkeypatch):
    """The instance metadata service of a node, played; the paths that it was asked for."""
    asked = []

    def answer(request):
        asked.append(request.path)
        if request.path == "/latest/api/token":
            return 200, {}, b"a-token"
        if request.path == "/latest/meta-data/iam/security-credentials/":
            return 200, {}, b"node-role"
        keys = {
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIANODE", "SecretAccessKey": "s", "Token": "t",
            "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return 200, {}, json.dumps(keys).encode()

    with storage_servers.answering(answer) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        yield asked


def test_in_a_pod_the_nodes_role_is_not_even_asked_for(watched, open_place, node_role, in_a_pod):
    place, _ = watched
    sentence = r"datasources\.lightly: no credentials for S3.*node's own role is not used"
    with pytest.raises(StorageRefused, match=sentence):
        open_place(place)
    with pytest.raises(StorageRefused, match="no credentials for S3"):
        open_place(with_role(place, {}))
    assert node_role == []


def test_on_a_machine_of_ones_own_its_role_is_used_and_named(watched, open_place, node_role):
    place, wire = watched
    assert open_place(place).credentials == "the machine's instance role"
    assert wire.keys == ["ASIANODE"]


@pytest.mark.usefixtures("web_identity")
def test_a_broken_web_identity_does_not_fall_back_to_the_node(watched, open_place, node_role, monkeypatch):
    place, _ = watched
    error = b"<Error><Code>InvalidIdentityToken</Code><Message>No provider</Message></Error>"
    body = b"<ErrorResponse>%s</ErrorResponse>" % error
    with storage_servers.answering(lambda request: (400, {}, body)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(StorageRefused, match="InvalidIdentityToken"):
            open_place(place)
    assert node_role == []


def test_a_web_identity_without_its_file_is_refused_at_once(watched, open_place, node_role, web_identity):
    place, _ = watched
    web_identity.unlink()
    with pytest.raises(StorageRefused, match="token"):
        open_place(place)
    assert node_role == []


KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_every_write_names_the_kms_key(make_place, open_place, moto, tmp_path):
    place = make_place("s3-moto")
    encrypted = place.over({**place.datasource, "kmsKeyArn": KMS_KEY})
    store, plain = open_place(encrypted), open_place(place)
    plain.write("in/unencrypted.jpg", b"x")
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(bytes(70 * 1024**2))
    store.write("fast.jpg", b"x")
    store.write("odd//.jpg", b"x")
    store.upload("up.jpg", tmp_path / "small")
    store.upload("parts.bin", tmp_path / "large")
    store.upload("odd//parts.bin", tmp_path / "large")
    assert store.create("lock", b"x")
    client, prefix = make_s3_client(moto), place.datasource["resourcePath"].removeprefix("s3://pictures/")
    heads = {
        info.key: client.head_object(Bucket="pictures", Key=prefix + info.key)
        for info in store.list()
        if not info.key.startswith("in/")
    }
    assert len(heads) == 6
    assert {(head["ServerSideEncryption"], head["SSEKMSKeyId"]) for head in heads.values()} == {("aws:kms", KMS_KEY)}
