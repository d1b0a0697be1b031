"""Loading: the detector of a checkpoint in the lightly datasource, or torchvision's own weights."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_resnet50_fpn,
)
from torchvision.ops import FrozenBatchNorm2d

from selection_api.pretagging import PRETAGGING_CATEGORIES
from selection_job.detector.detector import LABELS, Detector, is_sound
from selection_job.encoder.checkpoints import is_plain_tensor, load_plainly, unwrap_key
from selection_job.encoder.zoo import Zoo, ZooUnavailable
from selection_job.errors import UnusableData

TORCHVISIONS: Any = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
"""The weights that are taken where no checkpoint is named."""

_HEAD = "roi_heads.box_predictor.cls_score.weight"
_RESNET = "backbone.body.conv1.weight"
_COUNTER = "num_batches_tracked"
_FIELD = "spec.workerConfig.pretagging_config.checkpoint"
_EXPECTED = (
    "Expected the state_dict of torchvision's fasterrcnn_resnet50_fpn or fasterrcnn_mobilenet_v3_large_320_fpn, with "
    f"91 classes (COCO) or with 8: background, {', '.join(PRETAGGING_CATEGORIES)}."
)


def load_detector(
    checkpoint: Path | None,
    *,
    key: str = "",
    shortest_px: int | None = None,
    zoo: Zoo | None = None,
    url: str = TORCHVISIONS.url,
) -> Detector:
    """Return the detector of a checkpoint file, or torchvision's Faster R-CNN ResNet-50 trained on COCO.

    key          how the user knows the checkpoint: its path in the lightly datasource
    shortest_px  of pictures, instead of the network's own 800 or 320; the longest edge changes with it
    url          of torchvision's weights, which the zoo's folder keeps
    Raises UnusableData where the file can't be used, or where torchvision's weights can't be fetched;
    StorageUnavailable where that may pass.
    """
    if checkpoint is not None:
        return _make_detector(_read_weights(checkpoint, key), f"checkpoint {key}", shortest_px)
    zoo = zoo or Zoo()
    try:
        path = zoo.fetch_url(url)
    except ZooUnavailable as error:
        raise error.explain(_name_ways(str(error), url.rpartition("/")[2], zoo.folder)) from error
    return _make_detector(_read_weights(path, url), f"torchvision {TORCHVISIONS}", shortest_px)


def _name_ways(why: str, file_name: str, cache: Path) -> str:
    return (
        f"spec.workerConfig.pretagging needs the weights of a detector, and {why}. Ways that remain: put the file "
        f"{file_name} or a checkpoint of your own into the lightly datasource and name it in {_FIELD}; "
        f"put that file into torch's hub cache, {cache}; or set pretagging to false. {_EXPECTED}"
    )


def _read_weights(path: Path, name: str) -> dict[str, Tensor]:
    content = load_plainly(path, name)
    for wrapper in ("model", "state_dict"):  # torchvision's training script and Lightning wrap the weights
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if isinstance(content, dict):
        content = {unwrap_key(key) if isinstance(key, str) else key: value for key, value in content.items()}
    if not isinstance(content, dict) or not is_plain_tensor(content.get(_HEAD)):
        raise UnusableData(
            f"Checkpoint {name!r} is not that of a Faster R-CNN: it has no tensor {_HEAD!r}. {_EXPECTED}"
        )
    for key, value in content.items():
        if not isinstance(key, str) or not is_plain_tensor(value):
            raise UnusableData(
                f"Checkpoint {name!r}: {str(key)[:100]!r} is a {type(value).__name__}, expected a dense tensor."
            )
    return content


def _make_detector(weights: Mapping[str, Tensor], source: str, shortest_px: int | None) -> Detector:
    n_classes = len(weights[_HEAD]) if weights[_HEAD].ndim == 2 else 0
    if n_classes not in LABELS:
        raise UnusableData(f"The detector of {source} has {n_classes} classes. {_EXPECTED}")
    model = _build(weights, n_classes)
    _fill(model, {key: value for key, value in weights.items() if not key.endswith(_COUNTER)}, source)
    transform: Any = model.transform
    own_px, longest_px = int(transform.min_size[0]), int(transform.max_size)
    shortest_px = shortest_px or own_px
    return Detector(
        model=model,
        labels=tuple(LABELS[n_classes][name] for name in PRETAGGING_CATEGORIES),
        shortest_px=shortest_px,
        longest_px=round(shortest_px * longest_px / own_px),
        fingerprint=_fingerprint(model),
        source=source,
    )


def _build(weights: Mapping[str, Tensor], n_classes: int) -> nn.Module:
    """Return the network that the keys belong to, its norms frozen and its weights still random."""
    build = fasterrcnn_resnet50_fpn if _RESNET in weights else fasterrcnn_mobilenet_v3_large_320_fpn
    model: nn.Module = build(weights=None, weights_backbone=None, num_classes=n_classes)
    # torchvision computes with eps 0 where it loads its weights of this network, as these were trained
    is_torchvisions = _RESNET in weights and n_classes == 91 and not any(key.endswith(_COUNTER) for key in weights)
    _freeze_norms(model, 0.0 if is_torchvisions else 1e-5)
    return model.eval().requires_grad_(False)


def _freeze_norms(module: nn.Module, eps: float) -> None:
    """Put FrozenBatchNorm2d in place of batch norms, as torchvision does for trained weights."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps=eps))
        else:
            _freeze_norms(child, eps)


def _fill(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        first = f"{wrong[0][:100]!r} is {found.get(wrong[0], 'missing')}, expected {expected.get(wrong[0], 'nothing')}"
        raise UnusableData(f"The detector of {source} is another network: {first}, {len(wrong)} differ. {_EXPECTED}")
    model.load_state_dict(dict(weights))
    is_finite = all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())
    if not is_finite or not is_sound(model):
        raise UnusableData(f"The detector of {source} does not compute finite numbers: its training diverged.")


def _fingerprint(model: nn.Module) -> str:
    eps = sorted({float(part.eps) for part in model.modules() if isinstance(part, FrozenBatchNorm2d)})
    digest = sha256(f"faster r-cnn {eps}".encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"\0{key} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
