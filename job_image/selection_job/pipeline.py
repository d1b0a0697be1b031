"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

import logging

from selection_api import RunSummary, Stage
from selection_job.publishing.publishing import find_finished, write_results
from selection_job.publishing.run_results import RunResults, count_images
from selection_job.publishing.table_cost import note_table_cost
from selection_job.run.context import RunContext
from selection_job.stages.datapool import open_datapool
from selection_job.stages.medium import choose_stages
from selection_job.stages.selection import choose_images, note_crops
from selection_job.stages.sources import gather_sources
from selection_job.stores.lease import hold

log = logging.getLogger("selection_job")


def run_pipeline(context: RunContext) -> RunSummary:
    """Bring a run from its input folder to its report; what an earlier try finished is reused.

    Raises the errors of selection_job.errors, TryAgain among them where another process is at work on this very run;
    report.json exists only after everything else does.
    """
    with hold(context.lease):
        return _run_alone(context)


def _run_alone(context: RunContext) -> RunSummary:
    medium = choose_stages(context.medium)
    with context.progress.stage(Stage.LOADING_DATASET):
        listing = medium.list_files(context)
    if finished := find_finished(context, listing):
        return finished
    with open_datapool(context, listing) as view:
        found = medium.find(context, view)
        embedded = view.join(found.embedded, found.encoder)
        n, dimensions = embedded.embeddings.shape
        cost_notes = note_table_cost(n, dimensions, embedded.catalog.medium.noun, context.worker.table_forms)
        for note in cost_notes:
            log.warning("%s", note)
        scores = view.spread(found.table_scores)
        sources = gather_sources(context, found.loaded, embedded, scores, asked=found.asked)
        with context.progress.stage(Stage.SAMPLING):
            chosen = choose_images(context, embedded, sources.value)
            context.progress.counts = count_images(embedded.catalog, chosen.selection)
        crop_notes = [note for crops in embedded.crops for note in note_crops(crops, sources.value)]
        results = RunResults(
            medium=medium,
            view=view,
            encoder=found.encoder,
            catalog=embedded.catalog,
            embeddings=embedded.embeddings,
            crops=embedded.crops,
            sources=sources.value,
            selection=chosen.selection,
            half_match=found.embedded.half_match,
            objects=chosen.objects,
            sequences=chosen.sequences,
            notes=(*listing.notes, *view.notes, *found.notes, *cost_notes, *sources.notes, *crop_notes),
        )
        return write_results(context, results)
