"""The whole report as blocks, which report.pdf and report.html are both printed from."""

from pathlib import Path
from typing import Any

from selection_job.report.blocks.blocks import Block, PageBreak
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.sections.analysis import make_decisions_section, make_maps_section, make_statistics_section
from selection_job.report.sections.appendix import (
    make_input_sections,
    make_notes_section,
    make_savings_section,
    make_settings_section,
)
from selection_job.report.sections.cover import make_cover
from selection_job.report.sections.encoder import make_encoder_section
from selection_job.report.sections.groups import make_groups_section
from selection_job.report.sections.job import make_job_section
from selection_job.report.sections.objects import make_object_section
from selection_job.report.sections.queries import make_query_section
from selection_job.report.sections.selection import make_selection_section
from selection_job.report.sections.sequences import make_sequence_section
from selection_job.report.sections.sources import make_source_sections
from selection_job.report.sections.videos import make_video_section

JsonObject = dict[str, Any]


def make_document(report: JsonObject, plots: Path, thumbnail: Thumbnail) -> list[Block]:
    """Return what the report says, in the order of its sections.

    report     what build_report returns
    plots      the folder that write_figures filled from the same report
    thumbnail  gives a JPEG for a file name, or None where the image can't be read any more
    """
    return [
        *make_cover(report, thumbnail),
        PageBreak(),
        *make_job_section(report),
        PageBreak(),
        *(make_sequence_section(report, plots) or make_selection_section(report, plots)),
        PageBreak(),
        *make_query_section(report, thumbnail),
        *make_object_section(report, plots),
        *make_source_sections(report, plots, thumbnail),
        *make_encoder_section(report),
        *make_statistics_section(report, plots),
        *make_maps_section(report, plots),
        *make_decisions_section(report, thumbnail),
        *make_groups_section(report, thumbnail),
        *make_input_sections(report, thumbnail),
        *make_video_section(report, plots),
        *make_savings_section(report),
        *make_notes_section(report),
        *make_settings_section(report),
    ]
