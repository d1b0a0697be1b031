"""Good pixels with large, damaged or odd metadata: the pixels are used, nothing is unpacked beyond bounds."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from selection_job.catalog.catalog_file import load_catalog, save_catalog
from selection_job.images.decoding import MAX_PIXELS, CorruptImage, decode_rgb, open_image
from selection_job.images.preprocessing import Preprocessing
from selection_job.images.upright import turn_image
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.local.store import LocalStore

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))
PACKED = zlib.compress(bytes(40_000_000))
NOISE = np.random.default_rng(1).bytes(3_000_000)
BAD_CRC = bytes(4)
EXIF = Image.Exif()
EXIF[0x0112] = 6
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'


def encode(image_format, image=PICTURE, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind, body, crc=None):
    return struct.pack(">I", len(body)) + kind + body + (crc or struct.pack(">I", zlib.crc32(kind + body)))


def with_chunks(chunks, *, behind, png=None):
    """Put chunks behind IHDR, or behind the pixels."""
    png = png or encode("PNG")
    place = len(png) - 12 if behind else 33
    return png[:place] + chunks + png[place:]


def with_segment(marker, body, jpeg=None):
    jpeg = jpeg or encode("JPEG")
    return jpeg[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


CHUNKS = {
    "a colour profile of 3 MB": chunk(b"iCCP", b"name\0\0" + zlib.compress(NOISE)),
    "a colour profile that unpacks to 40 MB": chunk(b"iCCP", b"name\0\0" + PACKED),
    "a colour profile in another packing": chunk(b"iCCP", b"name\0\7" + NOISE[:50]),
    "a colour profile without a name": chunk(b"iCCP", b"name"),
    "a text that unpacks to 40 MB": chunk(b"zTXt", b"Comment\0\0" + PACKED),
    "XMP that unpacks to 40 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED),
    "a text of 3 MB": chunk(b"tEXt", b"prompt\0" + b"word " * 600_000),
    "80 MB of texts": chunk(b"tEXt", b"key\0" + bytes(1_000_000)) * 80,
    "a resolution cut off": chunk(b"pHYs", b"\0\0"),
    "a gamma cut off": chunk(b"gAMA", b"\0"),
    "colours cut off": chunk(b"cHRM", b"\0" * 5),
    "a damaged text": chunk(b"tEXt", b"Comment\0hello", crc=BAD_CRC),
    "a damaged EXIF": chunk(b"eXIf", EXIF.tobytes()[6:], crc=BAD_CRC),
    "an EXIF of nothing": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff" + bytes(20)),
    "a chunk of no known kind": chunk(b"prVt", NOISE[:5000]),
}
SEGMENTS = {
    "a profile's part cut off": (0xE2, b"ICC_PROFILE\0"),
    "a profile out of order": (0xE2, b"ICC_PROFILE\0\2\2" + bytes(100)),
    "JFIF cut off": (0xE0, b"JFIF\0"),
    "Adobe cut off": (0xEE, b"Adobe"),
    "Photoshop's cut off": (0xED, b"Photoshop 3.0\x008BIM\3"),
    "several pictures of nothing": (0xE2, b"MPF\0MM\0*\0\0\0\x08\xff\xff" + NOISE[:100]),
    "an EXIF of nothing": (0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xf0" + bytes(8)),
    "a maker's note of 60 kB": (0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0\x7c\x92\7\0" + bytes(8) + NOISE[:60_000]),
    "a comment of 65 kB": (0xFE, b"c" * 65_000),
}


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind the pixels"])
@pytest.mark.parametrize("name", CHUNKS)
def test_a_png_keeps_its_pixels_and_its_orientation(name, behind):
    png = with_chunks(CHUNKS[name], behind=behind, png=encode("PNG", exif=EXIF.tobytes()))
    tracemalloc.start()
    try:
        image = decode_rgb(png)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(np.asarray(image), np.asarray(turn_image(PICTURE, image.info["orientation"])))
    if b"EXIF" not in name.encode():
        assert image.info["orientation"] == 6
    assert peak_bytes < len(png) + 75_000_000


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_jpeg_keeps_its_pixels_and_its_orientation(name):
    jpeg = encode("JPEG", exif=EXIF.tobytes())
    image = decode_rgb(with_segment(*SEGMENTS[name], jpeg))
    shown = turn_image(decode_rgb(encode("JPEG")), image.info["orientation"])
    np.testing.assert_array_equal(np.asarray(image), np.asarray(shown))
    if "EXIF" not in name and "maker" not in name:
        assert image.info["orientation"] == 6


@pytest.mark.parametrize("image_format", ["WEBP", "TIFF", "AVIF", "GIF"])
def test_other_formats_take_large_metadata_as_they_are(image_format):
    options = {"comment": NOISE} if image_format == "GIF" else {"icc_profile": NOISE}
    np.testing.assert_array_equal(
        np.asarray(decode_rgb(encode(image_format, **options))), np.asarray(decode_rgb(encode(image_format)))
    )


def test_the_orientation_of_xmp_outlives_a_text_that_is_left_out():
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    assert decode_rgb(with_chunks(xmp + CHUNKS["a text that unpacks to 40 MB"], behind=False)).info["orientation"] == 8


def test_adobes_colours_are_kept_where_another_segment_is_left_out():
    jpeg = encode("JPEG", PICTURE.convert("CMYK"))
    image = decode_rgb(with_segment(*SEGMENTS["a profile's part cut off"], jpeg))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(decode_rgb(jpeg)))


def test_an_animations_first_frame_stays():
    frames = {"save_all": True, "append_images": [PICTURE.rotate(180)]}
    png = with_chunks(CHUNKS["a text that unpacks to 40 MB"], behind=False, png=encode("PNG", **frames))
    np.testing.assert_array_equal(np.asarray(decode_rgb(png)), np.asarray(PICTURE))


@pytest.mark.parametrize("place", [33, -12])
def test_a_giant_with_large_metadata_is_still_too_large(place):
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    with pytest.raises(CorruptImage, match=f"^too large: 20000 x 20000 pixels, the limit is {MAX_PIXELS}$"):
        open_image(png[:place] + CHUNKS["a colour profile of 3 MB"] + png[place:])


def test_what_is_cut_off_within_metadata_is_corrupt():
    png = with_chunks(CHUNKS["a text of 3 MB"], behind=False)
    for content in (png[:1000], png[:-40], encode("JPEG")[:200]):
        with pytest.raises(CorruptImage):
            decode_rgb(content)


def test_a_run_notes_which_files_had_metadata_left_out_and_only_these(tmp_path):
    small = chunk(b"tEXt", b"date:create\x002026-01-01") + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"hello"))
    written = {
        "a.png": encode("PNG"),
        "b.png": with_chunks(CHUNKS["a colour profile of 3 MB"], behind=False),
        "c.png": with_chunks(CHUNKS["a text of 3 MB"], behind=True),
        "d.png": with_chunks(small, behind=True),
        "e.jpg": with_segment(*SEGMENTS["JFIF cut off"]),
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    builder = CatalogBuilder()
    for image in read_images(LocalStore(tmp_path), list(written), options=ReadOptions(preprocessing=Preprocessing(16))):
        assert image.reason is None
        builder.add(image)
    save_catalog(builder.build(), tmp_path / "kept")
    (note,) = load_catalog(tmp_path / "kept").notes
    assert note.endswith("their pixels are used: 3 ('b.png', 'c.png', 'e.jpg').")
