"""report.pdf: the report for people, on A4; equal reports, plots and thumbnails give equal bytes."""

from pathlib import Path
from typing import Any

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from selection_job.report.blocks.blocks import TEXT_WIDTH, Level
from selection_job.report.pdf import style
from selection_job.report.pdf.flowables import lay_out
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import drawable, shorten, split_by_font
from selection_job.report.sections.document import make_document

JsonObject = dict[str, Any]

rl_config.useA85 = 0  # streams as plain bytes: as letters they take a quarter more room, and seconds to write


def write_report_pdf(path: Path, report: JsonObject, plots: Path, thumbnail: Thumbnail) -> None:
    """Write the PDF.

    report     what build_report returns
    plots      the folder that write_figures filled from the same report
    thumbnail  gives a JPEG for a file name, or None where the image can't be read any more
    Raises OSError where the file can't be written.
    """
    style.register_fonts()
    general = report["generalInformation"]
    run_id, dataset = general["runInformation"]["runId"], general["datasetInformation"]["datasetName"]
    document = _ReportDocument(
        path, title=f"Selection report: {drawable(dataset)}", running_title=f"Selection report · {run_id}"
    )
    document.build(lay_out(make_document(report, plots, thumbnail)))


class _ReportDocument(BaseDocTemplate):  # type: ignore[misc]  # reportlab has no types
    """An A4 document whose section headings become bookmarks."""

    def __init__(self, path: Path, *, title: str, running_title: str) -> None:
        super().__init__(
            str(path),
            pagesize=(style.PAGE_WIDTH, style.PAGE_HEIGHT),
            title=title,
            author="selection-operator",
            subject="Which images are worth labelling, and why",
            creator="selection-operator",
            lang="en",
            invariant=1,  # no date, and a file id from the content
            pageCompression=1,
        )
        self._running_title = running_title
        self._n_bookmarks = 0
        frame = Frame(
            style.MARGIN,
            18 * mm,
            TEXT_WIDTH,
            style.PAGE_HEIGHT - 36 * mm,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._draw_footer))

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802  # reportlab's name
        """Bookmark each section heading where it was set."""
        if getattr(flowable, "style", None) is style.HEADINGS[Level.SECTION]:
            key = f"section-{self._n_bookmarks}"
            self._n_bookmarks += 1
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, level=0)

    def _draw_footer(self, canvas: Any, _: BaseDocTemplate) -> None:
        if canvas.getPageNumber() == 1:
            canvas.setFillColor(style.SELECTED)
            canvas.rect(0, style.PAGE_HEIGHT - 4 * mm, style.PAGE_WIDTH, 4 * mm, stroke=0, fill=1)
            canvas.showOutline()
        canvas.setFillColor(style.MUTED)
        canvas.setFont(style.BODY_FONT, 7.2)
        canvas.drawRightString(style.PAGE_WIDTH - style.MARGIN, 10 * mm, f"{canvas.getPageNumber()}")
        left = style.MARGIN
        for font, run in split_by_font(shorten(drawable(self._running_title), 80)):
            canvas.setFont(style.PDF_FONTS[font], 7.2)
            canvas.drawString(left, 10 * mm, run)
            left += canvas.stringWidth(run, style.PDF_FONTS[font], 7.2)
