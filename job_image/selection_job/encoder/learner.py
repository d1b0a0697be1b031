"""Learner: one SimCLR training as it stands, moved on a batch at a time."""

import math
from typing import Any

import torch
from lightly.loss import NTXentLoss
from torch import Tensor, nn

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import SimCLR
from selection_job.encoder.precision import choose_format
from selection_job.errors import InvalidManifest


class Learner:
    """Model, loss and optimizer. Between two steps, and after rewind(), state() is exact to the bit."""

    def __init__(self, model: SimCLR, config: LightlyConfig, device: torch.device) -> None:
        self._layout = _choose_layout(model)
        self.model = model.to(memory_format=self._layout).to(device).train()
        self._config = config
        self.device = device
        self._format = choose_format(device, config.trainer.precision)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            self._criterion = NTXentLoss(
                temperature=config.criterion.temperature, memory_bank_size=_bank_size(config)
            ).to(device)
        self._optimizer = torch.optim.SGD(
            self.model.parameters(), lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
        )
        # without a bank lightly's buffers are uninitialised memory
        self._bank = list(self._criterion.buffers()) if config.criterion.memory_bank_size else []
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._format is torch.float16)
        self.steps_done = 0
        self.losses: list[float] = []
        """Of the batches since clear_losses()."""
        self._before: list[Tensor] = []
        self._updating = False

    def step(self, views: Tensor) -> float:
        """Learn from views (2, b, 3, s, s), count the step, and return the batch's loss.

        Raises InvalidManifest where the loss is no finite number.
        """
        self._before = [buffer.clone() for buffer in self._buffers()]
        loss = self._loss(views.to(self.device, non_blocking=True))
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        self._optimizer.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        self._updating = True
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.steps_done += 1
        self.losses.append(value)
        self._before = []
        self._updating = False
        return value

    def _loss(self, views: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self._format, enabled=self._format is not torch.float32):
            projections = [self.model(view.contiguous(memory_format=self._layout)) for view in views]
        # the softmax over similarities needs float32's digits
        loss: Tensor = self._criterion(projections[0].float(), projections[1].float())
        return loss

    def rewind(self) -> bool:
        """Undo a step that an exception cut off; False where it was cut while it changed the weights."""
        if self._updating:
            return False
        for buffer, before in zip(self._buffers(), self._before, strict=False):
            buffer.copy_(before)
        self._before = []
        return True

    def check_finite(self) -> None:
        """Raise InvalidManifest where a weight is no finite number."""
        for name, weight in self.model.state_dict().items():
            if not bool(torch.isfinite(weight).all()):
                raise self._diverged(f"{name} has numbers that are not finite")

    def state(self) -> dict[str, Any]:
        """Return what else than the model's weights a later step depends on."""
        return {
            "steps_done": self.steps_done,
            "losses": list(self.losses),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "memory_bank": [buffer.clone().cpu() for buffer in self._bank],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what state() returned. Raises KeyError, ValueError or RuntimeError where it is something else."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        for buffer, kept in zip(self._bank, state["memory_bank"], strict=True):
            buffer.copy_(kept)
        self.steps_done = int(state["steps_done"])
        self.losses = [float(loss) for loss in state["losses"]]

    def _buffers(self) -> list[Tensor]:
        """What a forward pass changes: running means and variances, and the memory bank."""
        return [*self.model.buffers(), *self._bank]

    def _diverged(self, what: str) -> InvalidManifest:
        optimizer = self._config.optimizer
        return InvalidManifest(
            f"Training diverged: {what}. Lower spec.lightlyConfig.optimizer.lr (it is {optimizer.lr:g}; "
            f"try {optimizer.lr / 10:g}) or raise criterion.temperature (it is {self._config.criterion.temperature:g})."
        )


def _choose_layout(model: SimCLR) -> torch.memory_format:
    """Return how activations lie in memory: channels last, on a CPU 1.2 (float32) to 5 times (bfloat16) faster.

    Not where channels don't fill vectors of 16: oneDNN's weight gradient of a strided 1x1 convolution then writes past
    its buffers (torch 2.15, AVX-512, 8 channels, batch of 5: "double free or corruption").
    """
    narrow = any(part.in_channels % 16 for part in model.backbone[3:7].modules() if isinstance(part, nn.Conv2d))
    return torch.contiguous_format if narrow else torch.channels_last


def _bank_size(config: LightlyConfig) -> int | tuple[int, int]:
    """Return the memory bank's size as NTXentLoss takes it: 0, or (negatives, dimensions of a projection)."""
    n_negatives = config.criterion.memory_bank_size
    return (n_negatives, config.model.out_dim) if n_negatives else 0
