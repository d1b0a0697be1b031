"""Inference network: the backbone rewritten for speed, with the same output but for float32 rounding.

Batch norm after a convolution becomes part of it. The one on the input can't: the first convolution pads with zeros
after it. Together with the scaling of pixels it becomes one multiplication and one addition. The 1x1 convolution
that makes the embedding moves behind the pooling, since both are linear, and ReLUs work in place.
"""

import copy

import torch
from lightly.transforms.utils import IMAGENET_NORMALIZE
from torch import Tensor, nn
from torch.nn.functional import relu_
from torch.nn.utils.fusion import fuse_conv_bn_eval

from selection_job.encoder.architecture import SimCLR


class InferenceNetwork(nn.Module):
    """Pixels (b, s, s, 3) uint8 → embeddings (b, d) float32; the convolutions compute in the given format."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: SimCLR, number_format: torch.dtype) -> None:
        super().__init__()
        norm, convolution, stem_norm, *layers, projection, _ = copy.deepcopy(model.backbone).eval().children()
        scale, shift = _merge_normalisation(norm)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        blocks = [_Block(block) for layer in layers for block in layer.children()]
        self.body = nn.Sequential(_fuse(convolution, stem_norm), *blocks)
        self.body.to(number_format).to(memory_format=torch.channels_last)
        self.projection = projection
        self._format = number_format

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed RGB pixels as decoded, 0 to 255."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)  # channels_last without a copy
        images = (images * self.scale + self.shift).to(self._format)
        pooled = self.body(images).to(torch.float32).mean(dim=(2, 3), keepdim=True)
        embeddings: Tensor = self.projection(pooled).flatten(start_dim=1)
        return embeddings


class _Block(nn.Module):
    """A basic or bottleneck block of lightly's ResNet with its batch norms fused."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        parts = dict(block.named_children())
        pairs = [(parts[f"conv{i}"], parts[f"bn{i}"]) for i in (1, 2, 3) if f"conv{i}" in parts]
        self.convolutions = nn.ModuleList([_fuse(convolution, norm) for convolution, norm in pairs])
        shortcut = list(parts["shortcut"].children())
        self.shortcut = _fuse(*shortcut) if shortcut else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        *inner, last = self.convolutions
        hidden = images
        for convolution in inner:
            hidden = relu_(convolution(hidden))
        hidden = last(hidden)
        hidden += self.shortcut(images)
        return relu_(hidden)


def _fuse(convolution: nn.Module, norm: nn.Module) -> nn.Module:
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)


def _merge_normalisation(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return scale and shift (3, 1, 1) of: pixels / 255, ImageNet's mean and deviation, then the input's batch norm."""
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    mean = torch.tensor(IMAGENET_NORMALIZE["mean"], dtype=torch.float64)
    deviation = torch.tensor(IMAGENET_NORMALIZE["std"], dtype=torch.float64)
    gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    scale = gain / (255 * deviation)
    shift = norm.bias.detach().double() - gain * (norm.running_mean.double() + mean / deviation)
    return scale.float().reshape(3, 1, 1), shift.float().reshape(3, 1, 1)
