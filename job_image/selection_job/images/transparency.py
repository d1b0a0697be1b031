"""Transparency: what of a picture is not opaque, and how it looks on white, which is where viewers show it.

Drawings often lie in the alpha channel alone, black on transparent black: without it they are all one black picture.
"""

import numpy as np
from PIL import Image

_OPAQUE = 255
_WHITE = (255, 255, 255)
_PNG_DEPTH_BYTE = 24  # of the file: the header comes first


def find_alpha(image: Image.Image, content: bytes) -> Image.Image | None:
    """Return the opacity of each pixel, mode L, 255 being opaque; None where all pixels are.

    image    decoded, in the mode that it was stored in; a colour that stands for transparency may be mended
    content  the file
    """
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I;16"):
        key = image.info["transparency"]
        alpha = Image.fromarray(np.where(np.asarray(image) == key, np.uint8(0), np.uint8(_OPAQUE)))
    else:
        _mend_key(image, content)
        alpha = (image if image.mode in ("RGBA", "LA") else image.convert("RGBA")).getchannel("A")
    least, most = alpha.getextrema()
    is_padding = image.format == "BMP" and most == 0  # a fourth byte that nobody filled, which viewers do not look at
    return None if least == _OPAQUE or is_padding else alpha


def place_on_white(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the picture in mode RGB on a white ground."""
    shown = Image.new("RGB", rgb.size, _WHITE)
    shown.paste(rgb, mask=alpha)
    return shown


def _mend_key(image: Image.Image, content: bytes) -> None:
    """Bring the transparent colour of a PNG to 8 bit, as Pillow brings the pixels and forgets the colour."""
    key = image.info.get("transparency")
    depth = content[_PNG_DEPTH_BYTE] if image.format == "PNG" else 8
    if image.mode == "L" and isinstance(key, int) and depth in (2, 4):
        image.info["transparency"] = key * (_OPAQUE // (2**depth - 1))
    elif image.mode == "RGB" and isinstance(key, tuple) and depth == 16:
        image.info["transparency"] = tuple(level >> 8 for level in key)
