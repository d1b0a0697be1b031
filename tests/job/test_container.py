"""As in a pod, without a cluster: process 1, read-only root, user 65532 that no passwd file knows, HOME absent.

Needs root, and Linux's own unshare, mount and setpriv. The process may read everything (the environment of the tests
may lie in a private home), and write what a pod's user could.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from testbed.processes import free_port
from testbed.waiting import wait_until

from selection_api import RunSummary

pytestmark = pytest.mark.slow

USER = 65532
ISOLATE = """
set -e
mount --make-rprivate /
for path in output tmp termination-log; do mount --bind "$POD/$path" "$POD/$path"; done
mount -o remount,bind,ro /
cd /
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all,+dac_read_search \\
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "$@"
"""
RUN = """
import sys
from pathlib import Path
from selection_job.__main__ import main
sys.exit(main(["run", sys.argv[1]], termination_message=Path(sys.argv[2])))
"""
TRAINED = {
    "workerConfig": {"enable_training": True, "checkpoint": None},
    "lightlyConfig": {"pre_trained": False, "loader": {"num_workers": 2}, "trainer": {"max_epochs": 2}},
}


class Pod:
    """A process in namespaces of its own, over folders that belong to its user."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        (folder / "tmp").mkdir()
        (folder / "termination-log").touch()
        for path in (folder / "output", folder / "output/.lightly", folder / "tmp", folder / "termination-log"):
            os.chown(path, USER, USER)

    def start(self, manifest):
        datasources = manifest["spec"]["datasources"]
        datasources["input"]["resourcePath"] = str(self.folder / "input")
        datasources["lightly"]["resourcePath"] = str(self.folder / "output")
        (self.folder / "run.json").write_text(json.dumps(manifest))
        tmp = self.folder / "tmp"
        environment = {
            "PATH": os.environ["PATH"],
            "POD": str(self.folder),
            "HOME": str(tmp / "home"),
            "TMPDIR": str(tmp),
            "TORCH_HOME": str(tmp / "torch"),
            "NUMBA_CACHE_DIR": str(tmp / "numba"),
            "MPLCONFIGDIR": str(tmp / "matplotlib"),
            "SELECTION_PROGRESS_ADDRESS": f":{self.port}",
        }
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        job = [sys.executable, "-c", RUN, str(self.folder / "run.json"), str(self.folder / "termination-log")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*namespaces, "sh", "-c", ISOLATE, "sh", *job], env=environment, stdout=subprocess.DEVNULL, stderr=log
            )

    @property
    def log(self):
        return (self.folder / "log").read_text()

    @property
    def word(self):
        return RunSummary.from_bytes((self.folder / "termination-log").read_bytes())

    def ask(self, path):
        """What the port answers; None where nothing does (yet, or any more)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except OSError:
            return None
        finally:
            connection.close()

    def progress(self):
        said = self.ask("/progress")
        return json.loads(said) if said else {"stage": "", "done": 0, "total": 0, "counts": {}}

    def wait_for(self, condition, timeout=120):
        """Wait until condition(progress); a process that ends before fails with its log."""

        def is_so():
            assert self.process.poll() is None, self.log
            return condition(self.progress())

        wait_until(is_so, timeout=timeout)

    def send(self, number):
        """As a kubelet does: from outside, to process 1 alone."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]), number)


def _copy_kernels(kept, folder):
    """Give the pod what `make test` keeps, but for files that another worker is about to write."""
    if kept.is_dir():
        shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("*.tmp.*"))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER)


@pytest.fixture
def pod(make_manifest, photos, tmp_path):
    """A pod in a folder of its own: pytest's are private to who runs it. It has the kernels, as the image has them."""
    with tempfile.TemporaryDirectory(prefix="selection-test-pod-") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(photos.folder, Path(folder, "input"))
        shutil.copytree(tmp_path / "output", Path(folder, "output"))
        Path(folder, "input").chmod(0o755)
        started = Pod(Path(folder), free_port())
        _copy_kernels(Path(os.environ.get("NUMBA_CACHE_DIR", "none")), Path(folder, "tmp/numba"))
        yield started
        started.process.kill()
        started.process.wait()


def test_a_run_writes_to_its_scratch_and_its_results_alone_and_tells_its_progress(pod, make_manifest, photos):
    seen = []
    pod.start(make_manifest(photos.folder, **TRAINED))
    wait_until(lambda: seen.append(pod.progress()) or pod.process.poll() is not None, timeout=800)
    assert pod.process.returncode == 0, pod.log
    assert pod.word.counts.input == photos.total
    assert {said["stage"] for said in seen} & {"TRAINING", "GENERATING_REPORT"}
    assert all(0 <= said["done"] <= said["total"] for said in seen)
    assert max(said["counts"].get("input", 0) for said in seen) == photos.total
    assert list((pod.folder / "output").rglob("report.json"))
    left_in_scratch = {path.name for path in (pod.folder / "tmp").iterdir()}
    assert not {name for name in left_in_scratch if name.startswith("selection-job-")}


def test_the_log_has_a_line_a_stage_with_date_and_utc_and_no_noise(pod, make_manifest, photos):
    pod.start(make_manifest(photos.folder, workerConfig={"n_example_images": 0}))
    assert pod.process.wait(300) == 0, pod.log
    lines = pod.log.splitlines()
    assert all(line[10:11] == "T" and line[19:25] == "Z INFO" for line in lines), pod.log
    stages = [line.partition("INFO Stage ")[2] for line in lines if "INFO Stage " in line]
    assert stages[:3] == ["LOADING_DATASET", "EMBEDDING", "SAMPLING"]
    assert stages[-1] == "UPLOADING_ARTIFACTS"


def test_process_1_ends_with_75_on_sigterm_and_keeps_its_stages(pod, make_manifest, photos):
    manifest = make_manifest(photos.folder, **TRAINED)
    manifest["spec"]["lightlyConfig"]["trainer"]["max_epochs"] = 100_000
    pod.start(manifest)
    pod.wait_for(lambda said: said["stage"] == "TRAINING" and said["done"] > 2)
    pod.send(signal.SIGTERM)
    assert pod.process.wait(timeout=30) == 75, pod.log
    assert (pod.word.exit_code, pod.word.reason, pod.word.stage) == (75, "TryAgain", "TRAINING")
    kept = [path.name for path in (pod.folder / "output").rglob("*") if path.is_file()]
    assert "last.ckpt" in kept and "complete.json" in kept


def test_process_1_that_is_killed_leaves_its_stage(pod, make_manifest, photos):
    manifest = make_manifest(photos.folder, **TRAINED)
    manifest["spec"]["lightlyConfig"]["trainer"]["max_epochs"] = 100_000
    pod.start(manifest)
    pod.wait_for(lambda said: said["stage"] == "TRAINING")
    pod.send(signal.SIGKILL)
    pod.process.wait(timeout=30)
    assert (pod.word.exit_code, pod.word.reason, pod.word.stage) == (1, "Unexpected", "TRAINING")


def test_a_signal_before_torch_is_imported_counts_too(pod, make_manifest, photos):
    pod.start(make_manifest(photos.folder, **TRAINED))
    wait_until(lambda: (pod.folder / "termination-log").stat().st_size > 0, timeout=60)
    pod.send(signal.SIGTERM)
    assert pod.process.wait(timeout=60) == 75, pod.log
    assert pod.word.stage == "INITIALIZING"
