"""read_images: order, threads, what each image gives, what goes wrong, and that nothing is left running."""

import io
import threading
import tracemalloc
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import Resize

from selection_job.errors import ObjectMissing, ObjectRefused, Stopped, StorageRefused, StorageUnavailable
from selection_job.images import large_images
from selection_job.images.decoding import decode_rgb
from selection_job.images.preprocessing import Preprocessing
from selection_job.reading import images as reading
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.local.store import LocalStore


class Faults:
    """A store over a dict; a value that is an exception is raised. Counts the reads of each name."""

    url = "faults://"
    parallel_reads = 1

    def __init__(self, objects):
        self.objects = objects
        self.reads = []

    def read(self, name):
        self.reads.append(name)
        content = self.objects[name]
        if isinstance(content, Exception):
            raise content
        return content


def picture(seed, width=90, height=60, image_format="JPEG"):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(buffer, image_format)
    return buffer.getvalue()


def options(input_size_px=32, num_threads=3, **rest):
    return ReadOptions(preprocessing=input_size_px and Preprocessing(input_size_px), num_threads=num_threads, **rest)


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-image")]


MIXED = {
    "a.jpg": picture(1),
    "b.jpg": b"",
    "c.jpg": ObjectMissing("c.jpg"),
    "d.jpg": picture(2)[:-40],
    "e.png": picture(3, image_format="PNG"),
    "f.jpg": ObjectRefused("no permission to READ f.jpg"),
    "g.jpg": b"text",
    "日本\n.jpg": picture(4),
}


def test_reasons_and_content_come_in_order():
    images = list(read_images(Faults(MIXED), list(MIXED), options=options()))
    assert [image.name for image in images] == list(MIXED)
    reasons = [(image.reason or "").split(":")[0] for image in images]
    assert reasons == ["", "empty", "gone", "truncated", "", "not readable", "not an image", ""]
    assert [image.encoder_pixels is None for image in images] == [bool(reason) for reason in reasons]


def test_a_good_image_has_all_its_facts():
    (image,) = read_images(Faults(MIXED), ["a.jpg"], options=options())
    assert (image.sha256, image.size_bytes) == (sha256(MIXED["a.jpg"]).digest(), len(MIXED["a.jpg"]))
    assert (image.width_px, image.height_px, image.reason) == (90, 60, None)
    with Image.open(io.BytesIO(image.thumbnail)) as thumbnail:
        assert thumbnail.size == (90, 60)


@pytest.mark.parametrize(("width", "height", "size_px"), [(90, 60, 32), (17, 300, 64), (1, 1, 8), (64, 64, 64)])
def test_pixels_are_what_torchvision_resizes_to(width, height, size_px):
    content = picture(5, width, height)
    (image,) = read_images(Faults({"x": content}), ["x"], options=options(size_px))
    np.testing.assert_array_equal(image.encoder_pixels, np.asarray(Resize((size_px, size_px))(decode_rgb(content))))
    assert image.encoder_pixels.dtype == np.uint8


def test_fast_keeps_the_size_as_stored():
    (image,) = read_images(Faults({"x": picture(6, 2000, 1500)}), ["x"], options=options(decoder="fast"))
    assert (image.width_px, image.height_px, image.encoder_pixels.shape) == (2000, 1500, (32, 32, 3))


def test_without_a_size_there_are_no_pixels_and_corrupt_files_are_found():
    images = list(read_images(Faults(MIXED), ["a.jpg", "d.jpg"], options=options(None, thumbnails=False)))
    assert [(image.encoder_pixels, image.thumbnail) for image in images] == [(None, None)] * 2
    assert images[1].reason.startswith("truncated")


def test_without_the_corruptness_check_damaged_files_are_used_as_far_as_they_go():
    images = list(read_images(Faults(MIXED), ["d.jpg", "g.jpg"], options=options(check_corruptness=False)))
    assert images[0].reason is None
    assert images[0].encoder_pixels.shape == (32, 32, 3)
    assert images[1].reason.startswith("not an image")


def test_the_result_does_not_depend_on_the_number_of_threads():
    objects = {f"{row}": picture(row % 50, 40 + row % 7) for row in range(200)}
    runs = [list(read_images(Faults(objects), list(objects), options=options(num_threads=n))) for n in (1, 2, 7)]
    digests = [[(i.name, i.sha256, i.encoder_pixels.tobytes(), i.thumbnail) for i in run] for run in runs]
    assert digests[0] == digests[1] == digests[2]


def test_each_object_is_read_exactly_once():
    store = Faults({f"{row}": picture(row) for row in range(60)})
    list(read_images(store, list(store.objects), options=options()))
    assert sorted(store.reads) == sorted(store.objects)


@pytest.mark.parametrize("error", [StorageRefused("no such bucket"), StorageUnavailable("timeout")])
def test_a_store_that_fails_ends_the_reading(error):
    store = Faults({f"{row}": picture(row) for row in range(20)} | {"bad": error})
    with pytest.raises(type(error), match=str(error)):
        list(read_images(store, list(store.objects), options=options()))
    assert reader_threads() == []


def test_a_consumer_that_stops_early_leaves_no_thread_and_reads_little():
    store = Faults({f"{row}": picture(row % 9) for row in range(1000)})
    images = read_images(store, list(store.objects), options=options())
    next(images)
    assert reader_threads() != []
    images.close()
    assert reader_threads() == []
    assert len(store.reads) <= 100


def test_an_exception_in_the_consumer_leaves_no_thread():
    def consume():
        for _ in read_images(Faults(MIXED), list(MIXED) * 100, options=options()):
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        consume()
    assert reader_threads() == []


def test_a_name_that_is_not_utf8_is_corrupt_and_escaped():
    (image,) = read_images(Faults({}), ["caf\udce9.jpg"], options=options())
    assert (image.name, image.reason) == (r"caf\xe9.jpg", "name is not UTF-8: rename the file")


def test_giants_are_not_read_where_their_size_is_known(monkeypatch):
    monkeypatch.setattr(reading, "MAX_OBJECT_BYTES", 1000)
    store = Faults({"giant": bytes(1001)})
    (known,) = read_images(store, ["giant"], options=options(), sizes_bytes=np.array([1001]))
    assert store.reads == []
    (unknown,) = read_images(store, ["giant"], options=options())
    assert known.reason == unknown.reason == "too large: 1001 bytes, the limit is 1000"


def test_bytes_in_flight_are_bounded(monkeypatch):
    """With room for two objects, no more than two are begun and not yet taken."""
    monkeypatch.setattr(reading, "_IN_FLIGHT_BYTES", 2000)
    store = Faults({f"{row}": bytes(1000) for row in range(30)})
    images = read_images(store, list(store.objects), options=options(), sizes_bytes=np.full(30, 1000))
    ahead = [len(store.reads) - taken for taken, _ in enumerate(images)]
    assert max(ahead) <= 3


def test_large_images_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 100)
    running, most = [], []
    decode = reading.load_rgb

    def watch(opened, **rest):
        running.append(1)
        most.append(len(running))
        try:
            return decode(opened, **rest)
        finally:
            running.pop()

    monkeypatch.setattr(reading, "load_rgb", watch)
    objects = {f"{row}": picture(row, 200, 150) for row in range(40)}
    images = list(read_images(Faults(objects), list(objects), options=options(num_threads=6)))
    assert max(most) == 1
    assert all(image.reason is None for image in images)


def test_a_file_deleted_after_listing_is_gone(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "b.jpg").write_bytes(picture(2))
    names = sorted(info.key for info in LocalStore(tmp_path).list())
    (tmp_path / "a.jpg").unlink()
    gone, good = read_images(LocalStore(tmp_path), names, options=options())
    assert gone.reason.startswith("gone: ")
    assert good.reason is None


def test_memory_does_not_grow_with_the_number_of_images():
    content = picture(0, 16, 16)

    class Same:
        parallel_reads = 1

        def read(self, name):
            return content

    def peak_bytes(n_images):
        names = [str(row) for row in range(n_images)]
        tracemalloc.start()
        for _ in read_images(Same(), names, options=options(64, num_threads=2, thumbnails=False)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(200)
    assert peak_bytes(20_000) < 2 * peak_bytes(1000) + 1_000_000
