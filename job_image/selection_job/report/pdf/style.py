"""The PDF's typography: fonts, colours, paragraph and table styles."""

from functools import cache

from reportlab.lib.colors import HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import TableStyle

from selection_job.report.blocks.blocks import Level, Look
from selection_job.report.plots import drawing, fonts

PAGE_WIDTH, PAGE_HEIGHT = A4
MARGIN = 20 * mm

INK, MUTED, FAINT, WHITE = HexColor(drawing.INK), HexColor(drawing.MUTED), HexColor(drawing.FAINT), white
SELECTED = HexColor(drawing.SELECTED)
SELECTED_TEXT = HexColor("#a94a00")
"""Darker than SELECTED: small letters need contrast (5.9:1 on white)."""

BODY_FONT, BOLD_FONT, JAPANESE_FONT = "Report", "Report-Bold", "Report-Japanese"
PDF_FONTS = {fonts.LATIN: BODY_FONT, fonts.LATIN_BOLD: BOLD_FONT, fonts.JAPANESE: JAPANESE_FONT}


@cache
def register_fonts() -> None:
    """Make the embedded fonts known to reportlab; each PDF holds only the letters it uses."""
    for font, name in PDF_FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(fonts.font_file(font))))
    pdfmetrics.registerFontFamily(BODY_FONT, normal=BODY_FONT, bold=BOLD_FONT, italic=BODY_FONT, boldItalic=BOLD_FONT)
    pdfmetrics.registerFontFamily(
        JAPANESE_FONT, normal=JAPANESE_FONT, bold=JAPANESE_FONT, italic=JAPANESE_FONT, boldItalic=JAPANESE_FONT
    )


def _style(name: str, size: float, leading: float, **settings: object) -> ParagraphStyle:
    return ParagraphStyle(
        name, **{"fontName": BODY_FONT, "fontSize": size, "leading": leading, "textColor": INK, **settings}
    )


HEADINGS = {
    Level.TITLE: _style("title", 26, 31, fontName=BOLD_FONT),
    Level.SECTION: _style("section", 15, 19, fontName=BOLD_FONT, spaceBefore=4, spaceAfter=7),
    Level.SUBSECTION: _style("subsection", 10, 14, fontName=BOLD_FONT, spaceBefore=11, spaceAfter=4),
}
LOOKS = {
    Look.BODY: _style("body", 8.5, 13, spaceAfter=6),
    Look.LEAD: _style("lead", 10.5, 16.5, spaceAfter=8),
    Look.SMALL: _style("small", 7.2, 10.4, textColor=MUTED, spaceAfter=4),
    Look.OVERLINE: _style("overline", 8.5, 12, textColor=SELECTED_TEXT, fontName=BOLD_FONT, spaceAfter=3),
    Look.CELL: _style("cell", 8, 11),
    Look.CELL_MUTED: _style("cell muted", 8, 11, textColor=MUTED),
    Look.CELL_NUMBER: _style("cell number", 8, 11, alignment=TA_RIGHT),
    Look.CELL_HEAD: _style("cell head", 7.2, 10, fontName=BOLD_FONT, textColor=MUTED),
    Look.CELL_HEAD_NUMBER: _style("cell head number", 7.2, 10, fontName=BOLD_FONT, textColor=MUTED, alignment=TA_RIGHT),
    Look.NAME: _style("name", 7.6, 10.2, wordWrap="CJK"),
    Look.CAPTION: _style("caption", 6.2, 8, textColor=MUTED, wordWrap="CJK"),
    Look.CAPTION_WORDS: _style("caption words", 6.6, 8.6),
    Look.TILE_NUMBER: _style("tile number", 19, 23, fontName=BOLD_FONT),
    Look.TILE_WORDS: _style("tile words", 7.6, 10.2, textColor=MUTED, rightIndent=6),
}


def _pad(right: float, top: float, bottom: float, *lines: tuple[object, ...]) -> TableStyle:
    whole = (0, 0), (-1, -1)
    return TableStyle(
        [
            ("VALIGN", *whole, "TOP"),
            ("LEFTPADDING", *whole, 0),
            ("RIGHTPADDING", *whole, right),
            ("TOPPADDING", *whole, top),
            ("BOTTOMPADDING", *whole, bottom),
            *lines,
        ]
    )


TABLE = _pad(8, 3, 3.5, ("LINEBELOW", (0, 0), (-1, -1), 0.4, FAINT))
SPACED = _pad(6, 2, 6)
PLAIN = _pad(0, 0, 0)
