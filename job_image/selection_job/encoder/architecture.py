"""The network: SimCLR as lightly 1.6's command line builds it, so that checkpoints go both ways.

The backbone is the CIFAR form of a ResNet (3x3 stem of stride 1) between a batch norm on the input and a 1x1
convolution that makes the embedding. Only child modules are taken over, so the ReLU after the stem and the 4x4
pooling, which lightly's ResNet applies by function calls, are not part of it: lightly's checkpoints are made so.
"""

import re
from collections.abc import Mapping

import torch
from lightly.models import ResNetGenerator
from lightly.models.batchnorm import get_norm_layer
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor, nn

from selection_api.lightly_config import ModelShape

_BLOCK_COUNTS: dict[tuple[int, ...], str] = {
    (1, 1, 1, 1): "resnet-9",
    (2, 2, 2, 2): "resnet-18",
    (3, 4, 6, 3): "resnet-34 or resnet-50",
    (3, 4, 23, 3): "resnet-101",
    (3, 8, 36, 3): "resnet-152",
}


class SimCLR(nn.Module):
    """Backbone and projection head under lightly's names. An embedding is the backbone's output."""

    def __init__(self, backbone: nn.Sequential, *, num_ftrs: int, out_dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(num_ftrs, num_ftrs, out_dim, batch_norm=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return projections (b, out_dim) of normalised images (b, 3, s, s)."""
        projections: Tensor = self.projection_head(self.backbone(images).flatten(start_dim=1))
        return projections


def build_model(config: ModelShape, *, seed: int = 1) -> SimCLR:
    """Build the network with the weights that lightly-ssl-train starts from with the same seed.

    The caller's random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        resnet = ResNetGenerator(config.name, config.width)
        *layers, linear = resnet.children()
        backbone = nn.Sequential(
            get_norm_layer(3, 0), *layers, nn.Conv2d(linear.in_features, config.num_ftrs, 1), nn.AdaptiveAvgPool2d(1)
        )
        return SimCLR(backbone, num_ftrs=config.num_ftrs, out_dim=config.out_dim)


def describe_weights(weights: Mapping[str, Tensor]) -> str:
    """Say in lightlyConfig's words which network these weights belong to; '' where they belong to none of ours."""
    try:
        width = weights["backbone.1.weight"].shape[0] / 64
        num_ftrs = weights["backbone.7.weight"].shape[0]
        head = weights.get("projection_head.layers.2.weight")
        out_dim = "" if head is None else f", out_dim {head.shape[0]}"
    except (KeyError, IndexError):
        return ""
    return f"name {_name_resnet(weights)}, width {width:g}, num_ftrs {num_ftrs}{out_dim}"


def _name_resnet(weights: Mapping[str, Tensor]) -> str:
    blocks: dict[int, set[int]] = {3: set(), 4: set(), 5: set(), 6: set()}
    for key in weights:
        if found := re.match(r"backbone\.([3-6])\.(\d+)\.", key):
            blocks[int(found[1])].add(int(found[2]))
    name = _BLOCK_COUNTS.get(tuple(len(layer) for layer in blocks.values()), "unknown")
    if name == "resnet-34 or resnet-50":
        return "resnet-50" if "backbone.3.0.conv3.weight" in weights else "resnet-34"
    return name
