"""The embedding stage: each image is read once; that pass checks, hashes and embeds it and cuts out its objects."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.checking import CatalogBuilder, load_catalog, save_catalog
from selection_job.catalog.reading import ReadImage, read_images
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.precision import choose_format
from selection_job.errors import UnusableData
from selection_job.needs import list_measures
from selection_job.objects.crop_embedder import CropEmbedder
from selection_job.objects.crops import Crops, load_crops, save_crops
from selection_job.objects.object_boxes import ObjectBoxes
from selection_job.progress import Bar
from selection_job.stages import make_fingerprint
from selection_job.workplace import Workplace


@dataclass(frozen=True)
class Embedded:
    """What the stage found: the readable images, their embeddings, and the crops of each task."""

    catalog: Catalog
    embeddings: NDArray[np.float32]  # (n, d) aligned with catalog.names
    crops: tuple[Crops, ...] = ()


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


def embed_images(place: Workplace, listing: Listing, encoder: Encoder, boxes: Sequence[ObjectBoxes] = ()) -> Embedded:
    """Read, check, hash and embed every image and its objects in one pass, so that each object is read once.

    boxes  aligned with listing.names
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
        boxes=[_fingerprint_boxes(task) for task in boxes],
        measures=list_measures(place.spec),
    )
    embedded = place.stages.reuse_or_make(
        "embedding",
        fingerprint,
        lambda folder: _embed_into(folder, place, listing, encoder, boxes),
        lambda folder: _load_embedded(folder, len(boxes)),
    )
    _usable(place, embedded.catalog)
    return embedded


def _fingerprint_boxes(boxes: ObjectBoxes) -> str:
    digest = sha256(repr((boxes.task, boxes.is_relative, boxes.categories)).encode("utf-8", "surrogatepass"))
    for column in (boxes.starts, boxes.corners, boxes.numbers, boxes.category_index, boxes.scores):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _embed_into(
    folder: Path, place: Workplace, listing: Listing, encoder: Encoder, boxes: Sequence[ObjectBoxes]
) -> None:
    config = place.spec.lightly_config
    reading = _Reading(place, listing, encoder, boxes)
    embeddings = np.empty((len(listing.names), encoder.dimensions), dtype=np.float32)
    filled = 0
    with place.progress.bar("Reading and embedding", len(listing.names)) as bar:
        for rows in embed_pixels(
            encoder,
            _batches(reading.pixels(bar), config.loader.batch_size),
            device=place.device,
            precision=config.trainer.precision,
        ):
            embeddings[filled : filled + len(rows)] = rows
            filled += len(rows)
            bar.advance(len(rows))
    save_catalog(reading.builder.build(), folder)
    np.save(folder / "embeddings.npy", embeddings[:filled])
    for number, crops in enumerate(reading.crops.finish()):
        save_crops(crops, folder / f"crops-{number}.npz")


class _Reading:
    """One pass over the images: the catalog and the crops grow while the pixels are taken."""

    def __init__(self, place: Workplace, listing: Listing, encoder: Encoder, boxes: Sequence[ObjectBoxes]) -> None:
        config = place.spec.lightly_config
        measures = list_measures(place.spec)
        self.builder = CatalogBuilder(measures)
        self.crops = CropEmbedder(
            encoder,
            boxes,
            batch_size=config.loader.batch_size,
            device=place.device,
            precision=config.trainer.precision,
        )
        self._place = place
        self._images = read_images(
            place.source,
            listing.names,
            options=replace(place.read_options(encoder.input_size_px), measures=measures),
            sizes_bytes=listing.sizes_bytes,
            boxes=boxes,
        )

    def pixels(self, bar: Bar) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the usable images. The others are done with; these only once they are embedded."""
        n_usable = 0
        for row, image in enumerate(self._images):
            _note_image(self._place, image, self.builder)
            if image.pixels is None:
                bar.advance()
            else:
                self.crops.add(row, n_usable, image.cuttings)
                n_usable += 1
                yield image.pixels


def _load_embedded(folder: Path, n_tasks: int) -> Embedded:
    """Read what _embed_into wrote. Raises ValueError where it is something else."""
    catalog = load_catalog(folder)
    embeddings = np.load(folder / "embeddings.npy", allow_pickle=False)
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(catalog.names):
        raise ValueError(f"{embeddings.shape} {embeddings.dtype} embeddings for {len(catalog.names)} images")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings that are not finite")
    n, d = embeddings.shape
    crops = (load_crops(folder / f"crops-{number}.npz", n_images=n, dimensions=d) for number in range(n_tasks))
    return Embedded(catalog, embeddings, tuple(crops))


def _note_image(place: Workplace, image: ReadImage, builder: CatalogBuilder) -> None:
    builder.add(image)
    if image.thumbnail is not None:
        place.thumbnails.put(image.name, image.thumbnail)


def _batches(pixels: Iterable[NDArray[np.uint8]], batch_size: int) -> Iterator[NDArray[np.uint8]]:
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
