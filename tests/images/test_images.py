"""The images without Kubernetes, run as `docker run --read-only --tmpfs /tmp --cap-drop ALL` runs them."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from testbed import images
from testbed.containers import mounted

PLACE = "/home/output_dir"
USER = 65532


@pytest.fixture
def job_image(tmp_path):
    bundle = tmp_path / "job"
    bundle.mkdir()
    with mounted(images.build("selection-job"), bundle) as container:
        yield container


@pytest.fixture
def operator_image(tmp_path):
    bundle = tmp_path / "operator"
    bundle.mkdir()
    with mounted(images.build("selection-operator"), bundle) as container:
        yield container


@pytest.fixture
def make_folder(tmp_path, photos, checkpoint, make_manifest):
    """Return a function (owner, **spec) -> a folder with run.yaml and images, as docs/images.md shows it."""

    def make(owner, **spec):
        folder = tmp_path / "output_dir"
        shutil.copytree(photos.folder, folder / "images")
        (folder / ".lightly").mkdir()
        shutil.copy(checkpoint, folder / ".lightly" / "start.ckpt")
        paths = {"input": f"{PLACE}/images/", "lightly": f"{PLACE}/"}
        places = {purpose: {"type": "LOCAL", "resourcePath": path} for purpose, path in paths.items()}
        (folder / "run.yaml").write_text(yaml.safe_dump(make_manifest("/none", **{"datasources": places, **spec})))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner)
        return folder

    return make


@pytest.mark.parametrize("user", [USER, 1234], ids=["the image's user", "any user"])
def test_the_job_image_runs_the_manifest_of_a_mounted_folder(job_image, make_folder, user):
    folder = make_folder(user)
    done = job_image.run("run", f"{PLACE}/run.yaml", volumes=[(folder, PLACE)], user=f"{user}:{user}")
    assert done.returncode == 0, done.stderr
    (run,) = (folder / ".lightly" / "runs").iterdir()
    assert (run / "report.json").stat().st_uid == user
    assert len((run / "filenames" / "sampled_filenames_excluding_datapool.txt").read_text().splitlines()) == 10


def test_the_job_image_refuses_a_wrong_manifest_with_exit_code_2(job_image, make_folder):
    folder = make_folder(USER, workerConfig={"stoping_condition": {}})
    done = job_image.run("check", f"{PLACE}/run.yaml", volumes=[(folder, PLACE)])
    assert done.returncode == 2
    assert "stopping_condition" in done.stderr


COMPARE_KERNELS = """
import filecmp
from pathlib import Path
from selection_job.numeric.compiling import kernel_folder

(shipped,) = Path("/opt/kernels").iterdir()
names = sorted(path.name for path in shipped.iterdir())
assert kernel_folder().is_relative_to("/tmp/numba"), kernel_folder()
assert names == sorted(path.name for path in kernel_folder().iterdir())
assert filecmp.cmpfiles(shipped, kernel_folder(), names, shallow=False) == (names, [], [])
indices = [path for path in shipped.iterdir() if path.suffix == ".nbi"]
assert all(b"x86-64-v3" in path.read_bytes() or b"generic" in path.read_bytes() for path in indices)
print(len(indices), "kernels")
"""


def test_the_job_image_ships_its_kernels_compiled_for_any_common_processor(job_image, tmp_path):
    """Every kind of selection leaves the copied kernels as they came: none was compiled for this processor instead."""
    selections = Path(__file__).parents[1] / "job" / "every_selection.py"
    script = tmp_path / "scripts" / "kernels.py"
    script.parent.mkdir()
    script.write_text(selections.read_text() + COMPARE_KERNELS)
    python = ["/opt/selection/bin/python", f"{PLACE}/kernels.py"]
    done = job_image.run(volumes=[(script.parent, PLACE)], entrypoint=python)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 20


def test_the_operator_image_starts_and_says_what_it_needs(operator_image):
    done = operator_image.run()
    assert done.returncode != 0
    assert "SELECTION_JOB_IMAGE is not set" in done.stderr


def test_the_operator_image_holds_neither_torch_nor_the_jobs_libraries(operator_image):
    (packages,) = operator_image.rootfs.glob("opt/selection/lib/python3*/site-packages")
    assert (packages / "kopf").is_dir()
    assert [name for name in ("torch", "lightly", "numpy") if (packages / name).exists()] == []


@pytest.mark.parametrize("image", ["job_image", "operator_image"])
def test_an_image_has_no_root_user_and_keeps_nothing_of_the_build(request, image):
    container = request.getfixturevalue(image)
    assert container.config["User"] == f"{USER}:{USER}"
    names = {variable.partition("=")[0] for variable in container.config["Env"]}
    assert names <= {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "PYTHONUNBUFFERED",
        "TORCH_HOME",
        "NUMBA_CACHE_DIR",
        "SELECTION_KERNELS",
        "MPLCONFIGDIR",
    }
    assert not (container.rootfs / "source").exists()
    assert not [path for path in (container.rootfs / "root").rglob(".cache/**/*") if path.is_file()]
