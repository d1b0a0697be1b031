"""The JSON files of images: found with one listing, read in parallel, with bounds."""

import threading

import pytest

from selection_job.errors import ObjectMissing, ObjectRefused, StorageUnavailable
from selection_job.stores.sidecar_files import ImageRows, list_image_files, read_image_files, stem_of
from selection_job.stores.store import ObjectInfo

FOLDER = "f/"


class Bucket:
    """A store in memory that counts what is read at the same time; contents may be exceptions."""

    def __init__(self, objects, parallel_reads=8):
        self.objects, self.parallel_reads = objects, parallel_reads
        self.reads, self.taken_bytes, self.most_bytes_ahead = [], 0, 0
        self._lock = threading.Lock()

    def list(self, prefix):
        for key, content in self.objects.items():
            if key.startswith(prefix):
                size = len(content) if isinstance(content, bytes) else 1
                yield ObjectInfo(key, size, f"version of {content!r:.20}")

    def read(self, key):
        with self._lock:
            self.reads.append(key)
            ahead = sum(len(self.objects[each]) for each in self.reads if isinstance(self.objects[each], bytes))
            self.most_bytes_ahead = max(self.most_bytes_ahead, ahead - self.taken_bytes)
        if isinstance(self.objects[key], Exception):
            raise self.objects[key]
        return self.objects[key]


def read_all(store, names, most_bytes=100):
    images = ImageRows(names)
    files = list_image_files(store, FOLDER, images, others={"schema.json"})
    found = list(read_image_files(store, files, names, most_bytes=most_bytes))
    return files, {names[file.row]: file.reason or file.content for file in found}


@pytest.mark.parametrize("parallel_reads", [1, 48])
def test_each_file_is_read_once_and_only_what_is_there(parallel_reads):
    names = [f"{i % 7}/{i}.jpg" for i in range(500)]
    objects = {f"{FOLDER}{stem_of(name)}.json": name.encode() for name in names[::2]}
    store = Bucket({**objects, "f/schema.json": b"{}", "f/0/999.json": b"", "f/0.txt": b"", "g/0/0.json": b""},
                   parallel_reads)  # fmt: skip
    files, found = read_all(store, names)
    assert found == {name: name.encode() for name in names[::2]}
    assert sorted(store.reads) == sorted(objects)
    assert (files.n_foreign, files.foreign) == (2, ["f/0/999.json", "f/0.txt"])


@pytest.mark.parametrize("parallel_reads", [1, 48])
def test_what_can_not_be_read_has_a_reason(parallel_reads):
    objects = {
        "f/a.json": ObjectMissing("a"),
        "f/b.json": ObjectRefused("403"),
        "f/c.json": bytes(101),
        "f/d.json": b"",
    }
    store = Bucket(objects, parallel_reads)
    _, found = read_all(store, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert found == {
        "a.jpg": "gone: it was listed but is not there any more",
        "b.jpg": "not readable: 403",
        "c.jpg": "too large: 101 bytes, the limit is 100",
        "d.jpg": b"",
    }
    assert "f/c.json" not in store.reads


@pytest.mark.parametrize("parallel_reads", [1, 48])
def test_a_fault_of_the_storage_ends_the_reading(parallel_reads):
    names = [f"{i:03}.jpg" for i in range(300)]
    objects = {f"{FOLDER}{stem_of(name)}.json": b"x" for name in names}
    store = Bucket({**objects, "f/005.json": StorageUnavailable("503")}, parallel_reads)
    with pytest.raises(StorageUnavailable, match="503"):
        read_all(store, names)
    assert len(store.reads) < 250


@pytest.mark.parametrize("parallel_reads", [1, 48])
def test_what_is_read_ahead_is_bounded(parallel_reads, monkeypatch):
    monkeypatch.setattr("selection_job.stores.sidecar_files._IN_FLIGHT_BYTES", 1000)
    names = [f"{i:03}.jpg" for i in range(200)]
    store = Bucket({f"{FOLDER}{stem_of(name)}.json": bytes(300) for name in names}, parallel_reads)
    files = list_image_files(store, FOLDER, ImageRows(names), others=())
    for file in read_image_files(store, files, names, most_bytes=300):
        store.taken_bytes += len(file.content)
    assert store.most_bytes_ahead <= 1300


def test_the_fingerprint_tells_every_change_and_no_order():
    objects = {f"f/{name}.json": b"x" for name in "abc"}
    images = ImageRows(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])

    def fingerprint(objects):
        return list_image_files(Bucket(objects), FOLDER, images, others=()).fingerprint

    first = fingerprint(objects)
    assert fingerprint(dict(reversed(objects.items()))) == first
    changed = [{**objects, "f/b.json": b"y"}, {**objects, "f/d.json": b"x"}, dict(list(objects.items())[1:])]
    assert len({first, *map(fingerprint, changed)}) == 4
    assert fingerprint({**objects, "f/foreign.json": b"x"}) == first


def test_images_of_the_same_name_but_for_the_extension_are_found_together():
    images = ImageRows(["a.JPG", "a.b.jpg", "a.jpg", "a.jpg.png", "b/a.jpg"])
    assert [images.find(stem) for stem in ("a", "a.b", "a.jpg", "b/a", "b")] == [[0, 2], [1], [3], [4], []]
