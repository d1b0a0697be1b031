"""What lies where on the pages of a PDF, in points from the lower left corner, and how a page looks."""

from dataclasses import dataclass

import numpy as np
import pypdfium2
from pypdfium2 import raw


@dataclass(frozen=True)
class Box:
    left: float
    bottom: float
    right: float
    top: float
    text: str = ""

    @property
    def width(self):
        return self.right - self.left

    def shares(self, other):
        """Return width and height of what both cover; negative where there is a gap between them."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        return wide, min(self.top, other.top) - max(self.bottom, other.bottom)

    def overlaps(self, other):
        return min(self.shares(other)) > 1


@dataclass(frozen=True)
class Page:
    width: float
    height: float
    text: str
    """All of it on one line."""
    texts: list[Box]
    pictures: list[Box]
    has_own_fonts: bool
    """Whether each letter's font lies in the file."""
    pixels: np.ndarray
    """(h, w, 3) uint8, a pixel a point."""


def read_pages(path):
    with pypdfium2.PdfDocument(path) as document:
        return [_read_page(page) for page in document]


def _read_page(page):
    text = page.get_textpage()
    rects = [text.get_rect(i) for i in range(text.count_rects())]
    texts = [Box(*rect, text.get_text_bounded(*rect).strip()) for rect in rects]
    pictures = [Box(*found.get_bounds()) for found in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE])]
    letters = page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT])
    has_own_fonts = all(raw.FPDFFont_GetIsEmbedded(raw.FPDFTextObj_GetFont(found.raw)) == 1 for found in letters)
    pixels = page.render(scale=1).to_numpy()
    whole = " ".join(text.get_text_range().split())
    return Page(*page.get_size(), whole, [box for box in texts if box.text], pictures, has_own_fonts, pixels)
