"""docs/python.md: submitting from Python with the kubernetes client."""

import os
import re
import subprocess
import sys
from pathlib import Path

from testbed.lanes import COUNTS, complete_summary
from testbed.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
(SNIPPET,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "kubernetes" in code)


def test_the_documented_submission_follows_the_run_to_its_end(lane, control_plane):
    code = SNIPPET.replace('"default"', repr(lane.namespace))
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as user:
        named = {"metadata": {"name": "cats-10-percent"}}
        run = wait_until(lambda: lane.read(named), 30, "the run is submitted")
        pod = lane.pod_of(run)
        lane.pods.run(pod)
        lane.wait_for(run, "Running")
        lane.pods.end(pod, 0, complete_summary(run))
        lines = user.communicate(timeout=60)[0].splitlines()
    assert user.returncode == 0
    assert lines[-1].startswith(f"{COUNTS['selected']} images selected, see /data/.lightly/runs/cats-10-percent-")
    assert lines[-2].split()[:2] == ["Complete", "COMPLETED"]
    phases = [line.split()[0] for line in lines[:-1]]
    assert [phase for phase, after in zip(phases, [*phases[1:], None], strict=True) if phase != after] == [
        *(["None"] if phases[0] == "None" else []),
        "Pending",
        "Running",
        "Complete",
    ]
