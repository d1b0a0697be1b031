"""Encoder: a network ready to embed, with how images become its input and where its weights come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from selection_job.encoder.architecture import SimCLR
from selection_job.encoder.inference import InferenceNetwork
from selection_job.images.preprocessing import Preprocessing


class EmbeddingSource(Protocol):
    """Where a run's embeddings come from: an encoder, or a table that the user gave."""

    @property
    def source(self) -> str:
        """'built in', 'encoder <folder>', 'trained', 'checkpoint <key>', 'zoo <key>' or 'embeddings <key>'."""

    @property
    def fingerprint(self) -> str:
        """64 hex digits."""

    @property
    def checkpoint(self) -> Path | None:
        """The local lightly_epoch_N.ckpt of a training."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for report.json."""


@dataclass(frozen=True)
class Encoder:
    """What the embedding stage needs. Two encoders with one fingerprint give the same embeddings."""

    model: nn.Module
    """On the CPU, float32, in eval mode."""
    make_network: Callable[[torch.dtype], nn.Module]
    """Makes a network for inference in a number format: pixels (b, s, s, 3) uint8 RGB → embeddings (b, d) float32."""
    preprocessing: Preprocessing
    dimensions: int
    fingerprint: str
    """64 hex digits of the weights that embed, and of the preprocessing."""
    source: str
    """As EmbeddingSource says."""
    name: str = ""
    """The architecture, as its makers call it; '' where nobody said."""
    licence: str = ""
    """Of the weights, as their makers state it; '' where they do not, or where they are the user's own."""
    checkpoint: Path | None = None
    """The local lightly_epoch_N.ckpt of a training."""
    notes: tuple[str, ...] = ()
    """Sentences for report.json: what was asked for and came out otherwise."""


def make_encoder(
    model: SimCLR, *, input_size_px: int, source: str, name: str = "", notes: tuple[str, ...] = ()
) -> Encoder:
    """Wrap lightly's network as an encoder; the model is switched to eval mode and to the CPU."""
    model = model.cpu().eval().requires_grad_(False)
    weights = model.backbone.state_dict()
    return Encoder(
        model=model,
        make_network=partial(InferenceNetwork, model),
        preprocessing=Preprocessing(input_size_px),
        dimensions=len(weights["7.bias"]),
        fingerprint=fingerprint_weights(f"simclr {input_size_px}", weights),
        source=source,
        name=name,
        notes=notes,
    )


def fingerprint_weights(kind: str, weights: Mapping[str, Tensor]) -> str:
    """Return 64 hex digits of all tensors that decide over an output, and of what kind of network they belong to."""
    digest = sha256(kind.encode())
    for key in sorted(key for key in weights if not key.endswith("num_batches_tracked")):
        tensor = weights[key].detach().contiguous()
        digest.update(f"\0{key} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
