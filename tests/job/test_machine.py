"""What the machine offers: cores within the container's quota, a device that is there."""

import os

import pytest
import torch

from selection_api.spec import SelectionRunSpec
from selection_job.process.machine import choose_device, count_cores, read_versions

FOLDER = {"type": "LOCAL", "resourcePath": "/data/"}
RUN = {"datasources": {"input": FOLDER, "lightly": FOLDER}, "workerConfig": {"stopping_condition": {"n_samples": 5}}}


@pytest.mark.parametrize(
    ("quota", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_containers_quota_bounds_the_cores(tmp_path, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    assert count_cores(tmp_path / "cpu.max") == (cores or len(os.sched_getaffinity(0)))


def test_without_a_quota_the_affinity_counts(tmp_path):
    assert count_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))


def test_zero_gpus_mean_the_cpu_and_one_falls_back_to_it_with_a_word(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(0).type == choose_device(1).type == "cpu"
    assert ["trainer.gpus is 1" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"resources": {}}, False),
        ({"resources": {"limits": {"cpu": 4, "memory": "8Gi"}}}, False),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, True),
        ({"resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}, True),
        ({"lightlyConfig": {"trainer": {"gpus": 0}}}, False),
        ({"lightlyConfig": {"trainer": {"gpus": 1}}}, True),
        ({"lightlyConfig": {"trainer": {"gpus": 1}}, "resources": {"limits": {"amd.com/gpu": 2}}}, True),
        ({"lightlyConfig": {"trainer": {"gpus": 0}}, "resources": {"limits": {"nvidia.com/gpu": 1}}}, False),
    ],
)
def test_a_missing_gpu_is_told_where_one_was_asked_for(caplog, monkeypatch, spec, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = SelectionRunSpec.model_validate({**RUN, **spec})
    choose_device(run.lightly_config.trainer.gpus, expected=run.expects_gpu)
    assert ["no GPU is visible" in message for message in caplog.messages] == [True] * expected


def test_every_reported_version_is_the_one_in_use():
    assert read_versions()["torch"] == torch.__version__.partition("+")[0]
