"""CropEmbedder: embeds the objects of images as these are read, in batches of their own."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from selection_job.catalog.crop_columns import Crops
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.images.crop_pixels import CropPixels
from selection_job.objects.object_boxes import ObjectBoxes


class _Collected:
    """What was seen of one task: arrays for all of its boxes, which take memory only as far as they are filled."""

    def __init__(self, boxes: ObjectBoxes, dimensions: int) -> None:
        m = len(boxes.numbers)
        self._boxes = boxes
        self._image_rows = np.empty(m, dtype=np.int64)
        self._places = np.empty(m, dtype=np.int64)  # rows of the ObjectBoxes
        self._boxes_px = np.empty((m, 4), dtype=np.int32)
        self._vectors = np.empty((m, dimensions), dtype=np.float32)
        self._n_seen = self._n_embedded = 0

    def add(self, listing_row: int, catalog_row: int, cut: CropPixels) -> None:
        """Note the objects of one image."""
        block = slice(self._n_seen, self._n_seen + len(cut.places))
        self._image_rows[block] = catalog_row
        self._places[block] = cut.places + self._boxes.starts[listing_row]
        self._boxes_px[block] = cut.boxes_px
        self._n_seen = block.stop

    def add_vectors(self, rows: NDArray[np.float32]) -> None:
        """Note the embeddings of the next objects."""
        self._vectors[self._n_embedded : self._n_embedded + len(rows)] = rows
        self._n_embedded += len(rows)

    def gather(self) -> Crops:
        """Return the objects that were seen and embedded."""
        m, boxes = self._n_seen, self._boxes
        places = self._places[:m]
        return Crops(
            task=boxes.task,
            categories=boxes.categories,
            image_rows=self._image_rows[:m],
            index_in_image=boxes.numbers[places],
            boxes_px=self._boxes_px[:m],
            category_index=boxes.category_index[places],
            scores=boxes.scores[places],
            vectors=self._vectors[:m],
        )


class CropEmbedder:
    """Takes the objects of one image after the other; full batches are embedded at once, so memory stays flat."""

    def __init__(
        self,
        encoder: Encoder,
        boxes: Sequence[ObjectBoxes],
        *,
        batch_size: int,
        device: torch.device,
        precision: int,
    ) -> None:
        self._batch_size = batch_size
        self._collected = [_Collected(task, encoder.dimensions) for task in boxes]
        self._waiting: deque[tuple[int, NDArray[np.uint8]]] = deque()  # task, pixels (j, s, s, 3)
        self._n_waiting = 0
        self._batch: NDArray[np.uint8] | None = None
        self._embedded = embed_pixels(encoder, self._batches(), device=device, precision=precision)

    def add(self, listing_row: int, catalog_row: int, crop_pixels: Sequence[CropPixels]) -> None:
        """Take one image's objects, of each ObjectBoxes. Raises UnusableData where embeddings are not finite."""
        for task, (collected, cut) in enumerate(zip(self._collected, crop_pixels, strict=True)):
            collected.add(listing_row, catalog_row, cut)
            if len(cut.pixels):
                self._waiting.append((task, cut.pixels))
                self._n_waiting += len(cut.pixels)
        while self._n_waiting >= self._batch_size:
            self._embed(self._batch_size)

    def finish(self) -> list[Crops]:
        """Embed what is left and return the crops of each task."""
        if self._n_waiting:
            self._embed(self._n_waiting)
        return [collected.gather() for collected in self._collected]

    def _embed(self, n: int) -> None:
        tasks, parts, taken = [], [], 0
        while taken < n:
            task, pixels = self._waiting.popleft()
            part, rest = pixels[: n - taken], pixels[n - taken :]
            if len(rest):
                self._waiting.appendleft((task, rest))
            tasks.append((task, len(part)))
            parts.append(part)
            taken += len(part)
        self._n_waiting -= n
        self._batch = np.concatenate(parts)
        rows, start = next(self._embedded), 0
        for task, length in tasks:
            self._collected[task].add_vectors(rows[start : start + length])
            start += length

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        while self._batch is not None:
            yield self._batch
