"""Detecting: pictures in, boxes out. What torchvision's own forward finds, and the probabilities that it drops."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from selection_job.detector.detector import Detector

_GPU_BATCH_PIXELS = 4 * 800 * 1333
"""A batch on a GPU: 4 pictures as large as the ResNet-50 takes them. A CPU gains nothing from more than one picture."""
_GPU_BATCH = 32
_LEAST_EDGE_PX = 1e-2  # as torchvision


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects of one picture, the surest first."""

    boxes: NDArray[np.float32]  # (k, 4) x, y, w, h as shares of the picture
    category_index: NDArray[np.int32]  # (k,) index into CATEGORIES
    scores: NDArray[np.float32]  # (k,) 0..1
    probabilities: NDArray[np.float32]  # (k, c) of CATEGORIES, given that it is one of them: rows add up to 1


def detect_objects(
    detector: Detector, pictures: Iterable[NDArray[np.uint8]], *, device: torch.device, min_score: float
) -> Iterator[Detections]:
    """Yield the objects of each picture (h, w, 3) uint8 RGB, in order; pictures come in the size of Detector.fit.

    Only pictures of one size are computed together: padding would change what is found near their edges.
    """
    model = detector.model.to(device)
    for batch in _batches(pictures, device):
        with _exact_convolutions(), torch.inference_mode():
            pixels = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float() / 255
            found = [_choose(detector, model, *each, min_score) for each in _propose(model, pixels)]
        height_px, width_px = batch.shape[1:3]
        for boxes, index, scores, probabilities in found:
            yield Detections(
                boxes=_as_shares(boxes.cpu().numpy(), width_px, height_px),
                category_index=index.cpu().numpy().astype(np.int32),
                scores=scores.cpu().numpy(),
                probabilities=probabilities.cpu().numpy(),
            )


def _exact_convolutions() -> AbstractContextManager[None]:
    """Compute with the same bits each time.

    Not by torch.use_deterministic_algorithms: on a GPU it makes torchvision compile a RoI align of its own, for the
    sake of training, and a container has no compiler. What runs here is deterministic without.
    """
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def _batches(pictures: Iterable[NDArray[np.uint8]], device: torch.device) -> Iterator[NDArray[np.uint8]]:
    for shape, alike in groupby(pictures, key=lambda picture: picture.shape):
        size = 1 if device.type == "cpu" else min(_GPU_BATCH, max(1, _GPU_BATCH_PIXELS // (shape[0] * shape[1])))
        batch: list[NDArray[np.uint8]] = []
        for picture in alike:
            batch.append(picture)
            if len(batch) == size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)


def _propose(model: Any, pixels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return for each picture (m, classes, 4) corners in pixels and (m, classes) probabilities of its m proposals."""
    transform, heads = model.transform, model.roi_heads
    sizes = [tuple(pixels.shape[2:])] * len(pixels)
    images = ImageList(transform.batch_images([transform.normalize(each) for each in pixels]), sizes)
    features = model.backbone(images.tensors)
    proposals, _ = model.rpn(images, features)
    logits, deltas = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, proposals, sizes)))
    counts = [len(each) for each in proposals]
    corners = heads.box_coder.decode(deltas, proposals).reshape(len(logits), logits.shape[1], 4)  # also of no proposal
    boxes = clip_boxes_to_image(corners, sizes[0])
    shares = torch.softmax(logits, -1)
    return list(zip(torch.split(boxes, counts), torch.split(shares, counts), strict=True))


def _choose(
    detector: Detector, model: Any, boxes: Tensor, probabilities: Tensor, min_score: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return boxes, categories, scores and probabilities of the objects, as torchvision chooses them.

    Other classes and doubtful objects are dropped first: they suppress none of what stays.
    """
    labels = torch.tensor(detector.labels, device=boxes.device)
    shares = probabilities[:, labels]
    heads = model.roi_heads
    proposal, index = torch.nonzero((shares > heads.score_thresh) & (shares >= min_score), as_tuple=True)
    corners, scores = boxes[proposal, labels[index]], shares[proposal, index]
    kept = remove_small_boxes(corners, min_size=_LEAST_EDGE_PX)
    kept = kept[batched_nms(corners[kept], scores[kept], index[kept], heads.nms_thresh)][: heads.detections_per_img]
    of_proposal = shares[proposal[kept]]
    return corners[kept], index[kept], scores[kept], of_proposal / of_proposal.sum(dim=1, keepdim=True)


def _as_shares(corners: NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float32]:
    shares = corners / np.array([width_px, height_px] * 2, dtype=np.float32)
    return np.concatenate([shares[:, :2], shares[:, 2:] - shares[:, :2]], axis=1, dtype=np.float32)
