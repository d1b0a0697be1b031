"""What a run does with its medium: how images, or videos, are listed, embedded and shown, and what is known of them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selection_api import Stage
from selection_api.legacy_selection import TABLE_SCORE
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.listing import list_images, list_videos
from selection_job.embeddings.encoder_record import EncoderRecord, read_record
from selection_job.embeddings.given_embeddings import TABLES_FOLDER, GivenEmbeddings, find_table_key, load_given
from selection_job.encoder.encoder import EmbeddingSource, Encoder
from selection_job.errors import ObjectMissing, ObjectRefused, UnusableData
from selection_job.images.decoding import CorruptImage, decode_rgb
from selection_job.images.thumbnails import make_thumbnail
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.results.exports.media_place import MediaPlace, make_place
from selection_job.results.pictures.frame_images import FramePictures, write_frame_images
from selection_job.results.pictures.image_copies import dump_images, name_copies
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import Noted
from selection_job.selection.selection import Selection
from selection_job.stages.asking import ask, ask_beside_table
from selection_job.stages.datapool import DatapoolView
from selection_job.stages.embedding import count_duplicates, embed_images
from selection_job.stages.encoder import load_encoder_for_run, train_on_frames, train_on_images
from selection_job.stages.queries import AskedVectors, asks_anything
from selection_job.stages.sources import LoadedSources, check_schemas, load_sources
from selection_job.stages.videos import embed_videos, list_frames
from selection_job.stores.fetching import fetch_file

log = logging.getLogger("selection_job")


@dataclass(frozen=True, eq=False)
class Found:
    """What was found out before anything is chosen."""

    encoder: EmbeddingSource
    embedded: Embedded
    loaded: LoadedSources
    asked: AskedVectors = field(default_factory=AskedVectors)
    table_scores: NDArray[np.float64] | None = None  # (n,) al_score of the table of embeddings
    notes: tuple[str, ...] = ()


class MediumStages(Protocol):
    """What differs between the media. Whoever goes through a run need not know which one it is about."""

    def list_files(self, context: RunContext) -> Listing:
        """Return the files of the input that take part."""

    def find(self, context: RunContext, view: DatapoolView) -> Found:
        """Embed what can be chosen, and load what is known of it."""

    def make_thumbnails(self, context: RunContext, listing: Listing, catalog: Catalog) -> Callable[[str], bytes | None]:
        """Return how a thumbnail is found by name: in the local cache, or in the input where it fell out of it."""

    def write_pictures(
        self, context: RunContext, listing: Listing, catalog: Catalog, selection: Selection
    ) -> list[str]:
        """Write what was chosen as image files; return notes on what was missing."""

    def find_files(self, context: RunContext, names: list[str]) -> tuple[MediaPlace, list[str]]:
        """Return where the image files of what was chosen lie, and their names there."""


class ImageStages:
    """Images: their names are known from the start, so what is told of them in files is loaded before they are read."""

    def list_files(self, context: RunContext) -> Listing:
        """List the images."""
        relevant = context.worker.relevant_filenames_file
        return list_images(context.source, context.target, relevant_filenames_file=relevant)

    def find(self, context: RunContext, view: DatapoolView) -> Found:
        """Load what is known of the images, and embed them with their objects."""
        listing = view.listing
        context.progress.count(input=len(listing.names))
        loaded = load_sources(context, listing, view.members.names)
        if context.worker.embeddings:
            with context.progress.stage(Stage.EMBEDDING):
                given, embedded = _load_given(context, listing)
                asked = _ask_beside(context, given, embedded)
            return Found(given, embedded, loaded, asked, given.scores, notes=(*loaded.notes, *asked.notes))
        encoder = _make_encoder(context, view, train_on_images)
        boxes = make_wanted_boxes(context.spec, len(listing.names), loaded.tasks)
        with context.progress.stage(Stage.EMBEDDING):
            asked = ask(context, encoder.value)
            embedded = embed_images(context, listing, encoder.value, boxes)
        notes = (*loaded.notes, *encoder.notes, *asked.notes, *embedded.catalog.notes)
        return Found(encoder.value, embedded, loaded, asked, notes=notes)

    def make_thumbnails(self, context: RunContext, listing: Listing, catalog: Catalog) -> Callable[[str], bytes | None]:
        """Find a thumbnail in the local cache, or make it from the image."""

        def find(name: str) -> bytes | None:
            kept = context.thumbnails.get(name)
            if kept is not None:
                return kept
            try:
                made = make_thumbnail(decode_rgb(context.source.read(name)))
            except (ObjectMissing, ObjectRefused, CorruptImage):
                return None
            context.thumbnails.put(name, made)
            return made

        return find

    def write_pictures(
        self, context: RunContext, listing: Listing, catalog: Catalog, selection: Selection
    ) -> list[str]:
        """Copy the readable images, and those that were chosen."""
        return dump_images(
            context.source,
            context.target,
            context.run_key,
            catalog=catalog,
            selection=selection,
            worker=context.worker,
            progress=context.progress,
            check_cheaply=context.lease.check_cheaply,
        )

    def find_files(self, context: RunContext, names: list[str]) -> tuple[MediaPlace, list[str]]:
        """Find the images where they were read."""
        return make_place(context.spec.datasources.input, context.source.url), names


class VideoStages:
    """Videos: each is decoded once, and what is known by the frames' names is loaded behind that."""

    def list_files(self, context: RunContext) -> Listing:
        """List the videos."""
        relevant = context.worker.relevant_filenames_file
        return list_videos(context.source, context.target, relevant_filenames_file=relevant)

    def find(self, context: RunContext, view: DatapoolView) -> Found:
        """Embed the frames, whose names are known only then, and load what is known of them."""
        check_schemas(context)
        encoder = _make_encoder(context, view, train_on_frames)
        with context.progress.stage(Stage.EMBEDDING):
            asked = ask(context, encoder.value)
            embedded = view.leave_out_members(embed_videos(context, view.listing, encoder.value))
        loaded = load_sources(context, list_frames(embedded.catalog), view.members.names)
        notes = (*encoder.notes, *asked.notes, *embedded.catalog.notes, *loaded.notes)
        return Found(encoder.value, embedded, loaded, asked, notes=notes)

    def make_thumbnails(self, context: RunContext, listing: Listing, catalog: Catalog) -> Callable[[str], bytes | None]:
        """Find a thumbnail in the local cache, or make it from the video."""
        return _show_frames(context, listing, catalog).find_thumbnail

    def write_pictures(
        self, context: RunContext, listing: Listing, catalog: Catalog, selection: Selection
    ) -> list[str]:
        """Write the frames that were chosen as images."""
        return write_frame_images(
            _show_frames(context, listing, catalog),
            context.target,
            context.run_key,
            selection=selection,
            worker=context.worker,
            progress=context.progress,
            check_cheaply=context.lease.check_cheaply,
        )

    def find_files(self, context: RunContext, names: list[str]) -> tuple[MediaPlace, list[str]]:
        """Find the images of the frames among the results."""
        folder = f"{context.run_key}data/sampled/"
        place = make_place(context.spec.datasources.lightly, context.target.url, folder)
        return place, name_copies(names, context.worker.output_image_format)


def choose_stages(medium: Medium) -> MediumStages:
    """Return what a run over the medium does with it."""
    stages: dict[Medium, MediumStages] = {IMAGES: ImageStages(), VIDEOS: VideoStages()}
    return stages[medium]


def _make_encoder(
    context: RunContext, view: DatapoolView, train: Callable[[RunContext, Listing], Noted[Encoder]]
) -> Noted[Encoder]:
    """Train an encoder, or load the one that the configuration names."""
    if context.worker.enable_training:
        return train(context, view.listing)
    encoder = load_encoder_for_run(context)
    view.check_encoder(encoder, encoder.dimensions)
    return Noted(encoder)


def _load_given(context: RunContext, listing: Listing) -> tuple[GivenEmbeddings, Embedded]:
    """Read the table of embeddings that the configuration names."""
    named = context.worker.embeddings
    key = find_table_key(named)
    path = fetch_file(
        context.target,
        key,
        context.scratch / "embeddings",
        field="spec.workerConfig.embeddings",
        given=named,
        advice=f"Put the file into {TABLES_FOLDER} of the lightly datasource, or give its path from there, beginning "
        "with .lightly/.",
    )
    with context.progress.bar("Reading embeddings", path.stat().st_size, "bytes") as bar:
        given, embedded = load_given(
            path,
            listing,
            key=key,
            url=f"{context.target.url}{key}",
            input_url=context.source.url,
            uses_scores=("", TABLE_SCORE) in context.needs.scores,
            advance=bar.advance,
        )
    path.unlink()
    for note in given.notes:
        log.info("%s", note)
    given = replace(given, record=_read_record(context, key))
    n_duplicates = count_duplicates(context, embedded.catalog)
    context.progress.count(input=embedded.catalog.n_input, duplicate=n_duplicates)
    return given, embedded


def _read_record(context: RunContext, key: str) -> EncoderRecord | None:
    """Return which encoder made the table, where that is known. A broken record only matters to who relies on it."""
    try:
        return read_record(context.target, key)
    except UnusableData:
        if asks_anything(context):
            raise
        return None


def _ask_beside(context: RunContext, given: GivenEmbeddings, embedded: Embedded) -> AskedVectors:
    if not asks_anything(context):
        return AskedVectors()
    table = given.source.removeprefix("embeddings ")
    return ask_beside_table(context, given.record, embedded.embeddings.shape[1], table)


def _show_frames(context: RunContext, listing: Listing, catalog: Catalog) -> FramePictures:
    return FramePictures(context.source, listing, catalog, context.thumbnails)
