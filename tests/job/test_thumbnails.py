"""Thumbnails: size, orientation, the bounded cache."""

import io
import threading

import numpy as np
import pytest
from PIL import Image, ImageOps

from selection_job.images import thumbnails
from selection_job.images.decoding import decode_rgb
from selection_job.images.thumbnails import Thumbnails, make_thumbnail


def open_jpeg(content):
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image


def quarters(orientation=None):
    """A JPEG with four different corners, and an EXIF orientation."""
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.resize((400, 200), Image.Resampling.NEAREST).save(buffer, "JPEG", exif=exif.tobytes(), quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1000, 500), (128, 64)),
        ((500, 1000), (64, 128)),
        ((100, 20), (100, 20)),
        ((1, 1), (1, 1)),
        ((9000, 3), (128, 1)),
    ],
)
def test_a_thumbnail_fits_in_128_pixels_and_is_never_enlarged(size, expected):
    assert open_jpeg(make_thumbnail(Image.new("RGB", size, "red"))).size == expected


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_a_thumbnail_is_upright(orientation):
    content = quarters(orientation)
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((128, 128))
    thumbnail = open_jpeg(make_thumbnail(decode_rgb(content)))
    assert thumbnail.size == upright.size
    assert np.abs(np.asarray(thumbnail, dtype=int) - np.asarray(upright)).mean() < 5


def test_what_was_put_is_got(tmp_path):
    cache = Thumbnails(tmp_path / "deep" / "cache", 1000)
    names = {"a.jpg": b"1" * 10, "日本\n/x.jpg": b"2" * 20, "caf\udce9.jpg": b"3"}
    for name, jpeg in names.items():
        cache.put(name, jpeg)
    assert {name: cache.get(name) for name in names} == names
    assert cache.get("other") is None


def test_a_full_cache_drops_later_thumbnails_and_stays_within_its_capacity(tmp_path):
    cache = Thumbnails(tmp_path, 100)
    for row in range(10):
        cache.put(f"{row}", bytes([row]) * 30)
    assert [cache.get(f"{row}") is not None for row in range(10)] == [True] * 3 + [False] * 7
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 90


def test_the_first_thumbnail_of_a_name_stays(tmp_path):
    cache = Thumbnails(tmp_path, 100)
    cache.put("a", b"first")
    cache.put("a", b"second")
    assert cache.get("a") == b"first"
    assert (tmp_path / "thumbnails.bin").stat().st_size == 5


def test_a_full_disk_is_a_full_cache(tmp_path, monkeypatch):
    cache = Thumbnails(tmp_path, 1000)
    cache.put("a", b"kept")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(thumbnails.os, "pwrite", fail)
    cache.put("b", b"dropped")
    monkeypatch.undo()
    cache.put("c", b"too")
    assert [cache.get(name) for name in "abc"] == [b"kept", None, None]


def test_threads_get_what_they_put(tmp_path):
    cache = Thumbnails(tmp_path, 10_000_000)
    wrong = []

    def work(thread):
        for row in range(300):
            name, jpeg = f"{thread}-{row}", bytes([thread]) * (row + 1)
            cache.put(name, jpeg)
            if cache.get(name) != jpeg:
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
