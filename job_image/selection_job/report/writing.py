"""Write the report: measure, draw, print. report.json itself is written last, by the pipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.report.facts import RunFacts
from selection_job.report.html.report_html import write_report_html
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.pdf.report_pdf import write_report_pdf
from selection_job.report.plots.figures import write_figures
from selection_job.report.report_json import SourceFindings, build_report
from selection_job.selection.selection import Selection


def write_report(
    folder: Path,
    *,
    facts: RunFacts,
    catalog: Catalog,
    embeddings: NDArray[np.float32],
    selection: Selection,
    thumbnail: Callable[[str], bytes | None],
    worker: WorkerConfig,
    sources: SourceFindings | None = None,
) -> dict[str, Any]:
    """Write plots/*.png, report.pdf and report.html into the folder and return the report for report_json_bytes.

    embeddings  (n, d) float32, aligned with catalog.names
    thumbnail   gives a JPEG for a file name, or None where the image can't be read any more
    worker      says n_example_images, normalize_embeddings and the factors of the savings
    sources     metadata, predictions and scores that the run looked at, and what was chosen on the object level

    Where data/bounding_boxes_examples/ is in the folder, its pictures are in the PDF.

    Some seconds to a minute, most of it UMAP on at most 20,000 images. Raises OSError where the disk fails.
    """
    pool = make_candidates(embeddings, selection, normalize=worker.normalize_embeddings, seed=facts.seed)
    report = build_report(
        facts=facts,
        catalog=catalog,
        selection=selection,
        pool=pool,
        worker=worker,
        sources=sources or SourceFindings(),
    ).to_json_values()
    plots = folder / "plots"
    write_figures(plots, report, thumbnail)
    write_report_pdf(folder / "report.pdf", report, plots, thumbnail)
    write_report_html(folder / "report.html", report, plots, thumbnail)
    return report
