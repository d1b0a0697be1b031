"""Number formats: what trainer.precision means on a device, and arithmetic that repeats to the bit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

log = logging.getLogger("selection_job")


def choose_format(device: torch.device, precision: int) -> torch.dtype:
    """Return what convolutions compute in: float32, or for precision 16 bfloat16, where the device has it.

    A CPU without bfloat16 instructions stays with float32, as emulation would be slower and no better; the log says so.
    On a GPU bfloat16 needs no loss scaling, and old ones without it take float16.
    """
    if precision != 16:
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if has_bfloat16():
        return torch.bfloat16
    log.warning("lightlyConfig.trainer.precision is 16 and this CPU has no bfloat16 instructions: computing with 32.")
    return torch.float32


def has_bfloat16() -> bool:
    """Say whether this CPU multiplies bfloat16 natively."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))


@contextmanager
def repeatable() -> Iterator[None]:
    """Compute so that the same inputs give the same bits on this machine; the settings before come back afterwards.

    On a GPU CUBLAS_WORKSPACE_CONFIG belongs to it, which environment.py sets.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    _fill_memory(False)  # slow, and nothing here reads memory before writing it
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        _fill_memory(filled)
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _fill_memory(wanted: bool) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = wanted  # type: ignore[attr-defined]
