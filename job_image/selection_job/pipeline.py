"""The pipeline, top to bottom: list, (train or load), read and embed, select, report."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_api import RunSummary, Stage
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.checking import CatalogBuilder, load_catalog, save_catalog
from selection_job.catalog.listing import list_images
from selection_job.catalog.reading import ReadImage, read_images
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.precision import choose_format
from selection_job.encoder_stage import load_stage, train_stage
from selection_job.errors import UnusableData
from selection_job.progress import Bar
from selection_job.results.findings import Findings, count_images
from selection_job.results.publishing import find_finished, write_results
from selection_job.selection.selecting import select_images
from selection_job.stages import make_fingerprint
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
    if place.worker.enable_training:
        with place.progress.stage(Stage.CHECKING_CORRUPTNESS):
            checked = check_images(place, listing)
        with place.progress.stage(Stage.TRAINING):
            encoder = train_stage(place, listing, checked)
    else:
        encoder = load_stage(place)
    with place.progress.stage(Stage.EMBEDDING):
        catalog, embeddings = embed_images(place, listing, encoder)
    with place.progress.stage(Stage.SAMPLING):
        selection = select_images(catalog, embeddings, place.spec)
        place.progress.counts = count_images(catalog, selection)
    return write_results(place, Findings(listing, catalog, encoder, embeddings, selection))


def check_images(place: Workplace, listing: Listing) -> Catalog:
    """Read every image once and find the ones that training can use. Only needed before training."""
    fingerprint = make_fingerprint(listing=listing.fingerprint, check=place.worker.enable_corruptness_check)

    def check(folder: Path) -> None:
        builder = CatalogBuilder()
        images = read_images(
            place.source, listing.names, options=place.read_options(None), sizes_bytes=listing.sizes_bytes
        )
        with place.progress.bar("Checking images", len(listing.names)) as bar:
            for image in images:
                _note_image(place, image, builder)
                bar.advance()
        save_catalog(builder.build(), folder)

    return _usable(place, place.stages.reuse_or_make("checking", fingerprint, check, load_catalog))


def embed_images(place: Workplace, listing: Listing, encoder: Encoder) -> tuple[Catalog, NDArray[np.float32]]:
    """Read, check, hash and embed every image in one pass, so that each object is read once.

    Returns the catalog and (n, d) float32 embeddings aligned with catalog.names.
    Raises UnusableData when every image is corrupt.
    """
    config = place.spec.lightly_config
    fingerprint = make_fingerprint(
        listing=listing.fingerprint,
        encoder=encoder.fingerprint,
        input_size=encoder.input_size_px,
        batch_size=config.loader.batch_size,
        arithmetic=str(choose_format(place.device, config.trainer.precision)),
        device=place.device.type,
        decoder=place.worker.decoder,
        check=place.worker.enable_corruptness_check,
    )
    catalog, embeddings = place.stages.reuse_or_make(
        "embedding", fingerprint, lambda folder: _embed_into(folder, place, listing, encoder), _load_embedded
    )
    return _usable(place, catalog), embeddings


def _embed_into(folder: Path, place: Workplace, listing: Listing, encoder: Encoder) -> None:
    config = place.spec.lightly_config
    builder = CatalogBuilder()
    embeddings = np.empty((len(listing.names), encoder.dimensions), dtype=np.float32)
    filled = 0
    images = read_images(
        place.source,
        listing.names,
        options=place.read_options(encoder.input_size_px),
        sizes_bytes=listing.sizes_bytes,
    )
    with place.progress.bar("Reading and embedding", len(listing.names)) as bar:
        pixels = _readable_pixels(place, images, builder, bar)
        for rows in embed_pixels(
            encoder,
            _batches(pixels, config.loader.batch_size),
            device=place.device,
            precision=config.trainer.precision,
        ):
            embeddings[filled : filled + len(rows)] = rows
            filled += len(rows)
            bar.advance(len(rows))
    save_catalog(builder.build(), folder)
    np.save(folder / "embeddings.npy", embeddings[:filled])


def _load_embedded(folder: Path) -> tuple[Catalog, NDArray[np.float32]]:
    """Read what _embed_into wrote. Raises ValueError where it is something else."""
    catalog = load_catalog(folder)
    embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(catalog.names):
        raise ValueError(f"{embeddings.shape} {embeddings.dtype} embeddings for {len(catalog.names)} images")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings that are not finite")
    return catalog, embeddings


def _readable_pixels(
    place: Workplace, images: Iterable[ReadImage], builder: CatalogBuilder, bar: Bar
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of the usable images. The others are done with; these only once they are embedded."""
    for image in images:
        _note_image(place, image, builder)
        if image.pixels is None:
            bar.advance()
        else:
            yield image.pixels


def _note_image(place: Workplace, image: ReadImage, builder: CatalogBuilder) -> None:
    builder.add(image)
    if image.thumbnail is not None:
        place.thumbnails.put(image.name, image.thumbnail)


def _batches(pixels: Iterator[NDArray[np.uint8]], batch_size: int) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for image in pixels:
        batch.append(image)
        if len(batch) == batch_size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _usable(place: Workplace, catalog: Catalog) -> Catalog:
    """Return the catalog, and note its counts. Raises UnusableData when every image is corrupt."""
    n_duplicates = int(catalog.is_duplicate.sum()) if place.worker.remove_exact_duplicates else 0
    place.progress.count(corrupt=len(catalog.corrupt), duplicate=n_duplicates)
    if catalog.names:
        return catalog
    name, reason = next(iter(catalog.corrupt.items()))
    raise UnusableData(
        f"All {len(catalog.corrupt)} images are corrupt; the first is {name!r} ({reason}). "
        "Check that spec.datasources.input points at the images themselves."
    )
