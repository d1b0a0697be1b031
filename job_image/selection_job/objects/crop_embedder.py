"""CropEmbedder: embeds the objects of images as these are read, in batches of their own."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.objects.crops import Crops
from selection_job.objects.cutting import Cuttings
from selection_job.objects.object_boxes import ObjectBoxes


@dataclass
class _Collected:
    """What was seen of one task."""

    owners: list[NDArray[np.int64]] = field(default_factory=list)
    places: list[NDArray[np.int64]] = field(default_factory=list)  # rows of the ObjectBoxes
    boxes_px: list[NDArray[np.int32]] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)


class CropEmbedder:
    """Takes the cuttings of one image after the other; full batches are embedded at once, so memory stays flat."""

    def __init__(
        self,
        encoder: Encoder,
        boxes: Sequence[ObjectBoxes],
        *,
        batch_size: int,
        device: torch.device,
        precision: int,
    ) -> None:
        self._boxes = boxes
        self._batch_size = batch_size
        self._dimensions = encoder.dimensions
        self._collected = [_Collected() for _ in boxes]
        self._waiting: deque[tuple[int, NDArray[np.uint8]]] = deque()  # task, pixels (j, s, s, 3)
        self._n_waiting = 0
        self._batch: NDArray[np.uint8] | None = None
        self._embedded = embed_pixels(encoder, self._batches(), device=device, precision=precision)

    def add(self, listing_row: int, catalog_row: int, cuttings: Sequence[Cuttings]) -> None:
        """Take one image's cuttings, one for each ObjectBoxes. Raises UnusableData where embeddings are not finite."""
        for task, (boxes, cut) in enumerate(zip(self._boxes, cuttings, strict=True)):
            collected = self._collected[task]
            collected.owners.append(np.full(len(cut.places), catalog_row, dtype=np.int64))
            collected.places.append(cut.places + boxes.starts[listing_row])
            collected.boxes_px.append(cut.boxes_px)
            if len(cut.pixels):
                self._waiting.append((task, cut.pixels))
                self._n_waiting += len(cut.pixels)
        while self._n_waiting >= self._batch_size:
            self._embed(self._batch_size)

    def finish(self) -> list[Crops]:
        """Embed what is left and return the crops of each task."""
        if self._n_waiting:
            self._embed(self._n_waiting)
        return [self._gather(*pair) for pair in zip(self._boxes, self._collected, strict=True)]

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
            self._collected[task].vectors.append(rows[start : start + length])
            start += length

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        while self._batch is not None:
            yield self._batch

    def _gather(self, boxes: ObjectBoxes, collected: _Collected) -> Crops:
        places = _join(collected.places, (0,), np.int64)
        return Crops(
            task=boxes.task,
            categories=boxes.categories,
            owners=_join(collected.owners, (0,), np.int64),
            numbers=boxes.numbers[places],
            boxes_px=_join(collected.boxes_px, (0, 4), np.int32),
            category_index=boxes.category_index[places],
            scores=boxes.scores[places],
            vectors=_join(collected.vectors, (0, self._dimensions), np.float32),
        )


def _join(parts: Sequence[NDArray[Any]], empty: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(empty, dtype=dtype)
