"""What training sees: two augmented views of each image, each a function of (seed, epoch, row) and nothing else.

Neither the number of workers, nor where an interrupted run goes on, nor what else draws random numbers changes a view.
"""

import logging
import multiprocessing
import random
import signal
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
import torch
from lightly.transforms import SimCLRTransform
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.image_source import ImageSource
from selection_job.errors import JobError, ObjectMissing, ObjectRefused, UnusableData
from selection_job.images.decoding import CorruptImage
from selection_job.process.parallel_calls import call_in_parallel

log = logging.getLogger("selection_job")

_REPLACEMENTS = 100
_PARALLEL_READS = 16  # in each worker


class TrainingViews(Dataset["Tensor | JobError"]):
    """Pairs of views (2, 3, s, s) float32 of images by (epoch, row), by lightly's SimCLR transform.

    An image that can't be read any more is replaced by the next one. An error of the storage is returned instead
    of raised: raised in a worker process it would arrive wrapped in a traceback.
    """

    def __init__(self, images: ImageSource, config: LightlyConfig) -> None:
        collate = config.collate
        self._images = images
        self._seed = config.seed
        # the smallest crop still has input_size pixels along a side
        self._target_px = round(collate.input_size / collate.min_scale**0.5) if collate.min_scale > 0 else None
        self._transform = SimCLRTransform(
            input_size=collate.input_size,
            cj_prob=collate.cj_prob,
            cj_bright=collate.cj_bright,
            cj_contrast=collate.cj_contrast,
            cj_sat=collate.cj_sat,
            cj_hue=collate.cj_hue,
            min_scale=collate.min_scale,
            random_gray_scale=collate.random_gray_scale,
            gaussian_blur=collate.gaussian_blur,
            sigmas=tuple(collate.sigmas),
            vf_prob=collate.vf_prob,
            hf_prob=collate.hf_prob,
            rr_prob=collate.rr_prob,
            rr_degrees=collate.rr_degrees,
        )

    def __getitem__(self, key: tuple[int, int]) -> "Tensor | JobError":
        return self._transform_seeded(key, self._read_or_fail(key[1]))

    def __getitems__(self, keys: list[tuple[int, int]]) -> "list[Tensor | JobError]":
        """Return the views of a batch, its images read side by side where the storage has latency to hide."""
        parallel = min(len(keys), self._images.store.parallel_reads, _PARALLEL_READS)
        if parallel <= 1:
            return [self[key] for key in keys]
        images = call_in_parallel((partial(self._read_or_fail, row) for _, row in keys), parallel)
        return [self._transform_seeded(key, image) for key, image in zip(keys, images, strict=True)]

    def _read_or_fail(self, row: int) -> "Image | JobError":
        try:
            return self._read_or_replace(row)
        except JobError as error:
            return error

    def _transform_seeded(self, key: tuple[int, int], image: "Image | JobError") -> "Tensor | JobError":
        if isinstance(image, JobError):
            return image
        with _seeded(mix_seed(self._seed, *key)):
            return torch.stack(self._transform(image))

    @property
    def start_method(self) -> str | None:
        """How processes that read are started; None: as Python does. obstore can't work in a forked process."""
        return "forkserver" if self._images.store.parallel_reads > 1 else None

    def _read_or_replace(self, row: int) -> Image:
        n_tries = min(len(self._images), _REPLACEMENTS)
        for offset in range(n_tries):
            candidate = (row + offset) % len(self._images)
            try:
                return self._images.read(candidate, target_px=self._target_px)
            except (CorruptImage, ObjectMissing, ObjectRefused) as error:
                log.warning("Training skips %r: %s", self._images.names[candidate], error or "it is gone")
        raise UnusableData(
            f"Training can't read {n_tries} images in a row, from {self._images.names[row]!r} on, though they were "
            "readable when they were checked. Is the input datasource being changed? Run again when it holds still."
        )


class _seeded:  # noqa: N801  a context manager that reads as a word
    """Seed torch, numpy and random, which lightly's transforms all draw from, and give their states back afterwards."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._states = (torch.get_rng_state(), np.random.get_state(), random.getstate())
        torch.default_generator.manual_seed(self._seed)
        np.random.seed(self._seed % 2**32)
        random.seed(self._seed)

    def __exit__(self, *_: object) -> None:
        torch_state, numpy_state, python_state = self._states
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def mix_seed(*parts: int) -> int:
    """Return 63 bits that look random and depend on every part and its place."""
    return int.from_bytes(sha256("/".join(map(str, parts)).encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class TrainingBatches(Sampler[list[tuple[int, int]]]):
    """The (epoch, row) of every batch of a training, in order, from step `start` on.

    One pass over it is the whole training, so workers live from its first batch to its last.
    """

    n_images: int
    config: LightlyConfig
    start: int = 0

    @property
    def batch_size(self) -> int:
        """Images in a batch: loader.batch_size, or all where there are fewer, as lightly has it."""
        size: int = min(self.config.loader.batch_size, self.n_images)
        return size

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, at least 1."""
        whole, rest = divmod(self.n_images, self.batch_size)
        return whole + (rest > 0 and not self.config.loader.drop_last)

    @property
    def n_steps(self) -> int:
        """Batches of the whole training."""
        return self.steps_per_epoch * self.config.trainer.max_epochs

    @property
    def smallest_batch(self) -> int:
        """Images in the last batch of an epoch."""
        rest = self.n_images % self.batch_size
        return self.batch_size if rest == 0 or self.config.loader.drop_last else rest

    def __len__(self) -> int:
        return self.n_steps - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first_epoch, skipped = divmod(self.start, self.steps_per_epoch)
        for epoch in range(first_epoch, self.config.trainer.max_epochs):
            order = self._order(epoch)
            for step in range(skipped, self.steps_per_epoch):
                yield [(epoch, row) for row in order[step * self.batch_size : (step + 1) * self.batch_size]]
            skipped = 0

    def _order(self, epoch: int) -> list[int]:
        if not self.config.loader.shuffle:
            return list(range(self.n_images))
        generator = torch.Generator().manual_seed(mix_seed(self.config.seed, epoch))
        order: list[int] = torch.randperm(self.n_images, generator=generator).tolist()
        return order


def load_views(
    views: TrainingViews, batches: TrainingBatches, *, num_workers: int, pin: bool
) -> Generator[Tensor, None, None]:
    """Yield the views (2, b, 3, s, s) of each batch; workers read and augment ahead. Raises what the storage raised."""
    if views.start_method == "forkserver":
        multiprocessing.set_forkserver_preload([__name__])  # torch is imported once for all workers
    with warnings.catch_warnings():
        # the user's number of workers counts, whatever torch suggests
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader = DataLoader(
            views,
            batch_sampler=batches,
            num_workers=num_workers,
            collate_fn=_join,
            worker_init_fn=_leave_interrupts,
            pin_memory=pin,
            generator=torch.Generator(),  # or it draws from the process-wide one
            multiprocessing_context=views.start_method if num_workers > 0 else None,
        )
        loaded = iter(loader)
    try:
        for batch in loaded:
            if isinstance(batch, JobError):
                raise batch
            yield batch
    finally:
        del loaded  # ends the workers now: a traceback may hold this frame for long


def _join(items: "list[Tensor | JobError]") -> "Tensor | JobError":
    views = [item for item in items if isinstance(item, Tensor)]
    if len(views) == len(items):
        return torch.stack(views, dim=1)
    return next(item for item in items if isinstance(item, JobError))


def _leave_interrupts(_: int) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the main one; it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
