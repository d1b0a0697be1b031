"""Images that stay as they are go from input to lightly inside the provider, where it allows that."""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import storage_servers
from conftest import KINDS, make_s3_client
from storage_servers import ACCOUNT, ACCOUNT_KEY

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.errors import ObjectMissing
from selection_job.process.progress import Progress
from selection_job.results.pictures.image_copies import dump_images
from selection_job.selection.selection import Selection
from selection_job.stores.counting import CountingStore

IMAGES = {"a.jpg": b"1", "sub dir/ü+%20.jpg": b"22", "写真/#?.png": b"333", "half [1].jpg": b"4444"}
NOTHING = np.empty(0, np.int64)


def dump(source, target, names, **worker):
    """Copy the named images as a run with dump_dataset does; all of them are selected. Return the notes."""
    n = len(names)
    rows, zeros = np.arange(n), np.zeros(n, np.int32)
    catalog = Catalog(list(names), np.zeros((n, 32), np.uint8), zeros, zeros, zeros, rows, {})
    radii, parts = np.zeros(n, np.float32), np.empty((n, 0))
    selection = Selection(
        rows, rows, radii, NOTHING, NOTHING, NOTHING, "coreset", "n_samples", radii, parts, NOTHING
    )  # fmt: skip
    config = WorkerConfig.model_validate({"dump_dataset": True, **worker})
    return dump_images(
        source, target, "run/", catalog=catalog, selection=selection, worker=config, progress=Progress(quiet=True)
    )


def contents(store, prefix):
    return {info.key.removeprefix(prefix): store.read(info.key) for info in store.list(prefix)}


@pytest.mark.parametrize("kind", KINDS)
def test_unchanged_images_are_copied_without_being_read(kind, make_place, open_place):
    source, target = (open_place(make_place(kind)) for _ in range(2))
    for name, content in IMAGES.items():
        source.write(name, content)
    counted = CountingStore(source)
    assert dump(counted, target, IMAGES) == []
    assert contents(target, "run/data/sampled/") == contents(target, "run/data/clean/") == IMAGES
    assert counted.bytes_read == 0
    assert contents(source, "") == IMAGES, "the input is as it was"


@pytest.mark.parametrize("kind", ["s3-moto", "gcs", "azure"])
def test_keys_that_obstore_cannot_name_are_copied_too(kind, make_place, open_place):
    source, target = (open_place(make_place(kind)) for _ in range(2))
    for key in ("a//b.jpg", "/lead", "lead"):
        source.write(key, key.encode())
        assert source.copy_to(key, target, f"copies/{key}")
        assert target.read(f"copies/{key}") == key.encode()


@pytest.mark.parametrize(
    ("one", "other"), [("s3-moto", "gcs"), ("azure", "s3-moto"), ("s3-moto", "s3-rclone"), ("local", "azure")]
)
def test_between_two_services_bytes_are_read_once_and_written(one, other, make_place, open_place, caplog):
    caplog.set_level(logging.INFO, "selection_job")
    source, target = open_place(make_place(one)), open_place(make_place(other))
    for name, content in IMAGES.items():
        source.write(name, content)
    counted = CountingStore(source)
    assert dump(counted, target, IMAGES) == []
    assert contents(target, "run/data/sampled/") == IMAGES
    assert counted.bytes_read == 2 * sum(map(len, IMAGES.values()))
    assert caplog.text.count("does not copy from") == (one != "local")


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_has_gone_is_a_note(kind, make_place, open_place):
    source, target = (open_place(make_place(kind)) for _ in range(2))
    source.write("a.jpg", b"x")
    notes = dump(CountingStore(source), target, ["a.jpg", "gone.jpg"])
    assert len(notes) == 2 and all("gone.jpg could not be copied" in note for note in notes)
    assert contents(target, "run/data/sampled/") == {"a.jpg": b"x"}
    with pytest.raises(ObjectMissing):
        source.read("gone.jpg")


def test_images_that_change_are_read(make_place, open_place, photos):
    source, target = (open_place(make_place("s3-moto")) for _ in range(2))
    name = "UPPER.JPEG"
    source.write(name, (photos.folder / name).read_bytes())
    counted = CountingStore(source)
    assert dump(counted, target, [name], output_image_size=16) == []
    assert counted.bytes_read == len((photos.folder / name).read_bytes())


class Refusing:
    """A proxy's rule that answers copies so; counts them."""

    def __init__(self, status, code, n=10**6):
        self.status, self.code, self.n, self.count = status, code, n, 0

    def __call__(self, request):
        if "x-amz-copy-source" not in request.headers:
            return None
        self.count += 1
        if self.count > self.n:
            return None
        return self.status, {}, f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (501, "NotImplemented"), (405, "MethodNotAllowed")]
)
def test_a_refused_copy_is_asked_for_once_and_then_read_and_written(status, code, make_place, open_place, moto):
    refusing, place = Refusing(status, code), make_place("s3-moto")
    with storage_servers.proxying(moto, refusing) as url:
        behind = place.over({**place.datasource, "endpoint": url})
        source, target = open_place(behind.at("in/")), open_place(behind.at("out/"))
        for name, content in IMAGES.items():
            source.write(name, content)
        counted = CountingStore(source)
        assert not source.copy_to("a.jpg", target, "refused.jpg")
        assert dump(counted, target, IMAGES) == []
        assert contents(target, "run/data/sampled/") == IMAGES
    assert refusing.count == 1
    assert counted.bytes_read == 2 * sum(map(len, IMAGES.values()))


def test_one_image_that_may_not_be_copied_does_not_end_the_copying_of_others(make_place, open_place, moto):
    refusing, place = Refusing(400, "InvalidRequest", n=1), make_place("s3-moto")
    with storage_servers.proxying(moto, refusing) as url:
        behind = place.over({**place.datasource, "endpoint": url})
        source, target = open_place(behind.at("in/")), open_place(behind.at("out/"))
        for name in "abc":
            source.write(name, b"x")
        assert [source.copy_to(name, target, name) for name in "abc"] == [False, True, True]


def test_an_overload_while_copying_is_borne(make_place, mount, moto):
    from selection_api.datasource import Datasource
    from selection_job.stores.cloud.retrying import RetryPolicy
    from selection_job.stores.opening import open_bucket

    refusing, place = Refusing(503, "SlowDown", n=2), make_place("s3-moto")
    mount("input", place.secret)
    with storage_servers.proxying(moto, refusing) as url:
        model = Datasource.model_validate({**place.reference("a-secret"), "endpoint": url})
        store = open_bucket(model, purpose="input", retry_policy=RetryPolicy(sleep=lambda seconds: None))
        store.write("a.jpg", b"x")
        assert store.copy_to("a.jpg", store, "b.jpg")
        assert store.read("b.jpg") == b"x"
    assert refusing.count == 3


def test_a_copy_is_encrypted_with_the_targets_key_and_leaves_tags_behind(make_place, open_place, moto):
    key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    one, other = make_place("s3-moto"), make_place("s3-moto")
    source, target = open_place(one), open_place(other.over({**other.datasource, "kmsKeyArn": key}))
    source.write("a.jpg", b"x")
    client = make_s3_client(moto)
    full = one.datasource["resourcePath"].removeprefix("s3://pictures/") + "a.jpg"
    client.put_object_tagging(Bucket="pictures", Key=full, Tagging={"TagSet": [{"Key": "owner", "Value": "somebody"}]})
    assert source.copy_to("a.jpg", target, "b.jpg")
    copied = {"Bucket": "pictures", "Key": other.datasource["resourcePath"].removeprefix("s3://pictures/") + "b.jpg"}
    head = client.head_object(**copied)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    assert client.get_object_tagging(**copied)["TagSet"] == []


def sign(permissions):
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    allowed = ContainerSasPermissions.from_string(permissions)
    until = datetime.now(UTC) + timedelta(hours=1)
    return {
        "sas_token": generate_container_sas(ACCOUNT, "pictures", ACCOUNT_KEY, permission=allowed, expiry=until),
    }


def test_azure_copies_with_the_inputs_own_signature(make_place, open_place):
    place = make_place("azure")
    open_place(place).write("in/a b.jpg", b"x")
    reader = open_place(place.at("in/").over(place.at("in/").datasource, sign("rl")), writable=False)
    writer = open_place(place.at("out/").over(place.at("out/").datasource, sign("rlcwd")))
    assert reader.copy_to("a b.jpg", writer, "c d.jpg")
    assert writer.read("c d.jpg") == b"x"


def test_azure_is_not_shown_a_signature_that_belongs_to_another_address(make_place, open_place, azurite):
    seen, place = [], make_place("azure")
    open_place(place).write("in/a.jpg", b"x")
    reader = open_place(place.at("in/").over(place.at("in/").datasource, sign("rl")), writable=False)
    with storage_servers.proxying(azurite.removesuffix(f"/{ACCOUNT}"), seen.append) as url:
        elsewhere = place.at("out/")
        writer = open_place(elsewhere.over({**elsewhere.datasource, "endpoint": f"{url}/{ACCOUNT}"}))
        assert not reader.copy_to("a.jpg", writer, "b.jpg")
    assert not [request for request in seen if "x-ms-copy-source" in request.headers]
