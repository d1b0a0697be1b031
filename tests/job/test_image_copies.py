"""Copies of images: where they lie, what they hold, what happens to one that is gone."""

import io
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from selection_api.datasource import Datasources
from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.process.progress import Progress
from selection_job.results.pictures.image_copies import (
    dump_images,
    encode_image,
    name_copies,
    thumbnail_key,
    write_thumbnails,
)
from selection_job.selection.selection import Selection
from selection_job.stores.local.store import LocalStore

SUFFIX = ".lightly/thumbnails/[filename]_thumb.[extension]"
NAMES = st.lists(
    st.builds(
        "{}.{}".format,
        st.text("a/-", max_size=3).flatmap(lambda stem: st.sampled_from([stem, f"{stem}-jpg", f"{stem}-png-2"])),
        st.sampled_from(["jpg", "png", "webp"]),
    ),
    unique=True,
)


@given(NAMES)
def test_no_two_copies_share_a_name(names):
    assert len(set(name_copies(names, "png"))) == len(names)


def test_copies_of_bytes_keep_their_names():
    assert name_copies(["a.jpg", "sub/b.PNG"], None) == ["a.jpg", "sub/b.PNG"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("image_1.png", ".lightly/thumbnails/image_1_thumb.png"),
        ("sub.dir/image.v2.JPG", ".lightly/thumbnails/sub.dir/image.v2_thumb.JPG"),
        ("写真/東京.webp", ".lightly/thumbnails/写真/東京_thumb.webp"),
        ("[extension].jpg", ".lightly/thumbnails/[extension]_thumb.jpg"),
    ],
)
def test_thumbnails_lie_where_the_suffix_says(name, key):
    assert thumbnail_key(SUFFIX, name) == key


@pytest.mark.parametrize("extension", ["jpg", "JPEG", "png", "webp", "bmp", "tif", "tiff", "ppm", "pgm"])
def test_every_listed_extension_can_be_written(extension):
    content = encode_image(Image.new("RGB", (4, 3), "red"), extension)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (4, 3)


def as_png(size):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def stores(tmp_path):
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    return LocalStore(tmp_path / "input"), LocalStore(tmp_path / "output", writable=True)


def dump(stores, images, *, check_cheaply=lambda: None, **worker):
    source, target = stores
    for name, content in images.items():
        source.write(name, content)
    n = len(images)
    rows, nothing = np.arange(n), np.empty(0, np.int64)
    zeros = np.zeros(n, np.int32)
    catalog = Catalog(list(images), np.zeros((n, 32), np.uint8), zeros, zeros, zeros, rows, {})
    radii, contributions = np.zeros(n, np.float32), np.empty((n, 0))
    selection = Selection(
        rows, rows, radii, nothing, nothing, nothing, "coreset", "n_samples", radii, contributions, nothing
    )
    notes = dump_images(
        source, target, "run/", catalog=catalog, selection=selection,
        worker=WorkerConfig.model_validate({"dump_dataset": True, **worker}),
        progress=Progress(quiet=True), check_cheaply=check_cheaply,
    )  # fmt: skip
    return notes, sorted(info.key.removeprefix("run/data/sampled/") for info in target.list("run/data/sampled/"))


@pytest.mark.parametrize(
    ("size", "output_size", "image_format", "words"),
    [
        ((2, 3000), 100, "webp", "can't be written as webp"),
        ((1, 60_000), 5000, "png", "too large"),
    ],
    ids=["longer than the format allows", "stretched beyond any memory"],
)
def test_an_image_that_cant_be_had_in_the_size_is_a_note_and_the_others_are_copied(
    stores, size, output_size, image_format, words
):
    images = {"long.png": as_png(size), "square.png": as_png((400, 400))}
    notes, copies = dump(stores, images, output_image_size=output_size, output_image_format=image_format)
    assert copies == [f"square.{image_format}"]
    assert len(notes) == 1 and words in notes[0] and "long" in notes[0]


class Lost(Exception):
    """The lock is."""


def glancing(n):
    """Return a check that finds the lease lost after n calls."""
    left = iter(range(n))

    def check_cheaply():
        if next(left, None) is None:
            raise Lost

    return check_cheaply


def test_copying_ends_where_the_lock_is_lost(stores):
    with pytest.raises(Lost):
        dump(stores, {f"{i}.png": as_png((4, 4)) for i in range(9)}, check_cheaply=glancing(3))
    assert len(list(stores[1].list("run/"))) <= 3


def test_writing_thumbnails_ends_where_the_lock_is_lost(stores):
    local = {"type": "LOCAL", "resourcePath": "/x", "thumbnailSuffix": SUFFIX}
    datasources = Datasources.model_validate({"input": local, "lightly": local})
    names = [f"{i}.jpg" for i in range(9)]
    with pytest.raises(Lost):
        write_thumbnails(stores[1], datasources, names, lambda name: b"jpeg", check_cheaply=glancing(3))
    assert len(list(stores[1].list())) <= 3


def test_thumbnails_are_written_side_by_side(stores):
    _, target = stores
    target.parallel_reads = 4
    together = threading.Barrier(4, timeout=30)
    local = {"type": "LOCAL", "resourcePath": "/x", "thumbnailSuffix": SUFFIX}
    datasources = Datasources.model_validate({"input": local, "lightly": local})

    def thumbnail(name):
        together.wait()
        return name.encode()

    assert write_thumbnails(target, datasources, [f"{i}.jpg" for i in range(8)], thumbnail) == []
    assert {target.read(info.key) for info in target.list()} == {f"{i}.jpg".encode() for i in range(8)}


class Climbing:
    """A bucket's object whose key a folder can't hold."""

    parallel_reads = 1

    def read(self, key):
        return as_png((4, 4))

    def copy_to(self, key, target, target_key):
        return False

    def write(self, key, content):
        """Hold nothing."""


def test_an_image_whose_copy_would_climb_out_of_the_folder_is_a_note(stores, tmp_path):
    notes, copies = dump((Climbing(), stores[1]), {"a.png": b"", "x/../../../../y.png": b""})
    assert copies == ["a.png"]
    assert len(notes) == 2 and all("is no key inside" in note for note in notes), "clean/ and sampled/"
    assert not list(tmp_path.rglob("y.png"))


LONGEST = "x" * 251 + ".png"  # 255 bytes


def test_a_name_that_grows_too_long_for_its_copy_is_a_note_and_the_others_are_copied(stores):
    images = {LONGEST: as_png((4, 4)), "a.png": as_png((4, 4))}
    notes, copies = dump(stores, images, output_image_size=2, output_image_format="webp")
    assert copies == ["a.webp"]
    assert len(notes) == 1 and "File name too long" in notes[0]


def test_a_name_that_grows_too_long_for_its_thumbnail_is_a_note_and_the_others_have_theirs(stores):
    _, target = stores
    local = {"type": "LOCAL", "resourcePath": "/x", "thumbnailSuffix": SUFFIX}
    datasources = Datasources.model_validate({"input": local, "lightly": local})
    notes = write_thumbnails(
        target, datasources, [LONGEST, "a.png"], lambda name: encode_image(Image.new("RGB", (4, 4)), "jpg")
    )
    assert len(notes) == 1 and "no thumbnail" in notes[0]
    assert [info.key for info in target.list()] == [".lightly/thumbnails/a_thumb.png"]
