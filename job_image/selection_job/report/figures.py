"""All plots of the run's plots/ folder, drawn from the report's own numbers."""

from pathlib import Path
from typing import Any

from selection_job.report.coverage_figure import write_coverage
from selection_job.report.drawing import Thumbnail
from selection_job.report.histogram_figures import write_histograms
from selection_job.report.pair_figures import write_decisions
from selection_job.report.scatter_figures import write_scatters
from selection_job.report.source_figures import write_source_plots

JsonObject = dict[str, Any]


def write_figures(folder: Path, report: JsonObject, thumbnail: Thumbnail) -> None:
    """Write every plot as PNG into the folder; equal reports give equal bytes.

    thumbnail  gives a JPEG for a file name, or None where the image can't be read any more
    """
    folder.mkdir(parents=True, exist_ok=True)
    information = report["datasetAnalysis"]["embeddingInformation"]
    write_histograms(folder, information["pairwiseDistance"])
    write_coverage(folder, report["selectionInformation"], information["distanceToCoverInput"])
    write_decisions(folder, report["selectedAndRemovedImageExamples"], thumbnail)
    write_scatters(folder, information["scatterPlotData"], thumbnail)
    write_source_plots(folder, report)
