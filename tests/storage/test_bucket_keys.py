"""Odd keys: each reaches the server as it is, whichever way it goes, and nothing is taken for another."""

from urllib.parse import unquote

import pytest
import storage_servers
from hypothesis import given
from hypothesis import strategies as st

from selection_api.datasource import Datasource
from selection_job.catalog.listing import list_images
from selection_job.errors import ObjectRefused
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.cloud.keys import is_plain
from selection_job.stores.opening import open_bucket, split_place

ODD_KEYS = ["/lead", "trail/", "a//b", "new\nline", "tab\there", "carriage\rreturn", "/", "//", "a/./b"]
CLIMBING = ["x/../y", "../x", "./x", "..", "."]
"""Keys that S3 and Google know and that Azure's addresses can't name."""

POSSIBLE = {  # rclone serves a folder, which has no such names
    "s3-moto": [key for key in ODD_KEYS if key != "new\nline"],  # moto's routes take no line break
    "s3-rclone": ["new\nline", "tab\there", "carriage\rreturn"],
    "gcs": [*ODD_KEYS, *CLIMBING[:1]],
    "azure": [key for key in ODD_KEYS if key != "a/./b"],
}


def keys(store, prefix=""):
    return sorted(info.key for info in store.list(prefix))


@pytest.mark.parametrize("kind", ["s3-moto", "gcs", "azure"])
def test_lead_and_slash_lead_are_two_objects(kind, make_place, open_place):
    """The fast client would silently read and list the one for the other."""
    bucket = open_place(make_place(kind))
    contents = {"lead": b"1", "/lead": b"22", "lead/": b"333", "//lead": b"4444"}
    for key, content in contents.items():
        bucket.write(key, content)
    assert {info.key: info.size_bytes for info in bucket.list()} == {key: len(c) for key, c in contents.items()}
    assert {key: bucket.read(key) for key in contents} == contents
    bucket.delete("/lead")
    assert sorted(info.key for info in bucket.list()) == sorted(contents.keys() - {"/lead"})
    assert bucket.read("lead") == b"1"


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in POSSIBLE.items() for key in keys])
def test_an_odd_key_survives(kind, key, make_place, open_place):
    bucket = open_place(make_place(kind))
    bucket.write(key, b"content")
    assert keys(bucket) == [key]
    assert bucket.read(key) == b"content"
    assert bucket.exists(key)
    bucket.delete(key)
    assert keys(bucket) == []


@pytest.mark.parametrize("key", ["k" * 240, "ü" * 120, ("ü" * 120 + "/") * 4 + "x"])
def test_a_long_key_survives(bucket, key):
    bucket.write(key, b"content")
    assert keys(bucket) == [key]
    assert bucket.read(key) == b"content"


def test_the_marker_of_the_datasources_own_folder_is_no_object(bucket):
    bucket.write("", b"")
    bucket.write("sub/", b"")
    bucket.write("sub/a.jpg", b"1")
    assert keys(bucket) == ["sub/", "sub/a.jpg"]


@pytest.mark.parametrize("kind", ["s3-moto", "gcs", "azure"])
def test_an_odd_key_goes_up_and_down_as_a_file(kind, make_place, open_place, tmp_path):
    bucket = open_place(make_place(kind))
    (tmp_path / "source").write_bytes(b"content")
    bucket.upload("a//b", tmp_path / "source")
    bucket.download("a//b", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    assert bucket.create("c//d", b"one")
    assert not bucket.create("c//d", b"two")


@pytest.mark.parametrize("key", CLIMBING)
def test_azure_is_never_asked_for_a_key_that_climbs_to_another(key, make_place, open_place, tmp_path):
    bucket = open_place(make_place("azure"))
    bucket.write("y", b"not asked for")
    (tmp_path / "file").write_bytes(b"x")
    for act in (
        lambda: bucket.read(key),
        lambda: bucket.write(key, b"x"),
        lambda: bucket.create(key, b"x"),
        lambda: bucket.delete(key),
        lambda: bucket.exists(key),
        lambda: bucket.upload(key, tmp_path / "file"),
        lambda: bucket.download(key, tmp_path / "file"),
    ):
        with pytest.raises(ObjectRefused, match=r"UnnameableKey: Azure takes no '\.' and '\.\.' between slashes"):
            act()
    assert not bucket.copy_to(key, bucket, "copy")
    assert keys(bucket) == ["y"]


@pytest.mark.parametrize("kind", ["s3-moto", "gcs"])
def test_an_image_that_lies_beyond_two_dots_is_listed_and_read(kind, make_place, open_place):
    bucket = open_place(make_place(kind))
    bucket.write("x/../y.jpg", b"image")
    assert list_images(bucket, bucket).names == ["x/../y.jpg"]
    assert [
        image.size_bytes for image in read_images(bucket, ["x/../y.jpg"], options=ReadOptions(preprocessing=None))
    ] == [5]


@pytest.fixture(scope="module")
def recorder():
    """A server that keeps the request lines and has an object of one byte under each name."""
    lines = []

    def answer(request):
        lines.append((request.method, request.path.partition("?")[0]))
        return 200, {"ETag": '"e"', "Last-Modified": "Mon, 23 Nov 2026 02:00:00 GMT"}, b"x"

    with storage_servers.answering(answer) as url:
        yield url, lines


@pytest.fixture(scope="module")
def recorded(recorder, tmp_path_factory):
    """A store whose requests are kept: a function key -> the path that a read requested."""
    url, lines = recorder
    folder = tmp_path_factory.mktemp("secrets") / "input"
    folder.mkdir()
    (folder / "access_key").write_text("a")
    (folder / "secret_access_key").write_text("b")
    datasource = {"type": "S3", "resourcePath": "s3://bucket/in/", "region": "eu-central-1", "endpoint": url}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SELECTION_SECRETS", str(folder.parent))
        model = Datasource.model_validate({**datasource, "credentialsSecretRef": {"name": "s"}})
        store = open_bucket(model, purpose="input")

        def read(key):
            lines.clear()
            store.read(key)
            return lines

        yield read


@pytest.mark.parametrize("key", [*ODD_KEYS, *CLIMBING, "plain", "a b+c%20ü.jpg", "?#"])
def test_the_request_names_the_key_and_nothing_else(recorded, key):
    assert [(method, unquote(path)) for method, path in recorded(key)] == [("GET", f"/bucket/in/{key}")]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda key: "\0" not in key))
def test_any_key_is_requested_as_it_is(recorded, key):
    assert [(method, unquote(path)) for method, path in recorded(key)] == [("GET", f"/bucket/in/{key}")]


@pytest.mark.parametrize("key", [*ODD_KEYS, *CLIMBING])
def test_odd_keys_are_not_plain(key):
    assert not is_plain(key)


@pytest.mark.parametrize(
    ("place", "expected"),
    [("b", ("b", "")), ("b/", ("b", "")), ("b/p", ("b", "p/")), ("b/p/q/", ("b", "p/q/")), ("b//p", ("b", "/p/"))],
)
def test_a_place_is_a_bucket_and_a_prefix_that_ends_in_a_slash(place, expected):
    assert split_place(place) == expected
