"""Measures of images equal a plain computation over the whole image at once, whatever the image."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter
from plain_measures import measure_plainly

from selection_job.catalog.catalog_file import load_catalog, save_catalog
from selection_job.errors import UnusableData
from selection_job.images import image_measures
from selection_job.images.decoding import decode_rgb
from selection_job.images.image_measures import MEASURES, measure_image
from selection_job.metadata.metadata_column import make_measured_columns
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.images import ReadImage

RNG = np.random.default_rng(0)


def assert_equal(image, **options):
    found = dict(zip(MEASURES, measure_image(image, MEASURES, **options), strict=True))
    expected = measure_plainly(image)
    assert set(found) == set(expected)
    assert found == {key: pytest.approx(value, rel=1e-9, abs=1e-5) for key, value in expected.items()}
    return found


def noise(height, width, *channels):
    return RNG.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def scene(height, width):
    """A picture with structure, noise, and bars of one colour above and below."""
    small = Image.fromarray(noise(6, 8, 3)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(small).astype(np.int16) + RNG.integers(-6, 7, (height, width, 3)), 0, 255)
    pixels[: height // 8] = (3, 200, 90)
    pixels[-(height // 9) :] = 0
    return Image.fromarray(pixels.astype(np.uint8))


SIZES = [(1, 1), (1, 50), (50, 1), (2, 2), (2, 9), (3, 3), (3, 4), (4, 3), (37, 41), (400, 30), (401, 33), (601, 150)]


@pytest.mark.parametrize(("height", "width"), [*SIZES, (999, 4)])
def test_every_size_is_measured_as_a_whole(height, width):
    assert_equal(Image.fromarray(noise(height, width, 3)))
    assert_equal(scene(max(height, 9), max(width, 9)))


@pytest.mark.parametrize(("pixels", "width"), [(1, 1), (64, 7), (1000, 30), (7919, 500)])
def test_tiles_change_nothing(monkeypatch, pixels, width):
    images = scene(97, 61), scene(430, 40)
    whole = [measure_image(image, MEASURES) for image in images]
    for name, value in (("_TILE_PIXELS", pixels), ("_REDUCED_PIXELS", pixels), ("_TILE_WIDTH", width)):
        monkeypatch.setattr(image_measures, name, value)
    assert [measure_image(image, MEASURES) for image in images] == [pytest.approx(each, rel=1e-12) for each in whole]


@pytest.mark.parametrize(
    ("colour", "luminance"), [((0, 0, 0), 0), ((255, 255, 255), 100), ((255, 0, 0), 53.2408), ((0, 0, 255), 32.297)]
)
def test_the_lightness_of_plain_colours_is_the_published_one(colour, luminance):
    found = assert_equal(Image.new("RGB", (20, 20), colour))
    assert found["luminance"] == pytest.approx(luminance, abs=0.01)
    assert (found["snr"] > 0, found["contrast"], found["uniformRowRatio"]) == (len(set(colour)) > 1, 0, 1)


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def make_files():
    picture, grey = scene(61, 83), Image.fromarray(noise(40, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = picture.quantize(16)
    return {
        "16 bit": encode(Image.fromarray(RNG.integers(0, 65536, (40, 30), dtype=np.uint16)), "PNG"),
        "float": encode(Image.fromarray(RNG.random((20, 30)).astype(np.float32)), "TIFF"),
        "grey": encode(grey, "PNG"),
        "grey with alpha": encode(Image.merge("LA", (grey, grey)), "PNG"),
        "one bit": encode(grey.convert("1"), "PNG"),
        "palette": encode(palette, "PNG"),
        "palette with a transparent colour": encode(palette, "PNG", transparency=3),
        "alpha": encode(Image.fromarray(noise(30, 40, 4), "RGBA"), "PNG"),
        "cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "turned by exif": encode(picture, "JPEG", exif=exif),
        "progressive": encode(picture, "JPEG", progressive=True),
        "webp": encode(picture, "WEBP"),
    }


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", make_files())
def test_every_kind_of_file_is_measured_as_pillow_shows_it(kind):
    assert_equal(decode_rgb(make_files()[kind]))


def test_memory_does_not_grow_with_the_image():
    peaks = []
    for size in ((3000, 400), (12000, 1600)):
        image = Image.new("RGB", size, (10, 200, 30))
        tracemalloc.start()
        measure_image(image, MEASURES)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 20_000_000
    assert peaks[1] < 2 * peaks[0]


def test_the_catalog_keeps_measures_with_the_images_they_are_of(tmp_path):
    builder = CatalogBuilder(["snr", "contrast"])
    builder.add(ReadImage("a", bytes(32), 10, 5, 4, None, measures=(1.5, 0.1)))
    builder.add(ReadImage("b", bytes(32), 10, 5, 4, "truncated"))
    builder.add(ReadImage("c", bytes(32), 20, 6, 4, None, measures=(2.5, 0.2)))
    save_catalog(builder.build(), tmp_path)
    catalog = load_catalog(tmp_path)
    columns = make_measured_columns(replace(catalog, n_pool=0))
    assert {key: column.numbers.tolist() for key, column in columns.items()} == {
        "lightly.sizeInBytes": [10, 20],
        "lightly.snr": [1.5, 2.5],
        "lightly.contrast": [0.1, 0.2],
        "lightly.width": [5, 6],
        "lightly.height": [4, 4],
    }
    assert set(make_measured_columns(replace(catalog, was_read=False, measures={}))) == {"lightly.sizeInBytes"}
    pooled = make_measured_columns(replace(catalog, n_pool=1))["lightly.snr"].numbers
    np.testing.assert_array_equal(pooled, [1.5, 2.5, np.nan])


@pytest.mark.parametrize("values", [np.ones(3), np.array([np.nan, 1]), np.ones(2, np.float32)], ids=str)
def test_a_damaged_measure_is_no_measure(tmp_path, values):
    builder = CatalogBuilder()
    for name in "ab":
        builder.add(ReadImage(name, bytes(32), 10, 5, 4, None))
    save_catalog(replace(builder.build(), measures={"snr": values}), tmp_path)
    with pytest.raises(UnusableData, match="snr does not fit 2 names"):
        load_catalog(tmp_path)


def test_one_measure_costs_no_other():
    image = scene(60, 40)
    everything = dict(zip(MEASURES, measure_image(image, MEASURES), strict=True))
    for name in MEASURES:
        assert measure_image(image, [name]) == (everything[name],)
    assert measure_image(image, ["snr", "contrast", "meanRed"]) == tuple(
        everything[name] for name in ("snr", "contrast", "meanRed")
    )


def test_blurring_and_darkening_show_where_they_should():
    image = scene(300, 400)
    blurred = image.filter(ImageFilter.GaussianBlur(3))
    dark = image.point(lambda level: level // 4)
    sharpness = [measure_image(each, ["sharpness"])[0] for each in (image, blurred)]
    assert sharpness[1] < sharpness[0] / 1.5
    assert measure_image(dark, ["luminance"])[0] < measure_image(image, ["luminance"])[0] / 2
