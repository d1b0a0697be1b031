"""EnergyMeter: CPU time of a process and its children, and what a GPU's own counter says."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pynvml
import pytest
import torch

from selection_job.process.energy import EnergyMeter, find_counter, make_meter


def test_work_of_the_process_and_of_its_children_counts():
    meter = EnergyMeter()
    work = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    used = meter.read()
    assert 0.45 < used.cpu_seconds < 5
    assert used.gpu_joules is None


def test_waiting_uses_nothing():
    meter = EnergyMeter()
    subprocess.run(["sleep", "0.5"], check=True)
    assert meter.read().cpu_seconds < 0.2


def make_nvml(*millijoules):
    """A management library whose one GPU counts so much, reading after reading."""
    readings, asked = iter(millijoules), []
    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: asked.append(uuid) or "handle",
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(readings),
        asked=asked,
    )


@pytest.mark.parametrize(("given", "asked"), [("1f2e-3d", "GPU-1f2e-3d"), ("GPU-1f2e-3d", "GPU-1f2e-3d")])
def test_a_gpu_counts_in_millijoules(given, asked):
    nvml = make_nvml(1, 5_000, 12_500)
    meter = EnergyMeter(find_counter(given, nvml))
    assert nvml.asked == [asked]
    assert meter.read().gpu_joules == 7.5


def test_a_counter_that_begins_anew_gives_no_energy_back():
    meter = EnergyMeter(find_counter("x", make_nvml(1, 5_000, 100)))
    assert meter.read().gpu_joules == 0


def test_a_gpu_that_counts_nothing_is_told_and_ends_no_run(caplog):
    nvml = make_nvml()
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: (_ for _ in ()).throw(
        pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    )
    with caplog.at_level("INFO"):
        assert find_counter("x", nvml) is None
    assert "energy is not measured" in caplog.text


def test_a_gpu_that_is_lost_on_the_way_ends_no_run():
    nvml = make_nvml(1, 5_000)
    meter = EnergyMeter(find_counter("x", nvml))
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: (_ for _ in ()).throw(
        pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    )
    used = meter.read()
    assert used.gpu_joules is None
    assert used.cpu_seconds >= 0


def test_without_nvidias_library_nothing_is_measured():
    assert find_counter("GPU-none") is None


def test_without_a_gpu_only_cpu_time_counts():
    assert make_meter(torch.device("cpu")).read().gpu_joules is None
