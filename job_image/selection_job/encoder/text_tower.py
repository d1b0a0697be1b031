"""Text tower: the part of an encoder that embeds sentences into the space of its images."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_CHUNK = 16


class TextTower(Protocol):
    """Embeds texts."""

    dimensions: int
    scale: float
    """What cosines are multiplied with before a softmax over texts: exp of the model's logit_scale."""
    fingerprint: str
    """64 hex digits of the text tower's weights and tokenizer."""
    image_fingerprint: str
    """That of the encoder from the same folder."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (m, d) vectors of unit length. Raises UnusableData for a text longer than the tower's context."""


class TokenTextTower:
    """A text tower of a network that takes tokens, on the CPU in float32."""

    def __init__(
        self,
        network: nn.Module,
        make_tokens: Callable[[Sequence[str]], Tensor],
        *,
        scale: float,
        fingerprint: str,
        image_fingerprint: str,
    ) -> None:
        self._network = network
        self._make_tokens = make_tokens
        self.scale = scale
        self.fingerprint = fingerprint
        self.image_fingerprint = image_fingerprint
        self.dimensions = self._run(["a"]).shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (m, d) vectors of unit length."""
        chunks = [self._run(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
        return torch.cat(chunks).numpy() if chunks else np.zeros((0, self.dimensions), np.float32)

    def _run(self, texts: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            vectors: Tensor = self._network(self._make_tokens(texts))
            return torch.nn.functional.normalize(vectors, dim=-1)
