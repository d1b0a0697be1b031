"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

from collections.abc import Callable

from selection_api import RunSummary, Stage
from selection_job.catalog.catalog import Listing
from selection_job.catalog.listing import list_images, list_videos
from selection_job.datapool_stage import PoolView, open_datapool
from selection_job.embedding_stage import Embedded, embed_images
from selection_job.embeddings.given_embeddings import GivenEmbeddings, load_given
from selection_job.encoder.encoder import Encoder, Origin
from selection_job.encoder_stage import load_stage, train_on_frames, train_on_images
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.results.findings import Findings, count_images
from selection_job.results.publishing import find_finished, write_results
from selection_job.selection_stage import choose_images
from selection_job.source_stage import LoadedSources, check_schemas, gather_sources, load_sources
from selection_job.stores.lock import hold
from selection_job.video_stage import embed_videos, list_frames
from selection_job.workplace import Workplace


def run_pipeline(place: Workplace) -> RunSummary:
    """Bring a run from its input folder to its report; what an earlier try finished is reused.

    Raises the errors of selection_job.errors, TryAgain among them where another process is at work on this very run;
    report.json exists only after everything else does.
    """
    with hold(place.lock):
        return _run_alone(place)


def _run_alone(place: Workplace) -> RunSummary:
    are_videos = place.spec.dataset.type == "VIDEOS"
    list_media = list_videos if are_videos else list_images
    with place.progress.stage(Stage.LOADING_DATASET):
        listing = list_media(place.source, place.target, relevant_filenames_file=place.worker.relevant_filenames_file)
    place.notes.extend(listing.notes)
    if finished := find_finished(place, listing):
        return finished
    with open_datapool(place, listing) as view:
        find = _find_frames if are_videos else _find_images
        return _select(place, view, *find(place, view))


def _find_images(place: Workplace, view: PoolView) -> tuple[Origin, Embedded, LoadedSources]:
    """Load what is known of the images, and embed them with their objects."""
    listing = view.listing
    place.progress.count(input=len(listing.names))
    loaded = load_sources(place, listing, view.members.names)
    if place.worker.embeddings:
        with place.progress.stage(Stage.EMBEDDING):
            return *load_given(place, listing), loaded
    encoder = _make_encoder(place, view, train_on_images)
    boxes = make_wanted_boxes(place.spec, len(listing.names), loaded.tasks)
    with place.progress.stage(Stage.EMBEDDING):
        return encoder, embed_images(place, listing, encoder, boxes), loaded


def _find_frames(place: Workplace, view: PoolView) -> tuple[Origin, Embedded, LoadedSources]:
    """Embed the frames, whose names are known only then, and load what is known of them."""
    check_schemas(place)
    encoder = _make_encoder(place, view, train_on_frames)
    with place.progress.stage(Stage.EMBEDDING):
        embedded = view.leave_out_members(embed_videos(place, view.listing, encoder))
    return encoder, embedded, load_sources(place, list_frames(embedded.catalog), view.members.names)


def _make_encoder(place: Workplace, view: PoolView, train: Callable[[Workplace, Listing], Encoder]) -> Encoder:
    """Train an encoder, or load the one that the configuration names."""
    if place.worker.enable_training:
        return train(place, view.listing)
    encoder = load_stage(place)
    view.check_encoder(encoder, encoder.dimensions)
    return encoder


def _select(place: Workplace, view: PoolView, origin: Origin, found: Embedded, loaded: LoadedSources) -> RunSummary:
    embedded = view.join(found, origin)
    scores = origin.scores if isinstance(origin, GivenEmbeddings) else None
    sources = gather_sources(place, loaded, embedded, view.spread(scores))
    with place.progress.stage(Stage.SAMPLING):
        chosen = choose_images(place, embedded, sources)
        place.progress.counts = count_images(embedded.catalog, chosen.selection)
    return write_results(place, Findings(view, origin, embedded, sources, chosen))
