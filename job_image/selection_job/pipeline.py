"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

from collections.abc import Mapping

from selection_api import RunSummary, Stage
from selection_job.catalog.listing import list_images
from selection_job.datapool_stage import PoolView, open_datapool
from selection_job.embedding_stage import Embedded, check_images, embed_images
from selection_job.embeddings.given_embeddings import GivenEmbeddings, load_given
from selection_job.encoder.encoder import Origin
from selection_job.encoder_stage import load_stage, train_stage
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.results.findings import Findings, count_images
from selection_job.results.publishing import find_finished, write_results
from selection_job.selection_stage import choose_images
from selection_job.source_stage import gather_sources, load_sources
from selection_job.stores.lock import hold
from selection_job.workplace import Workplace


def run_pipeline(place: Workplace) -> RunSummary:
    """Bring a run from its input folder to its report; what an earlier try finished is reused.

    Raises the errors of selection_job.errors, TryAgain among them where another process is at work on this very run;
    report.json exists only after everything else does.
    """
    with hold(place.lock):
        return _run_alone(place)


def _run_alone(place: Workplace) -> RunSummary:
    with place.progress.stage(Stage.LOADING_DATASET):
        listing = list_images(place.source, place.target, relevant_filenames_file=place.worker.relevant_filenames_file)
    place.notes.extend(listing.notes)
    if finished := find_finished(place, listing):
        return finished
    with open_datapool(place, listing) as view:
        return _select(place, view)


def _select(place: Workplace, view: PoolView) -> RunSummary:
    place.progress.count(input=len(view.listing.names))
    loaded = load_sources(place, view.listing, view.members.names)
    origin, found = _embed(place, view, loaded.tasks)
    embedded = view.join(found, origin)
    scores = origin.scores if isinstance(origin, GivenEmbeddings) else None
    sources = gather_sources(place, loaded, embedded, view.spread(scores))
    with place.progress.stage(Stage.SAMPLING):
        chosen = choose_images(place, embedded, sources)
        place.progress.counts = count_images(embedded.catalog, chosen.selection)
    return write_results(place, Findings(view, origin, embedded, sources, chosen))


def _embed(place: Workplace, view: PoolView, tasks: Mapping[str, TaskPredictions]) -> tuple[Origin, Embedded]:
    """Take the embeddings that were given, or train or load an encoder and make them."""
    listing = view.listing
    if place.worker.embeddings:
        with place.progress.stage(Stage.EMBEDDING):
            return load_given(place, listing)
    if place.worker.enable_training:
        with place.progress.stage(Stage.CHECKING_CORRUPTNESS):
            checked = check_images(place, listing)
        with place.progress.stage(Stage.TRAINING):
            encoder = train_stage(place, listing, checked)
    else:
        encoder = load_stage(place)
        view.check_encoder(encoder, encoder.dimensions)
    with place.progress.stage(Stage.EMBEDDING):
        return encoder, embed_images(place, listing, encoder, make_wanted_boxes(place.spec, len(listing.names), tasks))
