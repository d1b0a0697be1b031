"""The embedding stage: each image is read once; that pass checks, hashes and embeds it and cuts out its objects."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.catalog_file import load_catalog, save_catalog
from selection_job.catalog.crop_columns import Crops, load_crops, save_crops
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.half_match import load_match, save_match
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.precision import choose_format
from selection_job.errors import UnusableData
from selection_job.objects.crop_embedder import CropEmbedder
from selection_job.objects.object_boxes import ObjectBoxes
from selection_job.process.progress import Bar
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.half_sample import HalfSample
from selection_job.reading.images import READER, ReadImage, make_read_options, read_images
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import KeptStage, make_fingerprint
from selection_job.stages.half_matching import match_halves

log = logging.getLogger("selection_job")

_MATCH = "halves.json"


def check_images(context: RunContext, listing: Listing) -> Catalog:
    """Read every image once and find the ones that training can use. Only needed before training."""
    check_corruptness = context.worker.enable_corruptness_check
    fingerprint = make_fingerprint(listing=listing.fingerprint, check=check_corruptness, reader=READER)

    def check(folder: Path) -> None:
        builder = CatalogBuilder()
        images = read_images(
            context.source,
            listing.names,
            options=make_read_options(context.worker, None),
            sizes_bytes=listing.sizes_bytes,
        )
        with context.progress.bar("Checking images", len(listing.names)) as bar:
            for image in images:
                _note_image(context, image, builder)
                bar.advance()
        save_catalog(builder.build(), folder)

    catalog = context.stages.reuse_or_make(KeptStage("checking", fingerprint, check, load_catalog)).value
    return check_usable(context, catalog)


def embed_images(
    context: RunContext, listing: Listing, encoder: Encoder, boxes: Sequence[ObjectBoxes] = ()
) -> Embedded:
    """Read, check, hash and embed every image and its objects in one pass, so that each object is read once.

    boxes  aligned with listing.names
    Raises UnusableData when every image is corrupt.
    """
    cut = [_fingerprint_boxes(task) for task in boxes]
    fingerprint = fingerprint_embedding(context, listing, encoder, boxes=cut, reader=READER)

    def embed(folder: Path) -> None:
        with context.progress.bar("Reading and embedding", len(listing.names)) as bar:
            embed_into(folder, context, encoder, _ImageReading(context, listing, encoder, boxes), bar)

    stage = KeptStage("embedding", fingerprint, embed, lambda folder: load_embedded(folder, len(boxes)))
    embedded = context.stages.reuse_or_make(stage).value
    for note in check_usable(context, embedded.catalog).notes:
        log.info("%s", note)
    return embedded


def fingerprint_embedding(context: RunContext, listing: Listing, encoder: Encoder, **more: object) -> str:
    """Return 16 hex digits for all that decides over the stage's result; `more` is what only some media have."""
    config = context.spec.lightly_config
    return make_fingerprint(
        listing=listing.fingerprint,
        encoder=encoder.fingerprint,
        input_size=encoder.preprocessing.size_px,
        batch_size=config.loader.batch_size,
        arithmetic=str(choose_format(context.device, config.trainer.precision)),
        device=context.device.type,
        decoder=context.worker.decoder,
        check=context.worker.enable_corruptness_check,
        measures=context.needs.measures,
        **more,
    )


def _fingerprint_boxes(boxes: ObjectBoxes) -> str:
    head = (boxes.task, boxes.is_relative, boxes.is_stored, boxes.padding, boxes.categories)
    digest = sha256(repr(head).encode("utf-8", "surrogatepass"))
    for column in (boxes.starts, boxes.corners, boxes.numbers, boxes.category_index, boxes.scores):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


class Reading(Protocol):
    """One pass over the input: catalog, crops and halves grow while the pixels are taken."""

    halves: HalfSample

    def pixels(self, bar: Bar) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the usable images, and count what else is done with."""

    def advance(self, bar: Bar, n: int) -> None:
        """Count n embedded images."""

    def catalog(self) -> Catalog:
        """Return what was read."""

    def crops(self) -> Iterable[Crops]:
        """Return the embedded objects of each task."""


def embed_into(folder: Path, context: RunContext, encoder: Encoder, reading: Reading, bar: Bar) -> None:
    """Embed what is read, and write catalog, embeddings, crops and whether halves match into the folder.

    Rows go into a file as they come: nobody knows how many frames videos have before they are through.
    """
    config = context.spec.lightly_config
    rows_file = folder / "rows.f32"
    with rows_file.open("wb") as file:
        for rows in embed_pixels(
            encoder,
            cut_batches(reading.pixels(bar), config.loader.batch_size),
            device=context.device,
            precision=config.trainer.precision,
        ):
            file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
            reading.advance(bar, len(rows))
    save_catalog(reading.catalog(), folder)
    np.save(folder / "embeddings.npy", _map_rows(rows_file, encoder.dimensions))
    rows_file.unlink()
    for number, crops in enumerate(reading.crops()):
        save_crops(crops, folder / f"crops-{number}.npz")
    save_match(match_halves(context, encoder, reading.halves), folder / _MATCH)


def _map_rows(path: Path, dimensions: int) -> NDArray[np.float32]:
    if not path.stat().st_size:
        return np.empty((0, dimensions), dtype=np.float32)
    return np.memmap(path, dtype=np.float32, mode="r").reshape(-1, dimensions)


class _ImageReading:
    """One pass over images."""

    def __init__(self, context: RunContext, listing: Listing, encoder: Encoder, boxes: Sequence[ObjectBoxes]) -> None:
        config = context.spec.lightly_config
        measures = context.needs.measures
        self._builder = CatalogBuilder(measures)
        self._crops = CropEmbedder(
            encoder,
            boxes,
            batch_size=config.loader.batch_size,
            device=context.device,
            precision=config.trainer.precision,
        )
        self._context = context
        self.halves = HalfSample(len(listing.names))
        options = make_read_options(context.worker, encoder.preprocessing)
        self._images = read_images(
            context.source,
            listing.names,
            options=replace(options, measures=measures, wants_halves=self.halves.may_take),
            sizes_bytes=listing.sizes_bytes,
            boxes=boxes,
        )

    def pixels(self, bar: Bar) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the usable images. The others are done with; these only once they are embedded."""
        n_usable = 0
        for row, image in enumerate(self._images):
            _note_image(self._context, image, self._builder)
            if image.encoder_pixels is None:
                bar.advance()
            else:
                self._crops.add(row, n_usable, image.crop_pixels)
                self.halves.add(image.sha256, image.halves)
                n_usable += 1
                yield image.encoder_pixels

    def advance(self, bar: Bar, n: int) -> None:
        """Count n embedded images."""
        bar.advance(n)

    def catalog(self) -> Catalog:
        """Return what was read."""
        return self._builder.build()

    def crops(self) -> Iterable[Crops]:
        """Return the embedded objects of each task."""
        return self._crops.finish()


def load_embedded(folder: Path, n_tasks: int = 0) -> Embedded:
    """Read what embed_into wrote. Raises ValueError where it is something else."""
    catalog = load_catalog(folder)
    embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(catalog.names):
        raise ValueError(f"{embeddings.shape} {embeddings.dtype} embeddings for {len(catalog.names)} images")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings that are not finite")
    n, d = embeddings.shape
    crops = (load_crops(folder / f"crops-{number}.npz", n_images=n, dimensions=d) for number in range(n_tasks))
    return Embedded(catalog, embeddings, tuple(crops), load_match(folder / _MATCH))


def _note_image(context: RunContext, image: ReadImage, builder: CatalogBuilder) -> None:
    builder.add(image)
    if image.thumbnail is not None:
        context.thumbnails.put(image.name, image.thumbnail)


def cut_batches(pixels: Iterable[NDArray[np.uint8]], batch_size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels in batches of this size, the last one as it is."""
    batch: list[NDArray[np.uint8]] = []
    for image in pixels:
        batch.append(image)
        if len(batch) == batch_size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def check_usable(context: RunContext, catalog: Catalog) -> Catalog:
    """Return the catalog, and note its counts. Raises UnusableData when every image is corrupt."""
    context.progress.count(corrupt=len(catalog.corrupt), duplicate=count_duplicates(context, catalog))
    if catalog.names:
        return catalog
    medium = catalog.medium
    noun, corrupt = (medium.noun, catalog.corrupt) if catalog.corrupt else (medium.file_noun, catalog.corrupt_files)
    name, reason = next(iter(corrupt.items()))
    n = len(corrupt)
    told = f"All {n} {noun.plural} are corrupt; the first is" if n > 1 else f"The only {noun.singular} is corrupt:"
    raise UnusableData(
        f"{told} {name!r} ({reason}). Check that spec.datasources.input points at the {medium.file_noun.plural} "
        "themselves."
    )


def count_duplicates(context: RunContext, catalog: Catalog) -> int:
    """Return how many images are left out as exact copies, where that is known before the selection."""
    is_known = context.worker.remove_exact_duplicates and context.worker.selected_sequence_length == 1
    return int(catalog.is_duplicate.sum()) if is_known else 0
