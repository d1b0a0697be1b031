"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

from selection_api import RunSummary, Stage
from selection_job.catalog.catalog import Listing
from selection_job.catalog.listing import list_images
from selection_job.embedding_stage import Embedded, check_images, embed_images
from selection_job.embeddings.given_embeddings import GivenEmbeddings, load_given
from selection_job.encoder.encoder import Origin
from selection_job.encoder_stage import load_stage, train_stage
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.results.findings import Findings, count_images
from selection_job.results.publishing import find_finished, write_results
from selection_job.selection.selecting import select_images
from selection_job.source_stage import gather_sources
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
    place.progress.count(input=len(listing.names))
    if finished := find_finished(place, listing):
        return finished
    origin, embedded = _embed(place, listing)
    catalog, embeddings = embedded.catalog, embedded.embeddings
    sources = gather_sources(place, embedded, origin.scores if isinstance(origin, GivenEmbeddings) else None)
    with place.progress.stage(Stage.SAMPLING):
        selection = select_images(catalog, embeddings, place.spec, sources)
        place.progress.counts = count_images(catalog, selection)
    return write_results(place, Findings(listing, catalog, origin, embeddings, selection))


def _embed(place: Workplace, listing: Listing) -> tuple[Origin, Embedded]:
    """Take the embeddings that were given, or train or load an encoder and make them."""
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
    with place.progress.stage(Stage.EMBEDDING):
        return encoder, embed_images(place, listing, encoder, make_wanted_boxes(place.spec, len(listing.names)))
