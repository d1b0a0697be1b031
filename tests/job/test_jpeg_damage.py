"""Damage within JPEG data: heard whatever decoder reads, and never where a whole file is merely odd."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selection_job.images.decoding import CorruptImage, check_data, decode_rgb, open_image
from selection_job.images.jpeg_damage import hear_damage
from selection_job.images.preprocessing import Preprocessing
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.local.store import LocalStore

SCRIPT = Path(__file__).parents[2] / "benchmarks/jpeg_damage.py"
SPECIFICATION = importlib.util.spec_from_file_location("jpeg_damage_benchmark", SCRIPT)
files = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(files)


def scene(seed=0, width=200, height=160):
    """A picture with both smooth and busy places."""
    rng = np.random.default_rng(seed)
    grid = rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8))


SCENES = [scene(seed) for seed in range(5)] + [scene(5).convert("L")]
LARGE_DAMAGE = [
    name for name in files.DAMAGE if name not in ("6 bytes are others", "one byte is lost", "one bit is another")
]


def encode(image=SCENES[0], **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", LARGE_DAMAGE)
def test_large_damage_is_heard_in_every_encoding(name):
    made = list(files.make_files({name: files.DAMAGE[name]}, SCENES, 42, seed=3))
    missed = [jpeg for _, jpeg, damaged in made if not files.is_corrupt(damaged)]
    assert len(missed) <= (8 if name.startswith("two sectors") else 3)


def test_of_small_damage_what_libjpeg_warns_of_is_heard():
    made = list(files.make_files({"6 bytes": files.overwrite(6)}, SCENES, 84, seed=4))
    assert sum(files.is_corrupt(damaged) for _, _, damaged in made) >= 30


@pytest.mark.parametrize("name", files.ODDITIES)
def test_a_file_that_is_odd_but_whole_keeps_its_pixels(name):
    made = list(files.make_files({name: files.ODDITIES[name]}, SCENES, 14, seed=5))
    lost = [odd for _, jpeg, odd in made if files.is_corrupt(odd) or files.differs_visibly(jpeg, odd)]
    assert len(lost) <= (2 if name.startswith(("noise in place", "a stray byte")) else 0)


@pytest.mark.parametrize("decoder", ["exact", "fast"])
def test_a_run_calls_damaged_data_corrupt_whatever_decoder_reads(decoder, tmp_path):
    jpeg = encode()
    middle = len(jpeg) * 2 // 3
    written = {
        "a.jpg": jpeg,
        "b.jpg": jpeg[:middle] + bytes(200) + jpeg[middle + 200 :],
        "c.jpg": jpeg[:middle] + jpeg[middle + 200 :],
        "d.jpg": jpeg[:-2],
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    options = ReadOptions(preprocessing=Preprocessing(16), decoder=decoder)
    images = list(read_images(LocalStore(tmp_path), list(written), options=options))
    damaged = "damaged: a part of its image data is lost or overwritten (libjpeg: Corrupt JPEG data: "
    assert [(image.reason or "").startswith(damaged) for image in images] == [False, True, True, False]
    assert [image.reason for image in images][::3] == [None, None]
    (image,) = read_images(
        LocalStore(tmp_path), ["b.jpg"], options=ReadOptions(preprocessing=Preprocessing(16), check_corruptness=False)
    )
    assert image.reason is None


def test_a_file_without_an_end_keeps_its_orientation_and_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encode(exif=exif.tobytes())
    image = decode_rgb(jpeg[:-2] + b"SEFH" + bytes(range(256)))
    assert image.info["orientation"] == 6
    np.testing.assert_array_equal(np.asarray(image), np.asarray(decode_rgb(jpeg)))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_colour_space_is_listened_to(mode):
    jpeg = encode(scene().convert(mode))
    assert hear_damage(jpeg) == ""
    middle = len(jpeg) // 2
    assert hear_damage(jpeg[:middle] + jpeg[middle + 300 :]).startswith("Corrupt JPEG data: ")


def test_other_formats_are_not_listened_to():
    buffer = io.BytesIO()
    scene().save(buffer, "PNG")
    check_data(open_image(buffer.getvalue()))


def test_headers_of_chance_never_raise_anything_but_a_reason():
    rng = np.random.default_rng(1)
    for number in range(300):
        jpeg = bytearray(encode(SCENES[number % len(SCENES)].resize((40, 30))))
        jpeg[rng.integers(2, 600)] = rng.integers(256)
        try:
            opened = open_image(bytes(jpeg))
            check_data(opened)
        except CorruptImage as error:
            assert str(error)
