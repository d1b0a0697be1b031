"""The operator's environment: every wrong variable is named."""

import subprocess
import sys

import pytest

from selection_operator.settings import InvalidSettings, Settings, read_settings

IMAGE = {"SELECTION_JOB_IMAGE": "example.org/job:1"}


def test_an_image_is_all_that_is_needed():
    assert read_settings(IMAGE) == Settings(job_image="example.org/job:1")


def test_every_variable_is_read():
    settings = read_settings(
        IMAGE
        | {
            "SELECTION_JOB_IMAGE_PULL_POLICY": "Never",
            "SELECTION_JOB_IMAGE_PULL_SECRETS": "a, b",
            "SELECTION_JOB_RESOURCES": '{"limits": {"memory": "8Gi"}}',
            "SELECTION_GPU_RESOURCE": "amd.com/gpu",
            "SELECTION_SHARED_MEMORY_SIZE": "1Gi",
            "SELECTION_SCRATCH_SIZE": "2Gi",
            "SELECTION_WATCH_NAMESPACES": "x,y",
            "SELECTION_RESYNC_SECONDS": "60",
            "SELECTION_PROGRESS_SECONDS": "5",
            "SELECTION_KUEUE_ENABLED": "true",
            "SELECTION_IDENTITY": "vision/selection-operator",
            "SELECTION_LOG_LEVEL": "DEBUG",
            "SELECTION_LISTEN": "[::]:9000",
        }
    )
    assert settings.job_image_pull_secrets == ("a", "b")
    assert settings.job_resources.limits == {"memory": "8Gi"}
    assert settings.watch_namespaces == ("x", "y")
    assert (settings.resync_seconds, settings.progress_seconds, settings.kueue_enabled) == (60, 5, True)
    assert settings.listen == ("[::]", 9000)
    assert all(
        getattr(settings, name) != getattr(Settings("other"), name)
        for name in Settings.__dataclass_fields__
        if name != "listen"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOB_IMAGE", ""),
        ("JOB_IMAGE", "https://registry.example.com/selection-job:1"),
        ("JOB_IMAGE_PULL_POLICY", "Sometimes"),
        ("JOB_RESOURCES", "{"),
        ("JOB_RESOURCES", '{"limit": {}}'),
        ("RESYNC_SECONDS", "0"),
        ("RESYNC_SECONDS", "nan"),
        ("PROGRESS_SECONDS", "soon"),
        ("KUEUE_ENABLED", "maybe"),
        ("LOG_LEVEL", "LOUD"),
        ("LISTEN", "8080x"),
    ],
)
def test_a_wrong_variable_is_named(name, value):
    with pytest.raises(InvalidSettings, match=f"SELECTION_{name}"):
        read_settings(IMAGE | {f"SELECTION_{name}": value})


def test_the_process_ends_with_2_and_the_variable_s_name():
    done = subprocess.run(
        [sys.executable, "-m", "selection_operator"], env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "selection-operator: SELECTION_JOB_IMAGE is not set\n")


def test_the_operator_never_loads_torch():
    code = "import sys, selection_operator.watches; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
