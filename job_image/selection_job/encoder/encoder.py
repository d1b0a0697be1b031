"""Encoder: a network ready to embed, with the size of its input and where its weights come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from selection_job.encoder.architecture import SimCLR


class EmbeddingSource(Protocol):
    """Where a run's embeddings come from: an encoder, or a table that the user gave."""

    @property
    def source(self) -> str:
        """'trained', 'checkpoint <key>', 'zoo <key>' or 'embeddings <key>'."""

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

    model: SimCLR
    """On the CPU, float32, in eval mode."""
    input_size_px: int
    dimensions: int
    fingerprint: str
    """64 hex digits of the backbone's weights and the input size."""
    source: str
    """'trained', 'checkpoint <key>' or 'zoo <key>'."""
    checkpoint: Path | None = None
    """The local lightly_epoch_N.ckpt of a training."""
    notes: tuple[str, ...] = ()
    """Sentences for report.json: what was asked for and came out otherwise."""


def make_encoder(model: SimCLR, *, input_size_px: int, source: str, notes: tuple[str, ...] = ()) -> Encoder:
    """Wrap a model as an encoder; the model is switched to eval mode and to the CPU."""
    model = model.cpu().eval().requires_grad_(False)
    weights = model.backbone.state_dict()
    return Encoder(
        model=model,
        input_size_px=input_size_px,
        dimensions=len(weights["7.bias"]),
        fingerprint=_fingerprint(weights, input_size_px),
        source=source,
        notes=notes,
    )


def _fingerprint(weights: Mapping[str, Tensor], input_size_px: int) -> str:
    digest = sha256(f"simclr {input_size_px}".encode())
    for key in sorted(key for key in weights if not key.endswith("num_batches_tracked")):
        tensor = weights[key].detach().contiguous()
        digest.update(f"\0{key} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
