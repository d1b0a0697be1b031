"""list_images: what counts as an image, order, what is said when there is nothing."""

import os
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.catalog.listing import list_images
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore
from selection_job.stores.store import ObjectInfo


class Shelf:
    """A store over a dict of keys and contents."""

    url = "shelf://bucket/"

    def __init__(self, *keys, **contents):
        self.objects = dict.fromkeys(keys, b"x") | contents

    def list(self, prefix="", unreadable=None):
        return (ObjectInfo(key, len(content), "1") for key, content in self.objects.items() if key.startswith(prefix))

    def read(self, key):
        return self.objects[key]


def names_of(*keys):
    return list_images(Shelf(*keys), Shelf()).names


def test_images_are_known_by_their_extension_in_any_case():
    images = ["a.jpg", "a.JPEG", "a.Png", "a.ppm", "a.bmp", "a.pgm", "a.tif", "a.tiff", "a.webp", "sub/a.b.jpg"]
    others = ["a.gif", "a.txt", "jpg", "a.jpg.txt", "a.mp4", "a.jpg/readme"]
    assert names_of(*images, *others) == sorted(images)


def test_hidden_files_and_folders_are_left_out():
    assert names_of(".a.jpg", ".lightly/thumbnails/a.jpg", "sub/.cache/a.jpg", "sub/a.jpg", "..a.jpg") == ["sub/a.jpg"]


def test_parts_that_are_one_or_two_dots_hide_nothing():
    names = ["../a.jpg", "./a.jpg", "x/../y.jpg", "x/./y.jpg"]
    assert names_of(*names, "../.b.jpg", "x/../.hidden/y.jpg") == names


def test_names_are_sorted_by_code_point():
    names = ["b.jpg", "B.jpg", "a/b.jpg", "a.jpg", "ä.jpg", "日.jpg", "a b.jpg", "10.jpg", "9.jpg", "😀.jpg", "｡.jpg"]
    assert names_of(*names) == sorted(names, key=lambda name: [ord(letter) for letter in name])


@given(st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)))
def test_any_names_come_back_sorted(stems):
    keys = {f"d/{stem}.jpg" for stem in stems if not stem.startswith(".")} | {"z.jpg"}
    listing = list_images(Shelf(*keys), Shelf())
    assert listing.names == sorted(keys)
    assert len(listing.fingerprint) == 64


def test_sizes_and_versions_follow_their_names():
    listing = list_images(Shelf(**{"b.jpg": b"123", "a.jpg": b""}), Shelf())
    assert (listing.names, listing.sizes_bytes.tolist(), listing.versions) == (["a.jpg", "b.jpg"], [0, 3], ["1", "1"])
    assert listing.sizes_bytes.dtype == np.int64


def test_a_changed_file_changes_the_fingerprint(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    before = list_images(LocalStore(tmp_path), LocalStore(tmp_path)).fingerprint
    assert list_images(LocalStore(tmp_path), LocalStore(tmp_path)).fingerprint == before
    (tmp_path / "a.jpg").write_bytes(b"12")
    assert list_images(LocalStore(tmp_path), LocalStore(tmp_path)).fingerprint != before


def test_nothing_listed_says_where_and_what_was_seen():
    with pytest.raises(UnusableData) as caught:
        names_of("a.txt", "b.csv", "drive.mp4", ".hidden.jpg")
    message = str(caught.value)
    assert "shelf://bucket/" in message
    assert "2 other files and 1 video " in message
    assert ".jpg .jpeg .png" in message


def test_an_empty_folder_is_unusable(tmp_path):
    with pytest.raises(UnusableData, match=r"no image in .*: it is empty, or holds only"):
        list_images(LocalStore(tmp_path), LocalStore(tmp_path))


def test_names_that_are_not_utf8_are_listed_and_noted(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    (tmp_path / "good.jpg").write_bytes(b"x")
    listing = list_images(LocalStore(tmp_path), LocalStore(tmp_path))
    assert len(listing.names) == 2
    assert len(listing.fingerprint) == 64
    assert listing.notes == [r"1 name is not UTF-8 and counts as corrupt; rename it: 'caf\\xe9.jpg'"]


def test_listing_takes_a_few_hundred_bytes_an_image():
    class Long:
        url = "long://"

        def list(self, prefix="", unreadable=None):
            return (
                ObjectInfo(f"folder/{row * 7919 % 100_000:032}.jpg", row, f"{row:020}-{row}") for row in range(50_000)
            )

    tracemalloc.start()
    listing = list_images(Long(), Long())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(listing.names) == 50_000
    assert peak / 50_000 < 500


@pytest.mark.parametrize(("is_sorted", "limit_bytes"), [(True, 45), (False, 105)])
def test_what_listing_takes_besides_the_names_and_versions_is_small(is_sorted, limit_bytes):
    n = 20_000
    rows = range(n) if is_sorted else range(n - 1, -1, -1)
    found = (ObjectInfo(f"camera_front/{i:012}.jpg", 100_000 + i, f"{i:032x}") for i in rows)
    store = SimpleNamespace(url="s3://bucket/", list=lambda unreadable: found)
    tracemalloc.start()
    try:
        listing = list_images(store, store)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text_bytes = sum(sys.getsizeof(text) for text in [*listing.names, *listing.versions])
    assert peak_bytes - text_bytes < limit_bytes * n, "lists of pointers and an array of sizes"
    assert listing.names == sorted(listing.names)
    assert [int(version, 16) + 100_000 for version in listing.versions] == listing.sizes_bytes.tolist()
    assert [int(name[13:25]) + 100_000 for name in listing.names] == listing.sizes_bytes.tolist()


def note_of(*keys):
    (note,) = list_images(Shelf("a.jpg", *keys), Shelf()).notes
    return note


def test_files_with_other_endings_are_counted_in_the_notes_and_in_the_log(caplog):
    caplog.set_level("INFO")
    note = note_of(*(f"{i}.HEIC" for i in range(1204)), "x.dng", "y.dng", "z.mp4", ".hidden.heic", ".lightly/a.json")
    assert note == "1,207 other files of the input end in .heic (1,204), .dng (2), .mp4 (1): not read."
    assert note in caplog.text


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a.gif"], "1 other file of the input ends in .gif (1): not read."),
        (["README", "a.", "sub.d/x"], "3 other files of the input end in another way (3): not read."),
        (["b.x\ny", "b." + "q" * 300], "2 other files of the input end in another way (2): not read."),
        (
            [f"x.{letter}" for letter in "hgfedcba"],
            "end in .a (1), .b (1), .c (1), .d (1), .e (1), .f (1), another way (2)",
        ),
    ],
)
def test_odd_endings_are_counted_and_not_quoted(keys, said):
    assert said in note_of(*keys)


def test_only_images_leave_no_note():
    assert list_images(Shelf("a.jpg", "b.PNG"), Shelf()).notes == []


def test_a_million_endings_take_no_memory():
    note = note_of(*(f"x.{i:x}" for i in range(5000)))
    assert note.startswith("5,000 other files")
    assert len(note) < 200
