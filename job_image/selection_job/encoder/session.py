"""Session: one training from its current batch to its end, with its checkpoints in a folder."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from selection_job.encoder.checkpoints import Checkpoint, apply_checkpoint, write_checkpoint
from selection_job.encoder.kept_epochs import LAST, KeptEpochs
from selection_job.encoder.learner import Learner
from selection_job.errors import InvalidManifest, UnusableData
from selection_job.process.progress import Bar, Progress

log = logging.getLogger("selection_job")

_SAVE_SECONDS = 300.0
_SAVE_EPOCH_SECONDS = 60.0
"""Short epochs share a save: the default network's last.ckpt is 90 MB, and goes to the bucket."""


@dataclass
class Session:
    """A training and what it has written. last.ckpt always holds a state between two batches."""

    learner: Learner
    kept: KeptEpochs
    progress: Progress
    identity: str
    """Of images and config: a last.ckpt goes on only where it is the same."""
    steps_per_epoch: int
    n_epochs: int
    on_checkpoint: Callable[[Path], None] | None = None
    _saved_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._saved_at = self.progress.clock()

    @property
    def last(self) -> Path:
        """Where last.ckpt lies."""
        return self.kept.folder / LAST

    def run(self, batches: Iterator[Tensor]) -> None:
        """Learn from the batches that are left. Whatever cuts it off, last.ckpt is kept and the exception goes on."""
        try:
            self._end_epoch_if_done()
            n_steps, steps_done = self.n_epochs * self.steps_per_epoch, self.learner.steps_done
            with self.progress.bar("Training", n_steps, "batches", done=steps_done) as bar:
                self._learn(batches, bar)
        except InvalidManifest:  # diverged: nothing worth keeping
            raise
        except BaseException:  # Stopped and KeyboardInterrupt among them
            if self.learner.rewind():
                self.save()
            raise

    def _learn(self, batches: Iterator[Tensor], bar: Bar) -> None:
        for views in batches:
            epoch = self.learner.steps_done // self.steps_per_epoch
            loss = self.learner.step(views)
            bar.description = f"Training, epoch {epoch + 1} of {self.n_epochs}, loss {loss:.3f}"
            self._end_epoch_if_done()
            if self.progress.clock() - self._saved_at >= _SAVE_SECONDS:
                self.save()
            bar.advance()

    def _end_epoch_if_done(self) -> None:
        """Judge an epoch whose batches are all learned. May be cut off and called again."""
        losses = self.learner.losses
        if len(losses) < self.steps_per_epoch:
            return
        self.learner.check_finite()
        epoch = self.learner.steps_done // self.steps_per_epoch - 1
        loss = sum(losses) / len(losses)
        log.info("Training: epoch %d of %d has mean loss %.4f", epoch + 1, self.n_epochs, loss)
        self.kept.offer(epoch, loss, self.learner.model.state_dict())
        self.learner.losses = []
        is_over = self.learner.steps_done >= self.n_epochs * self.steps_per_epoch
        if is_over or self.progress.clock() - self._saved_at >= _SAVE_EPOCH_SECONDS:
            self.save()

    def save(self) -> None:
        """Write last.ckpt and hand it to on_checkpoint."""
        state = {"identity": self.identity, "learner": self.learner.state(), "best": self.kept.state()}
        settings = {**self.kept.settings, "training": state}
        write_checkpoint(self.last, self.learner.model.state_dict(), settings=settings)
        self._saved_at = self.progress.clock()
        if self.on_checkpoint is not None:
            self.on_checkpoint(self.last)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a last.ckpt. Raises UnusableData where it is damaged."""
        apply_checkpoint(checkpoint, self.learner.model)
        try:
            state: dict[str, Any] = checkpoint.settings["training"]
            self.learner.restore(state["learner"])
            self.kept.settings = {**self.kept.settings, "notes": list(checkpoint.settings["notes"])}
            self.kept.restore(state["best"])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UnusableData(f"Checkpoint {checkpoint.name!r} is damaged: {error}. Delete it.") from error
        log.info("Training goes on after batch %d", self.learner.steps_done)
