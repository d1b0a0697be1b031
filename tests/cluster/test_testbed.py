"""The test bed itself: the controllers are real, the CRD is there, and nothing is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from testbed import commands
from testbed.builds import build_everything
from testbed.control_plane import connect_control_plane, start_control_plane
from testbed.processes import Processes
from testbed.waiting import wait_until

SELECTION_RUN = "selectionruns.dataselection.io"
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "two-pods"},
    "spec": {
        "parallelism": 2,
        "completions": 2,
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.invalid/none:1"}]}
        },
    },
}


def test_the_job_controller_makes_pods_and_the_garbage_collector_takes_them_away(control_plane, namespace):
    control_plane.apply(JOB, namespace=namespace)
    listed = ["-n", namespace, "pods", "-l", "job-name=two-pods"]
    wait_until(lambda: len(control_plane.get(*listed)["items"]) == 2, message="two pods")
    control_plane.kubectl("-n", namespace, "delete", "job", "two-pods", "--cascade=background")
    wait_until(lambda: not control_plane.get(*listed)["items"], message="the pods are gone")


def test_the_crd_is_served(control_plane, namespace):
    assert control_plane.get("-n", namespace, SELECTION_RUN)["items"] == []


def test_the_oldest_supported_version_serves_the_crd_and_reconciles(oldest_control_plane):
    version = json.loads(oldest_control_plane.kubectl("get", "--raw", "/version").stdout)
    assert (version["major"], version["minor"]) == ("1", "31")
    assert oldest_control_plane.get("-n", "default", SELECTION_RUN)["items"] == []
    oldest_control_plane.apply(JOB, namespace="default")
    pods = ["-n", "default", "pods", "-l", "job-name=two-pods"]
    wait_until(lambda: len(oldest_control_plane.get(*pods)["items"]) == 2, message="two pods")


def test_an_existing_cluster_is_used_by_its_kubeconfig(control_plane, tmp_path):
    found = connect_control_plane(control_plane.kubeconfig, tmp_path)
    assert (found.server, found.token) == (control_plane.server, control_plane.token)
    found.stop()
    assert found.get(SELECTION_RUN)["items"] is not None


def test_a_stopped_control_plane_leaves_no_process(tmp_path):
    plane = start_control_plane(tmp_path / "plane")
    pids = plane.processes.pids()
    assert len(pids) == 3
    plane.stop()
    assert [pid for pid in pids if _is_alive(pid)] == []


def test_authorization_is_by_roles(control_plane, namespace):
    answer = control_plane.kubectl(
        "auth", "can-i", "list", "pods", f"--as=system:serviceaccount:{namespace}:default", check=False
    )
    assert answer.stdout.strip() == "no"


def test_what_can_not_be_built_is_named_and_the_rest_is_built(capsys):
    def fail():
        raise RuntimeError("no compiler")

    built = []
    assert build_everything({"one": fail, "two": lambda: built.append("two")}) == 1
    assert built == ["two"]
    assert "one could not be built: no compiler\nNot built: one." in capsys.readouterr().err
    assert build_everything({"two": lambda: None}) == 0


def test_processes_end_when_they_are_stopped(tmp_path):
    processes = Processes(tmp_path)
    started = [processes.start(name, ["sleep", "600"]) for name in ("one", "two")]
    assert processes.are_running()
    processes.stop()
    assert [process.popen.returncode for process in started] == [-9, -9]


def test_a_process_that_was_ended_is_not_missed(tmp_path):
    processes = Processes(tmp_path)
    first, second = (processes.start(name, ["sleep", "600"]) for name in ("one", "two"))
    processes.end(first, patience=10)
    assert first.popen.returncode == -15
    assert processes.are_running() and processes.pids() == [second.pid]
    processes.stop()
    assert second.popen.returncode == -9


def test_a_process_that_ends_by_itself_is_told_with_its_log(tmp_path):
    processes = Processes(tmp_path)
    processes.start("short", ["sh", "-c", "echo no such luck >&2; exit 3"])
    with pytest.raises(RuntimeError, match=r"(?s)short ended with 3.*no such luck"):
        wait_until(lambda: not processes.are_running(), 10)
    processes.stop()


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys, time; from testbed.processes import Processes\n"
        "print(Processes(sys.argv[1]).start('child', ['sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"), 10, "the child runs")
        parent.kill()
    wait_until(lambda: not _is_alive(child), 10, "the child is gone")


def test_a_command_that_hangs_is_stopped_with_its_children_and_told_with_its_last_words(tmp_path):
    script = "echo fetching a module >&2; sleep 600 & echo child $!; wait"
    with pytest.raises(
        RuntimeError, match=r"(?s)^sh -c .* in .* hung: it was stopped after 2 s:\n.*a module"
    ) as caught:
        commands.run(["sh", "-c", script], cwd=tmp_path, limit_s=2)
    child = int(str(caught.value).partition(":\nchild ")[2].split()[0])
    wait_until(lambda: not _is_alive(child), 10, "the child is gone")


def test_a_command_that_fails_is_told_with_its_last_words_and_one_that_does_not_gives_what_it_prints():
    assert commands.run(["echo", 7]) == "7\n"
    with pytest.raises(RuntimeError, match=r"^sh -c echo no >&2; exit 3 ended with 3:\nno\n$"):
        commands.run(["sh", "-c", "echo no >&2; exit 3"])


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
