"""Nothing that signs is ever shown: not in a log at its most talkative, not in an error, not in a report."""

from datetime import UTC, datetime, timedelta

import pytest
import storage_servers
from conftest import ACCESS_KEY, BUCKET, SECRET
from storage_servers import ACCOUNT, ACCOUNT_KEY

from selection_api.datasource import Datasource
from selection_job.errors import JobError, ObjectMissing
from selection_job.stores.cloud.retrying import RetryPolicy
from selection_job.stores.opening import open_bucket

TOKEN = "a-session-token-that-nobody-sees"


def sign():
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    allowed, until = ContainerSasPermissions.from_string("rlcwd"), datetime.now(UTC) + timedelta(hours=1)
    return generate_container_sas(ACCOUNT, BUCKET, ACCOUNT_KEY, permission=allowed, expiry=until)


def secret_of(kind):
    """Return the keys of a Secret, and the words in it that are secret."""
    if kind == "s3-moto":
        return {"access_key": ACCESS_KEY, "secret_access_key": SECRET, "session_token": TOKEN}, [SECRET, TOKEN]
    token = sign()
    return {"sas_token": token}, [token.rpartition("sig=")[2].partition("&")[0]]


def hang_up(request):
    return storage_servers.HANG_UP


def refuse(request):
    return 403, {}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


def fail(request):
    return 503, {}, b"<Error><Code>SlowDown</Code><Message>no</Message></Error>"


def miss(request):
    return 404, {}, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"


def babble(request):
    return 200, {"Content-Type": "application/xml"}, b"<not xml"


def call(verb):
    """Return what is said where the verb fails; '' where it does not."""
    try:
        verb()
    except (JobError, ObjectMissing) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("answer", [hang_up, refuse, fail, miss, babble])
@pytest.mark.parametrize("kind", ["s3-moto", "azure"])
def test_no_error_and_no_log_shows_what_signs(kind, answer, make_place, mount, caplog, tmp_path):
    caplog.set_level("DEBUG", "selection_job")
    secret, words = secret_of(kind)
    mount("input", secret)
    (tmp_path / "file").write_bytes(b"x")
    said = []
    with storage_servers.answering(answer) as url:
        place = make_place(kind)
        suffix = f"/{ACCOUNT}" if kind == "azure" else ""
        model = Datasource.model_validate({**place.reference("a-secret"), "endpoint": url + suffix})
        store = open_bucket(model, purpose="input", retry_policy=RetryPolicy(attempts=2, sleep=lambda seconds: None))
        for verb in (
            lambda: list(store.list()),
            lambda: store.read("a.jpg"),
            lambda: store.write("a.jpg", b"x"),
            lambda: store.upload("a.jpg", tmp_path / "file"),
            lambda: store.download("a.jpg", tmp_path / "copy"),
            lambda: store.create("a.jpg", b"x"),
            lambda: store.delete("a.jpg"),
            lambda: store.exists("a.jpg"),
            lambda: store.copy_to("a.jpg", store, "b.jpg"),
        ):
            said.append(call(verb))
    everything = " ".join([*said, caplog.text])
    assert any(said)
    assert "obstore failed" in caplog.text, "the log is at its most talkative"
    assert not [word for word in words if word in everything]
