"""Detector: a Faster R-CNN ready to find road users, with where its weights come from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from selection_api.legacy_selection import PRETAGGING_TASK
from selection_api.pretagging import PRETAGGING_CATEGORIES
from selection_job.predictions.task_predictions import Category

TASK = PRETAGGING_TASK

CATEGORIES = tuple(Category(number, name) for number, name in enumerate(PRETAGGING_CATEGORIES))
"""What is found; ids count from 0."""

COCO_LABELS = {"bicycle": 2, "bus": 6, "car": 3, "motorcycle": 4, "person": 1, "train": 7, "truck": 8}
"""Labels of torchvision's weights, which know 90 classes of COCO; the other classes are left out."""

OWN_LABELS = {name: number for number, name in enumerate(PRETAGGING_CATEGORIES, start=1)}
"""Labels of a network of 8 classes; 0 is the background."""

LABELS: Mapping[int, Mapping[str, int]] = {91: COCO_LABELS, len(PRETAGGING_CATEGORIES) + 1: OWN_LABELS}
"""By the number of classes of the network, background included."""


@dataclass(frozen=True)
class Detector:
    """Two detectors with one fingerprint and one size find the same objects."""

    model: nn.Module
    """torchvision's FasterRCNN on the CPU, in eval mode."""
    labels: tuple[int, ...]
    """The network's label of each of CATEGORIES."""
    shortest_px: int
    longest_px: int
    """Pictures are resized so that the shorter edge is shortest_px, but the longer one at most longest_px."""
    fingerprint: str
    """64 hex digits of the weights."""
    source: str
    """'checkpoint <key>' or 'torchvision <name of the weights>'."""

    def fit(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Return width and height that the network wants a picture in, the aspect kept."""
        short, long = sorted((width_px, height_px))
        scale = min(self.shortest_px / short, self.longest_px / long)
        return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def is_sound(model: nn.Module) -> bool:
    """Say whether the network makes finite numbers of a grey picture, in each of its parts."""
    parts: dict[str, nn.Module] = dict(model.named_modules())
    with torch.inference_mode():
        features = parts["backbone"](torch.zeros(1, 3, 64, 64))
        objectness, deltas = parts["rpn.head"](list(features.values()))
        channels = next(iter(features.values())).shape[1]
        classes, boxes = parts["roi_heads.box_predictor"](parts["roi_heads.box_head"](torch.zeros(1, channels, 7, 7)))
    numbers: list[Tensor] = [*features.values(), *objectness, *deltas, classes, boxes]
    return all(bool(torch.isfinite(each).all()) for each in numbers)
