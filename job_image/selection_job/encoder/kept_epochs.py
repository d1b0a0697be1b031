"""Kept epochs: lightly_epoch_N.ckpt of the best epochs by mean loss."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from selection_job.encoder.checkpoints import read_checkpoint, write_checkpoint

LAST = "last.ckpt"
"""The checkpoint that a training which was cut off goes on from."""

EPOCHS = "lightly_epoch_*.ckpt"
"""The checkpoints of single epochs, zero-based, as lightly names them."""


@dataclass
class KeptEpochs:
    """The files of the best epochs in a folder; an epoch that is no longer among them loses its file."""

    folder: Path
    top_k: int
    """How many to keep; -1 keeps all, 0 none."""
    settings: Mapping[str, Any]
    """What a loader has to know besides: input size and network."""
    losses: dict[int, float] = field(default_factory=dict)
    """Mean loss by epoch (zero-based) of those kept."""

    def path(self, epoch: int) -> Path:
        """Return where an epoch's checkpoint lies."""
        return self.folder / f"lightly_epoch_{epoch}.ckpt"

    @property
    def best(self) -> int | None:
        """The epoch of the lowest loss, the earlier one of equals; None before the first."""
        return min(self.losses, key=lambda epoch: (self.losses[epoch], epoch), default=None)

    def offer(self, epoch: int, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Keep this epoch if it is among the best, and drop the one that no longer is."""
        ranked = sorted({**self.losses, epoch: loss}.items(), key=lambda item: (item[1], item[0]))
        kept = dict(ranked if self.top_k < 0 else ranked[: self.top_k])
        if epoch in kept:
            write_checkpoint(self.path(epoch), weights, settings={**self.settings, "epoch": epoch, "loss": loss})
        for dropped in self.losses.keys() - kept.keys():
            self.path(dropped).unlink(missing_ok=True)
        self.losses = kept

    def state(self) -> dict[str, Any] | None:
        """Return the best epoch with its weights, so that one file is enough to go on from; None before the first."""
        if self.best is None:
            return None
        weights = read_checkpoint(self.path(self.best)).weights
        return {"epoch": self.best, "loss": self.losses[self.best], "weights": weights}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Write the best epoch's file again from what state() returned."""
        if state is not None:
            self.offer(int(state["epoch"]), float(state["loss"]), state["weights"])
