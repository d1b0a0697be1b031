"""Embedding: pixels in, vectors out, a batch at a time."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selection_job.encoder.encoder import Encoder
from selection_job.encoder.precision import choose_format, repeatable
from selection_job.errors import UnusableData

_CPU_CHUNK = 16
"""Images at a time on a CPU: more spill the caches (measured: 92 images/s with 16, 84 with 64, ResNet-18 at 64 px)."""


def embed_pixels(
    encoder: Encoder, batches: Iterable[NDArray[np.uint8]], *, device: torch.device, precision: int = 32
) -> Iterator[NDArray[np.float32]]:
    """Yield embeddings (b, d) float32 for each batch of pixels (b, s, s, 3) uint8 RGB, in order.

    Pixels are images as encoder.preprocessing makes them; a row does not depend on the rest of its batch beyond 1e-5.
    precision 16 computes in bfloat16 where the device has it.
    Raises UnusableData where an embedding is not finite.
    """
    network = encoder.make_network(choose_format(device, precision)).to(device)
    for pixels in batches:
        # Settings of the process are set for a batch only: between batches other code runs.
        with repeatable(), torch.inference_mode():
            embeddings = _embed(network, torch.from_numpy(pixels).to(device), device)
        if not np.isfinite(embeddings).all():
            raise UnusableData(
                f"The encoder ({encoder.source}) makes embeddings that are not finite numbers: its training diverged. "
                "Train again with a lower lightlyConfig.optimizer.lr, or name another checkpoint."
            )
        yield embeddings


def _embed(network: nn.Module, pixels: torch.Tensor, device: torch.device) -> NDArray[np.float32]:
    if device.type != "cpu":
        chunks = [network(pixels)]
    else:
        chunks = [network(chunk) for chunk in torch.split(pixels, _CPU_CHUNK)]
    embeddings: NDArray[np.float32] = torch.cat(chunks).cpu().numpy()
    return embeddings
