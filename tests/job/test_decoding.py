"""decode_rgb against Pillow itself on good files, and reasons on bad ones."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from selection_job.images.decoding import MAX_PIXELS, CorruptImage, decode_rgb, open_image


def scene(width=300, height=200, seed=0):
    """A picture with both smooth and busy places."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def pillow_rgb(content):
    with Image.open(io.BytesIO(content)) as image:
        shown = ImageOps.exif_transpose(image)
        if shown.has_transparency_data:
            shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown.convert("RGBA"))
        return np.asarray(shown.convert("RGB"))


def png_header(width, height):
    """A PNG of a few bytes that claims any size."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


FRAMES = {"save_all": True, "append_images": [scene(seed=1), scene(seed=2)]}
ORDINARY = {
    "jpeg": encode(scene(), "JPEG", quality=90),
    "progressive jpeg": encode(scene(), "JPEG", progressive=True),
    "jpeg 4:4:4": encode(scene(), "JPEG", subsampling=0),
    "grayscale jpeg": encode(scene().convert("L"), "JPEG"),
    "cmyk jpeg": encode(scene().convert("CMYK"), "JPEG"),
    "png": encode(scene(), "PNG"),
    "1 x 1 png": encode(scene(1, 1), "PNG"),
    "palette png": encode(scene().convert("P"), "PNG"),
    "palette png with bytes of transparency": encode(scene().convert("P"), "PNG", transparency=bytes(range(256))),
    "alpha png": encode(scene().convert("RGBA"), "PNG"),
    "gray and alpha png": encode(scene().convert("LA"), "PNG"),
    "1-bit png": encode(scene().convert("1"), "PNG"),
    "animated png": encode(scene(), "PNG", **FRAMES),
    "animated gif": encode(scene(), "GIF", **FRAMES),
    "webp": encode(scene(), "WEBP"),
    "animated webp": encode(scene(), "WEBP", lossless=True, **FRAMES),
    "alpha webp": encode(scene().convert("RGBA"), "WEBP", lossless=True),
    "tiff": encode(scene(), "TIFF"),
    "multi-page lzw tiff": encode(scene(), "TIFF", compression="tiff_lzw", **FRAMES),
    "rotated tiff": encode(scene(), "TIFF", tiffinfo={0x0112: 6}),
    "bmp": encode(scene(), "BMP"),
    "ppm": encode(scene(), "PPM"),
    "pgm": encode(scene().convert("L"), "PPM"),
    "rotated jpeg": encode(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    "jpeg with 60 kB of exif": encode(scene(), "JPEG", exif=b"Exif\0\0" + bytes(60_000)),
}


@pytest.mark.parametrize("content", ORDINARY.values(), ids=ORDINARY.keys())
def test_exact_equals_pillow_bit_for_bit(content):
    image = decode_rgb(content)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pillow_rgb(content))


@pytest.mark.parametrize("content", ORDINARY.values(), ids=ORDINARY.keys())
def test_what_is_whole_decodes_the_same_when_truncated_files_are_allowed(content):
    np.testing.assert_array_equal(np.asarray(decode_rgb(content, allow_truncated=True)), pillow_rgb(content))


@pytest.mark.parametrize("kind", ["animated png", "animated webp"])
def test_the_first_frame_is_taken(kind):
    np.testing.assert_array_equal(np.asarray(decode_rgb(ORDINARY[kind])), np.asarray(scene()))


RAMP = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(4, axis=0)


@pytest.mark.parametrize(
    ("image", "image_format"),
    [
        (Image.fromarray(RAMP), "PNG"),
        (Image.fromarray(RAMP), "TIFF"),
        (Image.fromarray(RAMP.astype(np.int32)), "TIFF"),
        (Image.fromarray(RAMP.astype(np.int32) * 32768), "TIFF"),
        (Image.fromarray((RAMP / 65535).astype(np.float32)), "TIFF"),
        (Image.fromarray((RAMP / 257).astype(np.float32)), "TIFF"),
    ],
    ids=["png 16", "tiff 16", "tiff int32", "tiff full int32", "tiff float 0..1", "tiff float 0..255"],
)
def test_deep_images_are_scaled_not_clipped(image, image_format):
    row = np.asarray(decode_rgb(encode(image, image_format)))[0, :, 0].astype(int)
    np.testing.assert_allclose(row, np.arange(256), atol=1)


def test_a_float_image_of_nothing_finite_is_black():
    content = encode(Image.fromarray(np.array([[np.nan, np.inf], [-np.inf, -3]], dtype=np.float32)), "TIFF")
    assert np.asarray(decode_rgb(content)).max() == 0


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "webp", "tiff", "bmp", "ppm", "animated gif"])
def test_a_cut_file_is_truncated(kind, percent):
    content = encode(scene(), "GIF") if kind == "animated gif" else ORDINARY[kind]
    with pytest.raises(CorruptImage, match=r"^truncated: "):
        decode_rgb(content[: len(content) * percent // 100])


@pytest.mark.parametrize("decoder", ["exact", "fast"])
@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg"])
def test_fast_finds_the_damage_that_exact_finds(kind, decoder):
    content = encode(scene(1200, 900), "JPEG", progressive=kind.startswith("progressive"))
    decode_rgb(content, decoder=decoder, target_px=32)
    for damaged in (content[:-100], content[: len(content) // 2] + bytes(len(content) // 2)):
        with pytest.raises(CorruptImage):
            decode_rgb(damaged, decoder=decoder, target_px=32)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "^empty$"),
        (b"hello, this is no picture", "^not an image: starts with b'hello, this "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "^not an image: "),
        (b"\xff\xd8\xff", "^(decode error|truncated): "),
        (b"\x89PNG\r\n\x1a\n", "^(decode error|truncated): "),
        (ORDINARY["multi-page lzw tiff"][:500], "^decode error: the header of this TIFF file"),
        (png_header(20_000, 20_000), f"^too large: 20000 x 20000 pixels, the limit is {MAX_PIXELS}$"),
        (png_header(2**31 - 1, 2**31 - 1), "^too large: "),
        (png_header(0, 5), "^(decode error|not an image): "),
        (b"P6 20000 20000 255\n", "^too large: 20000 x 20000 "),
        (b"P6 200 200 255\n", "^truncated: "),
    ],
    ids=[
        "empty",
        "text",
        "postscript",
        "jpeg start",
        "png start",
        "cut tiff",
        "bomb",
        "giant",
        "no width",
        "ppm",
        "cut ppm",
    ],
)
def test_a_bad_file_has_a_reason(content, reason):
    with pytest.raises(CorruptImage, match=reason):
        decode_rgb(content)


def test_half_of_zeros_is_found():
    content = ORDINARY["jpeg"]
    with pytest.raises(CorruptImage):
        decode_rgb(content[: len(content) // 2] + bytes(len(content) // 2))


def test_random_damage_never_raises_anything_but_a_reason():
    rng = np.random.default_rng(0)
    for content in ORDINARY.values():
        for _ in range(12):
            damaged = np.frombuffer(content, dtype=np.uint8).copy()
            damaged[rng.integers(0, len(damaged), 8)] = rng.integers(0, 256, 8)
            for allow_truncated in (False, True):
                try:
                    assert decode_rgb(damaged.tobytes(), allow_truncated=allow_truncated).mode == "RGB"
                except CorruptImage as error:
                    assert str(error)


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "bmp", "tiff"])
def test_the_whole_part_of_a_cut_file_is_kept_when_allowed(kind):
    content = ORDINARY[kind]
    kept = np.asarray(decode_rgb(content[: len(content) * 6 // 10], allow_truncated=True)).astype(int)
    whole = pillow_rgb(content).astype(int)
    first = slice(-60, None) if kind == "bmp" else slice(0, 60)  # BMP stores its last row first
    assert np.abs(kept[first] - whole[first]).mean() < (30 if kind.startswith("prog") else 1)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_fast_scales_a_jpeg_to_twice_the_target_and_exact_does_not():
    content = encode(scene(4000, 2000), "JPEG")
    assert decode_rgb(content, decoder="fast", target_px=224).size == (1000, 500)
    assert decode_rgb(content, decoder="fast", target_px=8).size == (500, 250)
    assert decode_rgb(content, decoder="fast").size == decode_rgb(content, target_px=224).size == (4000, 2000)


def test_fast_and_exact_are_close_after_resizing():
    content = encode(scene(1600, 1200), "JPEG", quality=88)
    fast, exact = (
        np.asarray(decode_rgb(content, decoder=decoder, target_px=64).resize((64, 64), Image.Resampling.BILINEAR))
        for decoder in ("fast", "exact")
    )
    assert np.abs(fast.astype(int) - exact).mean() < 1


@pytest.mark.parametrize(("kind", "orientation"), [("rotated jpeg", 6), ("jpeg", 1), ("rotated tiff", 1)])
def test_the_orientation_is_told_and_nothing_else(kind, orientation):
    image = decode_rgb(ORDINARY[kind])  # a TIFF is turned by Pillow itself
    assert image.info == {"orientation": orientation, "is_transparent": False}


BAD_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\2\x01\x12\0\2\xff\xff\xff\xff\0\0\0\6\x87\x69\0\4\0\0\0\1\xff\xff\xff\0"


def test_no_warning_escapes_from_odd_files_in_threads():
    """Each of these makes Pillow warn; pytest makes an error of each warning."""
    odd = [
        encode(scene(), "JPEG", exif=BAD_EXIF),
        ORDINARY["palette png with bytes of transparency"],
        encode(scene(), "TIFF")[:8] + b"\1\0\x12\1\3\0\0\0\0\0",
    ]

    def decode(content):
        try:
            return decode_rgb(content).size
        except CorruptImage:
            return None

    with ThreadPoolExecutor(4) as executor:
        sizes = list(executor.map(decode, odd * 20))
    assert sizes[:2] == [(300, 200), (300, 200)]


def test_no_warning_escapes_in_a_process_that_makes_errors_of_them(tmp_path):
    (tmp_path / "x.jpg").write_bytes(encode(scene(), "JPEG", exif=BAD_EXIF))
    (tmp_path / "large.png").write_bytes(png_header(9999, 9999))  # Pillow warns above 89 million pixels
    script = (
        "import sys; from pathlib import Path; from selection_job.images.decoding import decode_rgb, open_image;"
        "[decode_rgb(Path(sys.argv[1]).read_bytes()), open_image(Path(sys.argv[2]).read_bytes())]"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script, tmp_path / "x.jpg", tmp_path / "large.png"],
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
    )


def test_the_header_alone_gives_the_size():
    opened = open_image(png_header(9999, 9999))
    assert (opened.width_px, opened.height_px) == (9999, 9999)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_images_are_scaled_in_blocks_not_in_a_float64_copy_of_the_whole(mode):
    """A file of kilobytes may hold 178 million pixels; the arrays of a whole one would take 27 bytes for each."""
    content = encode(Image.new(mode, (3000, 3000)), "TIFF")
    tracemalloc.start()
    try:
        decode_rgb(content)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 14 * 3000 * 3000


def ftyp(brand, *compatible):
    body = brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 8) + b"ftyp" + body + bytes(400)


NOT_READ = {
    "HEIC": [ftyp(b"heic", b"mif1", b"heic"), ftyp(b"mif1", b"heic"), ftyp(b"msf1", b"hevc"), ftyp(b"heix")],
    "JPEG 2000": [encode(scene(), "JPEG2000"), encode(scene(), "JPEG2000", no_jp2=True)],
    "JPEG XL": [b"\xff\x0a" + bytes(60), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)],
    "Canon CR3": [ftyp(b"crx ", b"crx ", b"isom")],
    "DICOM": [bytes(128) + b"DICM" + bytes(60)],
    "Photoshop": [b"8BPS\0\1" + bytes(60)],
}
NO_IMAGE = {
    "a web page": [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\n  <HTML>"],
    "an answer in XML": [b'<?xml version="1.0"?><Error>', b"<Error><Code>AccessDenied"],
    "a PDF document": [b"%PDF-1.7\n"],
    "a pointer of Git LFS: run 'git lfs pull'": [b"version https://git-lfs.github.com/spec/v1\noid sha256:0"],
    "a film": [ftyp(b"isom", b"mp42"), ftyp(b"qt  "), b"\x1a\x45\xdf\xa3" + bytes(60)],
}


@pytest.mark.parametrize(("kind", "contents"), NOT_READ.items(), ids=NOT_READ)
def test_an_image_of_a_format_that_is_not_read_is_called_by_its_name(kind, contents):
    for content in contents:
        with pytest.raises(CorruptImage, match=f"^not read: its format is {kind}, whatever its name says; convert it"):
            decode_rgb(content)


@pytest.mark.parametrize(("kind", "contents"), NO_IMAGE.items(), ids=NO_IMAGE)
def test_what_is_no_image_is_called_by_its_name(kind, contents):
    for content in contents:
        with pytest.raises(CorruptImage, match=f"^not an image: {kind}"):
            decode_rgb(content)


def test_an_avif_is_read_under_any_name_and_a_damaged_one_is_called_so():
    content = encode(scene(), "AVIF")
    assert decode_rgb(content).size == (300, 200)
    for damaged in (content[:60], ftyp(b"avif", b"mif1"), ftyp(b"mif1", b"avif")):
        with pytest.raises(CorruptImage, match="AVIF"):
            decode_rgb(damaged)


def test_starts_of_chance_are_named_or_quoted():
    rng = np.random.default_rng(3)
    for _ in range(500):
        start = rng.integers(0, 256, 4, dtype=np.uint8).tobytes() + b"ftyp" + rng.bytes(40)
        with pytest.raises(CorruptImage):
            decode_rgb(start[: rng.integers(1, 48)])
