"""All plots of the run's plots/ folder, drawn from the report's own numbers."""

from pathlib import Path
from typing import Any

from selection_job.manifest.noun import SEQUENCE
from selection_job.report.plots.coverage_figure import write_coverage
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.histogram_figures import write_histograms
from selection_job.report.plots.pair_figures import write_decisions
from selection_job.report.plots.scatter_figures import write_scatters
from selection_job.report.plots.source_figures import write_source_plots
from selection_job.report.plots.video_figures import write_video_plots
from selection_job.report.wording import noun_of

JsonObject = dict[str, Any]


def write_figures(folder: Path, report: JsonObject, thumbnail: Thumbnail) -> None:
    """Write every plot as PNG into the folder; equal reports give equal bytes.

    thumbnail  gives a JPEG for a file name, or None where the image can't be read any more
    """
    folder.mkdir(parents=True, exist_ok=True)
    information, noun = report["datasetAnalysis"]["embeddingInformation"], noun_of(report)
    write_histograms(folder, information["pairwiseDistance"], noun)
    sequences = report.get("sequenceInformation")
    write_coverage(
        folder,
        report["selectionInformation"],
        information["distanceToCoverInput"],
        sequences=sequences,
        noun=noun if sequences is None else SEQUENCE,
    )
    write_decisions(folder, report["selectedAndRemovedImageExamples"], thumbnail)
    write_scatters(folder, information["scatterPlotData"], thumbnail, noun)
    write_source_plots(folder, report)
    write_video_plots(folder, report)
