"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

from collections.abc import Callable

from selection_api import RunSummary, Stage
from selection_job.catalog.catalog import Listing
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.listing import list_images, list_videos
from selection_job.embeddings.given_embeddings import GivenEmbeddings, load_given
from selection_job.encoder.encoder import EmbeddingSource, Encoder
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.publishing.publishing import find_finished, write_results
from selection_job.publishing.run_results import RunResults, count_images
from selection_job.run.context import RunContext
from selection_job.stages.datapool import DatapoolView, open_datapool
from selection_job.stages.embedding import embed_images
from selection_job.stages.encoder import load_encoder_for_run, train_on_frames, train_on_images
from selection_job.stages.selection import choose_images
from selection_job.stages.sources import LoadedSources, check_schemas, gather_sources, load_sources
from selection_job.stages.videos import embed_videos, list_frames
from selection_job.stores.lease import hold


def run_pipeline(context: RunContext) -> RunSummary:
    """Bring a run from its input folder to its report; what an earlier try finished is reused.

    Raises the errors of selection_job.errors, TryAgain among them where another process is at work on this very run;
    report.json exists only after everything else does.
    """
    with hold(context.lock):
        return _run_alone(context)


def _run_alone(context: RunContext) -> RunSummary:
    are_videos = context.spec.dataset.type == "VIDEOS"
    list_media = list_videos if are_videos else list_images
    with context.progress.stage(Stage.LOADING_DATASET):
        listing = list_media(
            context.source, context.target, relevant_filenames_file=context.worker.relevant_filenames_file
        )
    context.notes.extend(listing.notes)
    if finished := find_finished(context, listing):
        return finished
    with open_datapool(context, listing) as view:
        find = _find_frames if are_videos else _find_images
        return _select(context, view, *find(context, view))


def _find_images(context: RunContext, view: DatapoolView) -> tuple[EmbeddingSource, Embedded, LoadedSources]:
    """Load what is known of the images, and embed them with their objects."""
    listing = view.listing
    context.progress.count(input=len(listing.names))
    loaded = load_sources(context, listing, view.members.names)
    if context.worker.embeddings:
        with context.progress.stage(Stage.EMBEDDING):
            return *load_given(context, listing), loaded
    encoder = _make_encoder(context, view, train_on_images)
    boxes = make_wanted_boxes(context.spec, len(listing.names), loaded.tasks)
    with context.progress.stage(Stage.EMBEDDING):
        return encoder, embed_images(context, listing, encoder, boxes), loaded


def _find_frames(context: RunContext, view: DatapoolView) -> tuple[EmbeddingSource, Embedded, LoadedSources]:
    """Embed the frames, whose names are known only then, and load what is known of them."""
    check_schemas(context)
    encoder = _make_encoder(context, view, train_on_frames)
    with context.progress.stage(Stage.EMBEDDING):
        embedded = view.leave_out_members(embed_videos(context, view.listing, encoder))
    return encoder, embedded, load_sources(context, list_frames(embedded.catalog), view.members.names)


def _make_encoder(context: RunContext, view: DatapoolView, train: Callable[[RunContext, Listing], Encoder]) -> Encoder:
    """Train an encoder, or load the one that the configuration names."""
    if context.worker.enable_training:
        return train(context, view.listing)
    encoder = load_encoder_for_run(context)
    view.check_encoder(encoder, encoder.dimensions)
    return encoder


def _select(
    context: RunContext, view: DatapoolView, origin: EmbeddingSource, found: Embedded, loaded: LoadedSources
) -> RunSummary:
    embedded = view.join(found, origin)
    scores = origin.scores if isinstance(origin, GivenEmbeddings) else None
    sources = gather_sources(context, loaded, embedded, view.spread(scores))
    with context.progress.stage(Stage.SAMPLING):
        chosen = choose_images(context, embedded, sources)
        context.progress.counts = count_images(embedded.catalog, chosen.selection)
    return write_results(context, RunResults(view, origin, embedded, sources, chosen))
