"""The machine this run is on: cores it may use, device, versions of what computes the numbers."""

import logging
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

log = logging.getLogger("selection_job")

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_REPORTED = ("selection-operator", "torch", "torchvision", "lightly", "numpy", "pillow", "timm", "reportlab")


def count_cores(cpu_max: Path = _CPU_MAX) -> int:
    """Return how many cores this process may use: its CPU affinity, and the container's quota where there is one.

    torch looks at neither quota nor limits of a pod, and would start 64 threads on a node of 64 for a pod of 4 cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def choose_device(gpus: int, *, expected: bool = True) -> torch.device:
    """Return the GPU where trainer.gpus asks for one and one is there, else the CPU; say so where one was expected."""
    if gpus > 0 and torch.cuda.is_available():
        return torch.device("cuda", 0)
    if gpus > 0 and expected:
        log.warning("lightlyConfig.trainer.gpus is %d and no GPU is visible here: running on the CPU.", gpus)
    return torch.device("cpu")


def describe_device(device: torch.device) -> str:
    """Return the device in words, for the report."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({_cpu_model() or platform.machine()}), {torch.get_num_threads()} threads"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def read_versions() -> dict[str, str]:
    """Return the versions of Python and of each package that the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _REPORTED}
