"""LargeImages: large ones take turns, for 16 at once may need 16 GB."""

import threading
from contextlib import AbstractContextManager, nullcontext

LARGE_PIXELS = 32_000_000
"""128 MB decoded as RGBA, 224 MB while a frame of a video is converted."""


class LargeImages:
    """Lets one image of more than LARGE_PIXELS at a time be decoded, and all others at once."""

    def __init__(self) -> None:
        self._turn = threading.Semaphore()

    def take_turn(self, n_pixels: int) -> AbstractContextManager[object]:
        """Return a context that an image of so many pixels is decoded in; a large one waits for its turn there."""
        return self._turn if n_pixels > LARGE_PIXELS else nullcontext()
