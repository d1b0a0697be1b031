"""ImageSource: the images of a training, read and decoded one at a time."""

from dataclasses import dataclass

from PIL.Image import Image
from torch.utils.data import Dataset

from selection_job.images.decoding import decode_rgb
from selection_job.stores.store import Store


@dataclass(frozen=True)
class ImageSource(Dataset[Image]):
    """The images of a training by row. Picklable and safe to fork where the store is."""

    store: Store
    names: list[str]
    decoder: str = "exact"
    """workerConfig.decoder."""
    allow_truncated: bool = False
    """Take truncated images as far as they go: workerConfig.enable_corruptness_check is false."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Image:
        return self.read(row)

    def read(self, row: int, *, target_px: int | None = None) -> Image:
        """Return the image in RGB; decoder fast may shrink it as far as target_px allows.

        Raises CorruptImage, ObjectMissing and the errors of the store.
        """
        content = self.store.read(self.names[row])
        return decode_rgb(content, decoder=self.decoder, target_px=target_px, allow_truncated=self.allow_truncated)
