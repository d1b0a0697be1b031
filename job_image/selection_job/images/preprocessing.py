"""Preprocessing: how a picture of any size becomes the square of pixels that a network takes."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Literal["SQUASH", "CROP", "PAD"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """How images become the encoder's input; what is done to the numbers themselves is part of its network."""

    size_px: int
    """Edge s of the square."""
    resize: Resize = "SQUASH"
    """SQUASH: the whole image, its aspect not kept. CROP: the middle of it. PAD: the whole image within a border."""
    interpolation: str = "bilinear"
    """nearest, bilinear, bicubic or lanczos, as Pillow computes them."""
    crop_share: float = 1.0
    """CROP: the edge of the square as a share of the image's short edge. SQUASH: as a share of the image's edges."""
    fill: tuple[int, int, int] = (0, 0, 0)
    """PAD: the colour of the border."""

    def make_pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return (s, s, 3) uint8 of an image in mode RGB, which is not changed."""
        match self.resize:
            case "SQUASH":
                return self._cut_middle(image.resize((self._short_px, self._short_px), _RESAMPLING[self.interpolation]))
            case "CROP":
                return self._crop(image)
            case "PAD":
                return self._pad(image)

    def __str__(self) -> str:
        size = f"{self.size_px} x {self.size_px} pixels ({self.interpolation})"
        match self.resize:
            case "SQUASH":
                return f"the whole image, resized to {size} without keeping its aspect"
            case "CROP":
                return f"the middle {self.crop_share:.1%} of the short edge, resized to {size}"
            case "PAD":
                return f"the whole image within a border, resized to {size}"

    @property
    def target_px(self) -> int:
        """The shortest edge that an image needs, so that decoding at a smaller scale loses nothing."""
        return math.ceil(self.size_px / self.crop_share)

    def _crop(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize the short edge and cut the middle out, rounded as torchvision's Resize and CenterCrop round."""
        width, height = (int(self._short_px * edge / min(image.size)) for edge in image.size)
        return self._cut_middle(image.resize((width, height), _RESAMPLING[self.interpolation]))

    def _cut_middle(self, image: Image.Image) -> NDArray[np.uint8]:
        width, height = image.size
        left, top = round((width - self.size_px) / 2), round((height - self.size_px) / 2)
        return np.array(image.crop((left, top, left + self.size_px, top + self.size_px)))

    @property
    def _short_px(self) -> int:
        return int(self.size_px / self.crop_share)

    def _pad(self, image: Image.Image) -> NDArray[np.uint8]:
        scale = self.size_px / max(image.size)
        width, height = (max(1, round(edge * scale)) for edge in image.size)
        square = Image.new("RGB", (self.size_px, self.size_px), self.fill)
        place = ((self.size_px - width) // 2, (self.size_px - height) // 2)
        square.paste(image.resize((width, height), _RESAMPLING[self.interpolation]), place)
        return np.array(square)
