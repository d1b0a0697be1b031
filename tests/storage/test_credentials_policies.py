"""The least-privilege policies of docs/credentials.md, as they stand there: enough for a run, and no more.

Azure's are enforced by azurite. moto and fake-gcs-server let everybody do everything, so a proxy before them says what
AWS and Google would: it knows which permission each request takes, and who may do what by the page.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import storage_servers
from aws_iam import Iam, allows
from conftest import BUCKET, make_service_account
from storage_servers import ACCOUNT, ACCOUNT_KEY
from test_runs import RUN_KEY, fill, run_job, write_manifest

from selection_job.errors import StorageRefused

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "credentials.md").read_text()
READER, WRITER = "AKIAREADER0000000000", "AKIAWRITER0000000000"


def read_policies(**places):
    """Return the JSON policies of the page in their order, with the places put in."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for word, place in places.items():
        blocks = [block.replace(word, place) for block in blocks]
    return [json.loads(block) for block in blocks]


class Guarded:
    """An input and a lightly datasource behind IAM, each with the keys that the page's policies are for."""

    def __init__(self, place, url, iam):
        self.iam, self._place, self._url = iam, place, url
        base = place.datasource["resourcePath"].removeprefix(f"s3://{BUCKET}/")
        policies = [json.dumps(policy) for policy in read_policies(BUCKET=BUCKET)]
        moved = [re.sub(r"\b(input|output)/", rf"{base}\1/", policy) for policy in policies]
        self.reader, self.writer, self.copier = (json.loads(policy) for policy in moved)
        iam.policies |= {READER: [self.reader], WRITER: [self.writer]}
        self.source, self.target = self._behind("input/", READER), self._behind("output/", WRITER)

    def _behind(self, prefix, key):
        place = self._place.at(prefix)
        return place.over({**place.datasource, "endpoint": self._url}, {"access_key": key, "secret_access_key": "any"})


@pytest.fixture
def guarded(make_place, moto):
    iam = Iam({})
    with storage_servers.proxying(moto, iam) as url:
        yield Guarded(make_place("s3-moto"), url, iam)


def run_by(source, target, mount, folder):
    """Run a whole run over two places, each with its own Secret."""
    mount("input", source.secret)
    mount("lightly", target.secret)
    done = run_job(write_manifest(source, target, folder / "run.yaml"))
    assert done.returncode == 0, done.stderr


def without(policy, action):
    return json.loads(json.dumps(policy).replace(f'"{action}", ', ""))


def test_the_policies_for_s3_are_enough_for_a_whole_run_and_each_action_is_needed(
    guarded, make_place, open_place, mount, photos, checkpoint, tmp_path
):
    unguarded = guarded._place
    _, given = fill(unguarded.at("input/"), unguarded.at("output/"), open_place, photos, checkpoint)
    run_by(guarded.source, guarded.target, mount, tmp_path)
    done, denied = guarded.iam.done, guarded.iam.denied
    assert {action for key, action in done if key == READER} == {"s3:ListBucket", "s3:GetObject"}
    used = {action for key, action in done if key == WRITER}
    assert used == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert set(denied) == {(WRITER, "s3:GetObject")}, "only the copies between the two, which are then carried"
    report = json.loads(given.read(f"{RUN_KEY}report.json"))
    assert report["generalInformation"]["runInformation"]["credentials"] == {
        "input": "Secret reader (secret access key)",
        "lightly": "Secret writer (secret access key)",
    }


def test_with_the_third_policy_s3_copies_by_itself(guarded, open_place):
    reader, writer = guarded.source, guarded.target
    guarded.iam.policies["AKIAEVERYTHING000000"] = [
        {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    ]
    everything = reader.over(reader.datasource, {"access_key": "AKIAEVERYTHING000000", "secret_access_key": "any"})
    open_place(everything).write("a.jpg", b"x")
    source, target = open_place(reader, writable=False), open_place(writer)
    assert not source.copy_to("a.jpg", target, "b.jpg")
    guarded.iam.policies[WRITER].append(guarded.copier)
    assert open_place(reader, writable=False).copy_to("a.jpg", open_place(writer), "b.jpg")


def test_an_upload_in_parts_needs_no_more(guarded, open_place, tmp_path):
    (tmp_path / "large").write_bytes(bytes(70 * 1024**2))
    store = open_place(guarded.target)
    store.upload("parts.bin", tmp_path / "large")
    store.upload("odd//parts.bin", tmp_path / "large")
    assert guarded.iam.denied == []


def test_without_permission_to_delete_objects_are_emptied(guarded, open_place):
    guarded.iam.policies[WRITER] = [without(guarded.writer, "s3:DeleteObject")]
    store = open_place(guarded.target)
    store.write(".stages/a", b"x")
    store.delete_folder(".stages/")
    assert [(info.key, info.size_bytes) for info in store.list(".stages/")] == [(".stages/a", 0)]
    assert (WRITER, "s3:DeleteObject") in guarded.iam.denied


REACHES = [
    (READER, "s3:PutObject", "input/a.jpg"),
    (READER, "s3:DeleteObject", "input/a.jpg"),
    (READER, "s3:GetObject", "output/a.jpg"),
    (READER, "s3:GetObject", "inputs/a.jpg"),
    (WRITER, "s3:GetObject", "input/a.jpg"),
    (WRITER, "s3:PutObject", "input/a.jpg"),
    (WRITER, "s3:DeleteBucket", ""),
]


@pytest.mark.parametrize(("who", "action", "key"), REACHES)
def test_the_policies_for_s3_reach_no_further(who, action, key):
    reader, writer, _ = read_policies()
    assert not allows(reader if who == READER else writer, action, f"arn:aws:s3:::BUCKET/{key}")


@pytest.mark.parametrize("prefix", ["", "in", "inputs/", "output/"])
def test_the_reader_lists_its_prefix_only(prefix):
    assert not allows(read_policies()[0], "s3:ListBucket", "arn:aws:s3:::BUCKET", prefix)
    assert allows(read_policies()[0], "s3:ListBucket", "arn:aws:s3:::BUCKET", "input/")


def test_a_reader_as_lightly_is_refused_writing_with_the_permission_by_name(guarded, open_place):
    open_place(guarded.source, writable=False)
    with pytest.raises(StorageRefused, match=r"No permission to WRITE s3://.*perform: s3:PutObject"):
        open_place(guarded.source)


def read_gcs_permissions():
    """Return the two sets of permissions of the page's table."""
    rows = re.findall(r"^\| (?:input|lightly) \| `roles/storage[^|]*\| (.*?) \|$", PAGE, re.MULTILINE)
    reader, more = ({f"storage.objects.{name}" for name in re.findall(r"\.(\w+)`", row)} for row in rows)
    return reader, reader | more


class GoogleIam:
    """Google's IAM before a GCS that has none: token -> its permissions."""

    def __init__(self, permissions, pool, url):
        self.permissions, self.denied, self.used, self._pool, self._url = permissions, [], set(), pool, url

    def __call__(self, request):
        token = request.headers["authorization"].removeprefix("Bearer ")
        for permission in self._needs(request):
            self.used.add((token, permission))
            if permission not in self.permissions[token]:
                self.denied.append((token, permission))
                message = f"{token} does not have {permission} access to the Google Cloud Storage object."
                error = {"code": 403, "message": message, "errors": [{"reason": "forbidden"}]}
                return 403, {"Content-Type": "application/json"}, json.dumps({"error": error}).encode()
        return None

    def _needs(self, request):
        """Yield the permissions that the request takes (Google: IAM permissions for JSON and XML methods)."""
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        if "/rewriteTo/" in parts.path:
            yield "storage.objects.get"
            yield from self._creates(parts.path.partition("/rewriteTo/")[2].replace(f"b/{BUCKET}/o/", ""))
        elif parts.path.endswith("/o") and request.method == "GET":
            yield "storage.objects.list"
        elif request.method in ("GET", "HEAD"):
            yield "storage.objects.get"
        elif request.method == "DELETE":
            yield "storage.objects.delete"
        elif "upload_id" not in query:
            name = query.get("name") or re.findall(r'"name": "(.*?)"', request.body.decode(errors="replace"))
            yield from self._creates(name[0] if name else parts.path.partition(f"/{BUCKET}/")[2])

    def _creates(self, name):
        yield "storage.objects.create"
        path = f"{self._url}/storage/v1/b/{BUCKET}/o/{quote(unquote(name), safe='')}"
        if self._pool.request("GET", path).status == 200:
            yield "storage.objects.delete"  # overwriting


def give_tokens(token):
    body = json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode()
    return storage_servers.answering(lambda request: (200, {"Content-Type": "application/json"}, body))


def test_the_permissions_for_gcs_are_enough_for_a_whole_run_and_each_is_needed(
    make_place, open_place, mount, fake_gcs, photos, checkpoint, tmp_path
):
    import urllib3

    source, target = make_place("gcs"), make_place("gcs")
    _, given = fill(source, target, open_place, photos, checkpoint)
    reader, writer = read_gcs_permissions()
    with urllib3.PoolManager() as pool, give_tokens("reader") as reading, give_tokens("writer") as writing:
        iam = GoogleIam({"reader": reader, "writer": writer}, pool, fake_gcs)
        with storage_servers.proxying(fake_gcs, iam) as url:
            behind = [
                place.over({**place.datasource, "endpoint": url}, {"credentials": make_service_account(f"{by}/token")})
                for place, by in ((source, reading), (target, writing))
            ]
            run_by(*behind, mount, tmp_path)
    assert json.loads(given.read(f"{RUN_KEY}report.json"))["schemaVersion"]
    assert iam.denied == []
    assert {permission for token, permission in iam.used if token == "reader"} == reader
    assert {permission for token, permission in iam.used if token == "writer"} == writer


def read_sas_permissions():
    """Return the two permission strings of the page's table."""
    return re.findall(r"^\| (?:input|lightly) \| `([a-z]+)` \(", PAGE, re.MULTILINE)


def sign(permissions):
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    allowed = ContainerSasPermissions.from_string(permissions)
    until = datetime.now(UTC) + timedelta(hours=1)
    return {
        "sas_token": generate_container_sas(ACCOUNT, BUCKET, ACCOUNT_KEY, permission=allowed, expiry=until),
    }


def test_the_signatures_for_azure_are_enough_for_a_whole_run(
    make_place, open_place, mount, photos, checkpoint, tmp_path
):
    source, target = make_place("azure"), make_place("azure")
    _, given = fill(source, target, open_place, photos, checkpoint)
    reader, writer = read_sas_permissions()
    run_by(source.over(source.datasource, sign(reader)), target.over(target.datasource, sign(writer)), mount, tmp_path)
    assert json.loads(given.read(f"{RUN_KEY}report.json"))["schemaVersion"]


@pytest.mark.parametrize("lacking", ["r", "l", "w"])
def test_each_permission_of_the_signatures_for_azure_is_needed(make_place, open_place, lacking):
    reader, writer = read_sas_permissions()
    place = make_place("azure")
    open_place(place).write("a.jpg", b"x")
    fewer = sign(writer.replace(lacking, "").replace("c", "" if lacking == "w" else "c"))
    with pytest.raises(StorageRefused, match=r"No permission to (READ|LIST|WRITE) azure://"):
        open_place(place.over(place.datasource, fewer))
    if lacking in reader:
        with pytest.raises(StorageRefused, match=r"No permission to (READ|LIST) azure://"):
            open_place(place.over(place.datasource, sign(reader.replace(lacking, ""))), writable=False)
