"""Decoding: the bytes of an image file → RGB pixels, or the reason why not.

Files are hostile: each is decoded to its last bit (a header says nothing), its size is checked before memory is
taken, only formats of photographs are tried (Pillow would hand PostScript to an interpreter), and whatever goes wrong
becomes a CorruptImage. Safe to call from many threads: no setting of Pillow or of the process is changed for a call.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (  # noqa: F401 (importing a plugin registers its format)
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from selection_job.images.file_kinds import name_image_kind, name_other_kind
from selection_job.images.jpeg_damage import end_properly, hear_damage
from selection_job.images.metadata_free import LARGE_BYTES, leave_out_behind_pixels, leave_out_metadata
from selection_job.images.transparency import find_alpha, place_on_white
from selection_job.images.upright import AS_STORED, turn_image

MAX_PIXELS = 178_956_970
"""Larger images are refused as 'too large'. The number at which Pillow, and so lightly, refuses to open a file."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF")
"""What a file may hold, whatever its name says."""

_JOINED_FORMATS = "JPEG, PNG, WebP or TIFF"

MIN_DRAFT_PX = 128
"""Draft decoding never goes below this edge, so that one decode serves the thumbnail too."""

_ORIENTATION_TAG = 0x0112
_JPEG_END = b"\xff\xd9"

# Pillow warns of odd EXIF, large images, palettes; what matters becomes a reason instead. warnings.catch_warnings swaps
# the process's filters back and forth and is not safe in threads; one filter for the modules of Pillow only is.
_PILLOW_MODULES = r"PIL\."
warnings.filterwarnings("ignore", module=_PILLOW_MODULES)
_PILLOW_FILTER = warnings.filters[0]

_BLOCK_PIXELS = 1 << 20
_FULL_SCALES = {"I": (65535.0, 2.0**31 - 1), "F": (1.0, 255.0, 65535.0)}


class CorruptImage(Exception):
    """The file can't be used; str() is the reason: 'empty', 'truncated: …', 'damaged: …', 'too large: …', …"""


@dataclass(frozen=True)
class OpenedImage:
    """A file whose header was read; its pixels were not."""

    file: ImageFile
    content: bytes
    width_px: int  # as stored, not turned
    height_px: int
    has_left_out: bool = False
    """Whether there are metadata that were not read, since they are large or damaged."""


def decode_rgb(
    content: bytes, *, decoder: str = "exact", target_px: int | None = None, allow_truncated: bool = False
) -> Image.Image:
    """Return the first frame in mode RGB, as viewers show it: turned by its EXIF orientation, and on white.

    decoder          'exact' equals Image.open(file).convert('RGB') of an opaque image, turned, bit for bit, but for 16
                     and 32 bit a channel: these are scaled to 8 bit instead of clipped. 'fast' lets libjpeg scale a
                     JPEG by 1/2, 1/4 or 1/8 to no less than twice target_px (and MIN_DRAFT_PX) on either edge
    target_px        edge in pixels that the caller resizes to; 'fast' without it is 'exact'
    allow_truncated  keep what could be decoded of a damaged file, the rest black, grey or white

    The result's info holds two keys. 'orientation': by which EXIF orientation, 1 to 8, it was turned; a TIFF is turned
    by Pillow itself, and has 1. 'is_transparent': whether a pixel was not opaque. Raises CorruptImage.
    """
    opened = open_image(content)
    return load_rgb(opened, decoder=decoder, target_px=target_px, allow_truncated=allow_truncated)


def open_image(content: bytes) -> OpenedImage:
    """Read the header only, a matter of microseconds. Raises CorruptImage: empty, not an image, too large."""
    if not content:
        raise CorruptImage("empty")
    _silence_pillow()
    used = leave_out_behind_pixels(content)
    try:
        file = _open_file(used)
    except CorruptImage:
        plain = leave_out_metadata(used)
        if plain == used:
            raise
        return _describe(_open_file(plain), plain, has_left_out=True)
    return _describe(file, used, has_left_out=len(content) - len(used) > LARGE_BYTES)


def _describe(file: ImageFile, content: bytes, *, has_left_out: bool) -> OpenedImage:
    return OpenedImage(file, content, file.width, file.height, has_left_out)


def _open_file(content: bytes) -> ImageFile:
    try:
        file = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(*_measure(content)) from None
    except Exception as error:  # a plugin may raise anything on a hostile file, and one file never ends a run
        raise _explain_unopened(content, error) from error
    if file.width * file.height > MAX_PIXELS:
        raise _too_large(file.width, file.height)
    return file


def load_rgb(
    opened: OpenedImage, *, decoder: str = "exact", target_px: int | None = None, allow_truncated: bool = False
) -> Image.Image:
    """Decode an opened image, as decode_rgb says. Raises CorruptImage."""
    _silence_pillow()
    try:
        edge_px = max(2 * target_px, MIN_DRAFT_PX) if decoder == "fast" and target_px is not None else None
        file = _load_partly(opened) if allow_truncated else _load_whole(opened, edge_px)
        orientation = _read_orientation(file)  # after the pixels: a PNG may tell it behind them
        alpha = find_alpha(file, opened.content)
        rgb = turn_image(_to_rgb(file) if alpha is None else place_on_white(_to_rgb(file), alpha), orientation)
        rgb.info = {"orientation": orientation, "is_transparent": alpha is not None}
    except Image.DecompressionBombError:
        raise _too_large(opened.width_px, opened.height_px) from None
    except Exception as error:  # as above
        raise _explain(error) from error
    return rgb


def check_data(opened: OpenedImage) -> None:
    """Refuse a JPEG whose image data are damaged although they decode; takes about 0.4 of the time that decoding takes.

    Raises CorruptImage.
    """
    if _is_jpeg(opened.file) and (heard := hear_damage(opened.content)):
        raise CorruptImage(f"damaged: a part of its image data is lost or overwritten (libjpeg: {heard})")


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or where EXIF is damaged."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, AS_STORED)
    except Exception:  # as above: damaged EXIF does no harm to the pixels
        return AS_STORED
    return int(orientation) if orientation in range(1, 9) else AS_STORED


def _load_whole(opened: OpenedImage, edge_px: int | None) -> ImageFile:
    """Decode to the last row; a JPEG by libjpeg's scale to no less than edge_px, where there is one."""
    try:
        return _load_scaled(opened.file, edge_px)
    except OSError:
        whole = end_properly(opened.content) if _is_jpeg(opened.file) else None
        if whole is None:
            raise
        return _load_scaled(Image.open(io.BytesIO(whole), formats=("JPEG",)), edge_px)


def _load_scaled(file: ImageFile, edge_px: int | None) -> ImageFile:
    if edge_px is not None and _is_jpeg(file):
        file.draft("RGB", (edge_px, edge_px))
    file.load()
    return file


def _is_jpeg(file: ImageFile) -> bool:
    return isinstance(file, JpegImagePlugin.JpegImageFile)


def _load_partly(opened: OpenedImage) -> ImageFile:
    """Decode as far as the file goes. Pillow decodes into the image's memory, which keeps what came before a fault.

    ImageFile.LOAD_TRUNCATED_IMAGES would do the same for all threads of the process at once.
    """
    file = opened.file
    if _is_jpeg(file):  # libjpeg shows what it has once it meets the end marker
        file = Image.open(io.BytesIO(opened.content + _JPEG_END), formats=("JPEG",))
    try:
        file.load()
    except Exception:
        if file._im is None:  # no memory was taken: nothing was decoded
            raise
        file.tile = []
    return file


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _scale_to_rgb(np.asarray(image), (65535.0,))
    if image.mode in _FULL_SCALES:
        return _scale_to_rgb(np.asarray(image), _FULL_SCALES[image.mode])
    return image.convert("RGB")


def _scale_to_rgb(values: NDArray[Any], full_scales: tuple[float, ...]) -> Image.Image:
    """Scale so that the smallest full scale which holds all values becomes 255; negative and not finite becomes 0.

    In blocks: the float64 of a whole image of MAX_PIXELS would take gigabytes.
    """
    flat = values.reshape(-1)
    blocks = [slice(start, start + _BLOCK_PIXELS) for start in range(0, len(flat), _BLOCK_PIXELS)]
    largest = max(float(_as_levels(flat[block]).max()) for block in blocks)
    full_scale = next((scale for scale in full_scales if largest <= scale), largest)
    grey = np.empty(values.shape, dtype=np.uint8)
    for block in blocks:
        grey.reshape(-1)[block] = np.clip(np.rint(_as_levels(flat[block]) * (255.0 / full_scale)), 0, 255)
    return Image.fromarray(grey, "L").convert("RGB")


def _as_levels(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _explain(error: Exception) -> CorruptImage:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        text = "not enough memory"
    if "truncated" in text.lower():
        return CorruptImage(f"truncated: {text}")
    return CorruptImage(f"decode error: {text}")


def _too_large(width_px: int, height_px: int) -> CorruptImage:
    return CorruptImage(f"too large: {width_px} x {height_px} pixels, the limit is {MAX_PIXELS}")


def _measure(content: bytes) -> tuple[int, int]:
    """Return width and height of an image that Image.open refuses for its size: its plugin knows them."""
    factory, _ = Image.OPEN[guess_format(content)]
    return factory(io.BytesIO(content), "").size


def guess_format(content: bytes) -> str:
    """Return the format that the first bytes promise, or ''."""
    accepts = ((name, Image.OPEN[name][1]) for name in FORMATS if name in Image.OPEN)
    return next((name for name, accept in accepts if accept is not None and accept(content[:16]) is True), "")


def _explain_unopened(content: bytes, error: Exception) -> CorruptImage:
    if (kind := name_image_kind(content)) not in ("", *FORMATS):
        return CorruptImage(f"not read: its format is {kind}, whatever its name says; convert it to {_JOINED_FORMATS}")
    image_format = guess_format(content)
    promised_bytes = int.from_bytes(content[4:8], "little") + 8  # RIFF, and so WebP, says its length
    if image_format == "WEBP" and promised_bytes > len(content):
        return CorruptImage(f"truncated: {len(content)} of {promised_bytes} bytes")
    if not isinstance(error, UnidentifiedImageError):
        return _explain(error)
    if image_format:
        return CorruptImage(f"decode error: the header of this {image_format} file is damaged or cut off")
    if kind := name_other_kind(content):
        return CorruptImage(f"not an image: {kind}")
    return CorruptImage(f"not an image: starts with {content[:12]!r}, which is none of {', '.join(FORMATS)}")


def _silence_pillow() -> None:
    """Put the filter back where someone reset the process's filters (a test, a library)."""
    if _PILLOW_FILTER not in warnings.filters:
        warnings.filterwarnings("ignore", module=_PILLOW_MODULES)
