"""Pictures that lie in their files in each of the eight ways that EXIF knows, with a red box that is found again."""

import io

import numpy as np
from PIL import Image, ImageDraw

ORIENTATIONS = range(1, 9)
STORED_FROM_SHOWN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def lay_down(shown, orientation):
    """Return the picture as a camera stores it that notes this orientation."""
    turn = STORED_FROM_SHOWN[orientation]
    return shown if turn is None else shown.transpose(turn)


def encode(shown, orientation, image_format="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0, **options} if image_format == "JPEG" else options
    buffer = io.BytesIO()
    lay_down(shown, orientation).save(buffer, image_format, exif=exif, **options)
    return buffer.getvalue()


def draw(box, size=(120, 80)):
    """A grey picture of some noise with a red box of x, y, width and height."""
    random = np.random.default_rng(box[0])
    picture = Image.fromarray(random.integers(90, 150, (size[1], size[0]), dtype=np.uint8)).convert("RGB")
    x, y, width, height = box
    ImageDraw.Draw(picture).rectangle([x, y, x + width - 1, y + height - 1], fill=(230, 0, 0))
    return picture


def find_box(picture):
    """Return x, y, width and height of what is red."""
    channels = np.asarray(picture.convert("RGB")).astype(int)
    rows, columns = np.nonzero(channels[..., 0] - channels[..., 1] > 100)
    x, y = columns.min(), rows.min()
    return [int(x), int(y), int(columns.max() - x + 1), int(rows.max() - y + 1)]


def overlap(one, other):
    """Return the intersection over union of two boxes of x, y, width and height."""
    edges = [max(0, min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i])) for i in (0, 1)]
    common = edges[0] * edges[1]
    return common / (one[2] * one[3] + other[2] * other[3] - common)
