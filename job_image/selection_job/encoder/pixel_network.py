"""Pixel network: any network of images, from pixels as decoded to embeddings."""

import copy

import torch
from torch import Tensor, nn


class PixelNetwork(nn.Module):
    """Pixels (b, s, s, 3) uint8 RGB → embeddings (b, d) float32; the network computes in the given format.

    network  takes normalised images (b, 3, s, s) and gives (b, d); it is copied, and the copy is in eval mode
    mean, std  of each channel, where pixels lie between 0 and 1
    least_batch  how many images are computed at once at least: fewer, the last ones of a run, are filled up with black.
                 A CPU's libraries divide small batches among threads by other sums, so that bits depend on their number
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: nn.Module,
        number_format: torch.dtype,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        least_batch: int = 1,
    ) -> None:
        super().__init__()
        deviation = torch.tensor(std, dtype=torch.float64).reshape(3, 1, 1)
        self.register_buffer("scale", (1 / (255 * deviation)).float())
        self.register_buffer("shift", (-torch.tensor(mean, dtype=torch.float64).reshape(3, 1, 1) / deviation).float())
        self.network = copy.deepcopy(network).eval().to(number_format).to(memory_format=torch.channels_last)
        self._format = number_format
        self._least_batch = least_batch

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed RGB pixels as decoded, 0 to 255."""
        n = len(pixels)
        if n < self._least_batch:
            pixels = torch.cat([pixels, pixels.new_zeros(self._least_batch - n, *pixels.shape[1:])])
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)  # channels_last without a copy
        embeddings: Tensor = self.network((images * self.scale + self.shift).to(self._format))
        return embeddings[:n].to(torch.float32)
