"""Transparency: pictures are shown on white, as viewers show them, whatever way a file says what is transparent."""

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw
from turned_pictures import encode as encode_turned
from turned_pictures import lay_down

from selection_job.catalog.catalog_file import load_catalog, save_catalog
from selection_job.images.decoding import decode_rgb
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.images import ReadOptions, read_images

SIZE = (40, 30)


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def draw(seed, *, colour=(0, 0, 0), strongest=255):
    """Lines of a colour on a transparent ground of the same colour, which is all one colour without its alpha."""
    random = np.random.default_rng(seed)
    alpha = Image.new("L", SIZE)
    for strength in random.integers(1, strongest + 1, 4):
        ImageDraw.Draw(alpha).line([tuple(map(int, random.integers(0, 30, 2))) for _ in range(2)], int(strength), 2)
    picture = Image.new("RGBA", SIZE, (*colour, 0))
    picture.putalpha(alpha)
    return picture


def on_white(rgba):
    """Return (h, w, 3) float: what is seen of it on white."""
    pixels = np.asarray(rgba.convert("RGBA")).astype(float)
    opacity = pixels[..., 3:] / 255
    return pixels[..., :3] * opacity + 255 * (1 - opacity)


def in_palette(rgba):
    """Return the picture with a palette of 16 colours that have an opacity each."""
    reduced = rgba.quantize(16, method=Image.Quantize.FASTOCTREE)
    assert reduced.palette.mode == "RGBA"
    return reduced


PICTURES = {
    "png": (draw(0), "PNG", {}),
    "png of a colour": (draw(1, colour=(200, 30, 90)), "PNG", {}),
    "grey png": (draw(2).convert("LA"), "PNG", {}),
    "palette png": (in_palette(draw(3)), "PNG", {}),
    "webp": (draw(4), "WEBP", {"lossless": True, "exact": True}),
    "tiff": (draw(5), "TIFF", {}),
    "compressed tiff": (draw(6), "TIFF", {"compression": "tiff_lzw"}),
    "grey tiff": (draw(7).convert("LA"), "TIFF", {}),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_what_is_seen_of_it_on_white(kind):
    picture, image_format, options = PICTURES[kind]
    decoded = decode_rgb(encode(picture, image_format, **options))
    assert decoded.mode == "RGB"
    assert decoded.info["is_transparent"]
    np.testing.assert_allclose(np.asarray(decoded), on_white(picture), atol=1)
    assert np.asarray(decoded).min() < 255


def test_a_gif_and_an_avif_are_shown_on_white_too():
    drawing = Image.fromarray(np.where(np.arange(1200).reshape(30, 40) % 7 < 3, 0, 255).astype(np.uint8))
    picture = Image.merge("RGBA", [Image.new("L", SIZE)] * 3 + [drawing])
    np.testing.assert_allclose(np.asarray(decode_rgb(encode(picture, "GIF"))), on_white(picture), atol=1)
    content = encode(picture, "AVIF", quality=100, subsampling="4:4:4")
    np.testing.assert_allclose(np.asarray(decode_rgb(content)), on_white(picture), atol=6)


def make_png(depth, colours, samples, key):
    """A PNG of one row; colours is 0 for grey and 2 for RGB. The key is the colour that is transparent."""
    bits = "".join(format(sample, f"0{depth}b") for sample in samples)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", len(samples) // (3 if colours else 1), 1, depth, colours, 0, 0, 0),
        b"tRNS": struct.pack(f">{len(key)}H", *key),
        b"IDAT": zlib.compress(b"\0" + row),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("depth", "colours", "samples", "key", "is_seen"),
    [
        (1, 0, [0, 1, 0, 0], [0], [False, True, False, False]),
        (2, 0, [0, 1, 2, 3], [2], [True, True, False, True]),
        (4, 0, [0, 15, 3, 5], [0], [False, True, True, True]),
        (8, 0, [7, 8, 9, 200], [8], [True, False, True, True]),
        (16, 0, [1000, 60000, 1001, 5], [1000], [False, True, True, True]),
        (8, 2, [1, 2, 3, 4, 5, 6], [1, 2, 3], [False, True]),
        (16, 2, [257, 515, 773, 4000, 5000, 6000], [257, 515, 773], [False, True]),
    ],
)
def test_the_one_colour_that_is_transparent_is_white(depth, colours, samples, key, is_seen):
    """Samples of fewer or more than 8 bits come to 8, and so must the colour that is compared with them."""
    decoded = decode_rgb(make_png(depth, colours, samples, key))
    assert decoded.info["is_transparent"]
    levels = np.array(samples).reshape(len(is_seen), -1)
    scaled = np.broadcast_to(levels * 255 / (2**depth - 1), (len(is_seen), 3))
    expected = np.where(np.array(is_seen)[:, None], scaled, 255)
    np.testing.assert_allclose(np.asarray(decoded)[0], expected, atol=1)


def make_bmp(alphas):
    """A BMP of one row of grey pixels with 8 bits for alpha, as its header says."""
    header = struct.pack("<IiiHHIIiiII", 108, len(alphas), 1, 1, 32, 3, 4 * len(alphas), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(68, b"\0")
    pixels = b"".join(bytes([90, 90, 90, alpha]) for alpha in alphas)
    return struct.pack("<2sIHHI", b"BM", 122 + len(pixels), 0, 0, 122) + header + masks + pixels


def test_the_fourth_byte_of_a_bmp_is_alpha_only_where_somebody_filled_it():
    padded, filled = decode_rgb(make_bmp([0, 0, 0])), decode_rgb(make_bmp([255, 0, 255]))
    assert (np.asarray(padded)[0, :, 0].tolist(), padded.info["is_transparent"]) == ([90, 90, 90], False)
    assert (np.asarray(filled)[0, :, 0].tolist(), filled.info["is_transparent"]) == ([90, 255, 90], True)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_an_opaque_picture_is_not_transparent_whatever_its_file_could_hold(mode):
    picture = Image.effect_noise(SIZE, 90).convert("RGB")
    stored = picture.quantize(16) if mode == "P" else picture.convert(mode)
    content = encode(stored, "PNG", **({"transparency": bytes([255] * 16)} if mode == "P" else {}))
    decoded = decode_rgb(content)
    assert not decoded.info["is_transparent"]
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(stored.convert("RGB")))


def test_a_picture_is_turned_with_its_transparency():
    shown = draw(3, colour=(10, 200, 10))
    assert lay_down(shown, 7).size != shown.size
    np.testing.assert_allclose(np.asarray(decode_rgb(encode_turned(shown, 7, "PNG"))), on_white(shown), atol=1)


@pytest.fixture
def drawings(tmp_path):
    """Eight drawings that differ in their alpha alone, and two pictures without any."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    for seed in range(8):
        (folder / f"drawing {seed}.png").write_bytes(encode(draw(seed), "PNG"))
    for shade in (40, 200):
        Image.new("RGB", SIZE, (shade, 90, 0)).save(folder / f"plain {shade}.png")
    return folder


def test_drawings_differ_and_the_run_tells_how_many_pictures_were_transparent(
    drawings, make_manifest, run_manifest, caplog
):
    caplog.set_level(logging.INFO)
    done = run_manifest(make_manifest(drawings, workerConfig={"stopping_condition": {"n_samples": 5}}))
    note = "Transparent in places, and so shown on white: 8 of 10 images."
    assert done.report_notes.count(note) == 1
    assert note in caplog.text
    rows = (done.folder / "data/embeddings.csv").read_text().splitlines()[1:]
    assert len({row.partition(",")[2] for row in rows}) == 10


def test_the_count_is_kept_with_the_catalog(tmp_path):
    class Files:
        url, parallel_reads = "memory:", 1

        def read(self, name):
            return encode(draw(int(name[0])) if name[0] < "3" else draw(0).convert("RGB"), "PNG")

    builder = CatalogBuilder()
    for image in read_images(Files(), [f"{i}.png" for i in range(5)], options=ReadOptions(preprocessing=None)):
        builder.add(image)
    save_catalog(builder.build(), tmp_path)
    assert load_catalog(tmp_path).n_transparent == 3
