"""report.pdf: the report for people, made of the report's own numbers, the plots and thumbnails."""

from pathlib import Path
from typing import Any

from reportlab.platypus import Flowable, PageBreak

from selection_job.report.pdf.analysis import make_decisions_section, make_maps_section, make_statistics_section
from selection_job.report.pdf.appendix import (
    make_input_sections,
    make_notes_section,
    make_savings_section,
    make_settings_section,
)
from selection_job.report.pdf.document import ReportDocument
from selection_job.report.pdf.groups import make_groups_section
from selection_job.report.pdf.objects import make_object_section
from selection_job.report.pdf.selection import make_selection_section
from selection_job.report.pdf.sequences import make_sequence_section
from selection_job.report.pdf.sources import make_source_sections
from selection_job.report.pdf.style import register_fonts
from selection_job.report.pdf.summary import make_cover, make_job_section
from selection_job.report.pdf.videos import make_video_section
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import drawable

JsonObject = dict[str, Any]


def write_report_pdf(path: Path, report: JsonObject, plots: Path, thumbnail: Thumbnail) -> None:
    """Write the PDF; equal reports, plots and thumbnails give equal bytes.

    report     what build_report returns
    plots      the folder that write_figures filled from the same report
    thumbnail  gives a JPEG for a file name, or None where the image can't be read any more
    Raises OSError where the file can't be written.
    """
    register_fonts()
    general = report["generalInformation"]
    run_id, dataset = general["runInformation"]["runId"], general["datasetInformation"]["datasetName"]
    document = ReportDocument(
        path, title=f"Selection report: {drawable(dataset)}", running_title=f"Selection report · {run_id}"
    )
    document.build(make_story(report, plots, thumbnail, make_maps_section(report, plots)))


def make_story(report: JsonObject, plots: Path, thumbnail: Thumbnail, maps: list[Flowable]) -> list[Flowable]:
    """Return the whole report as flowables, which the PDF and report.html are both printed from."""
    return [
        *make_cover(report, thumbnail),
        PageBreak(),
        *make_job_section(report),
        PageBreak(),
        *(make_sequence_section(report, plots) or make_selection_section(report, plots)),
        PageBreak(),
        *make_object_section(report, plots),
        *make_source_sections(report, plots, thumbnail),
        *make_statistics_section(report, plots),
        *maps,
        *make_decisions_section(report, thumbnail),
        *make_groups_section(report, thumbnail),
        *make_input_sections(report, thumbnail),
        *make_video_section(report, plots),
        *make_savings_section(report),
        *make_notes_section(report),
        *make_settings_section(report),
    ]
