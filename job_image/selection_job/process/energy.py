"""EnergyMeter: what a run uses: CPU time of its processes, and joules that its GPUs count themselves."""

import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

log = logging.getLogger("selection_job")


@dataclass(frozen=True)
class Energy:
    """What was used since the meter was made."""

    cpu_seconds: float
    """Of this process and of its children that have ended."""
    gpu_joules: float | None = None
    """By the counters of the GPUs, whoever used them; None where there is no GPU or it counts nothing."""


class EnergyMeter:
    """Counts from now on. A run that was cut off and goes on counts anew: each process tells what it used itself.

    read_gpu_joules  returns what the GPUs have used since any fixed time; None where nothing counts
    """

    def __init__(self, read_gpu_joules: Callable[[], float | None] | None = None) -> None:
        self._read_gpu_joules = read_gpu_joules
        self._start = self._read_now()

    def read(self) -> Energy:
        """Return what was used so far."""
        now, start = self._read_now(), self._start
        joules = None
        if now.gpu_joules is not None and start.gpu_joules is not None:
            joules = max(0.0, now.gpu_joules - start.gpu_joules)  # a reloaded driver counts from 0
        return Energy(now.cpu_seconds - start.cpu_seconds, joules)

    def _read_now(self) -> Energy:
        times = os.times()
        cpu_seconds = times.user + times.system + times.children_user + times.children_system
        return Energy(cpu_seconds, self._read_gpu_joules() if self._read_gpu_joules else None)


def make_meter(device: torch.device) -> EnergyMeter:
    """Return the meter of a run on this device."""
    if device.type != "cuda":
        return EnergyMeter()
    uuid = f"{torch.cuda.get_device_properties(device).uuid}"
    return EnergyMeter(find_counter(uuid))


def find_counter(uuid: str, nvml: Any = None) -> Callable[[], float | None] | None:
    """Return what reads a GPU's energy counter in joules, or None with a line in the log where there is none.

    uuid  as CUDA names the GPU, with or without 'GPU-'
    nvml  NVIDIA's management library; pynvml where it is not given
    GPUs count since Volta; a slice of one (MIG) does not.
    """
    try:
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception as error:  # NVML's errors are made when it is loaded; none of them may end a run
        log.info("The GPU's energy is not measured: %s", error)
        return None

    def read() -> float | None:
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # it counts millijoules
        except Exception as error:  # as above: a GPU may fall off its bus when all that is left is to write the report
            log.info("The GPU's energy is not known any more: %s", error)
            return None

    return read
