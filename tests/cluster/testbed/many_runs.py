"""Many runs at once: how long until each has its Job, and what they cost the API server and the operator."""

import collections
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.fault_proxy import FaultProxy
from testbed.fixtures import make_namespace
from testbed.lanes import Lane, complete_summary, make_run
from testbed.operator_process import OperatorProcess
from testbed.waiting import wait_until

THREADS = 8
PATIENCE = 240
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Figures:
    """What was seen."""

    runs: int
    jobs: int
    job_seconds: float
    """From the first creation until the last Job is there."""
    slowest_first_status: float
    """Seconds from a run's creation to its first status, by the proxy's clock."""
    writes_per_run: list[int]
    """Besides Events, a whole life long."""
    idle_writes: int
    """While all runs run and nothing happens, over IDLE_SECONDS and two resyncs."""
    cpu_seconds: float
    """Of the operator, a whole life of all runs long."""
    resident_mb: float
    """Of the operator, at the end."""
    idle_mb: float
    """Of the operator, before the first run."""


def measure_many_runs(plane, n, folder):
    """Let n runs live at once, from their creation to Complete, and return the figures."""
    lane = Lane(plane, make_namespace(plane, "many"))
    proxy = FaultProxy(plane).start()
    kubeconfig = plane.write_kubeconfig(f"proxy-{lane.namespace}", proxy.server)
    operator = OperatorProcess(folder, kubeconfig, [lane.namespace], resync_seconds=2)
    try:
        operator.start()
        return _measure(lane, proxy, operator, n)
    finally:
        operator.kill()
        proxy.stop()
        lane.close()


def _measure(lane, proxy, operator, n):
    idle_mb, cpu = operator.resident_bytes / 1e6, operator.cpu_seconds
    names = [f"many-{i}" for i in range(n)]
    with ThreadPoolExecutor(THREADS) as threads:
        begin = time.monotonic()
        created = dict(threads.map(lambda name: _create(lane, name), names))
        wait_until(lambda: len(_all(lane, "jobs")) >= n, PATIENCE, f"{n} Jobs")
        job_seconds = time.monotonic() - begin
        pods = wait_until(lambda: len(found := _all(lane, "pods")) >= n and found, PATIENCE, f"{n} pods")
        list(threads.map(lane.pods.run, pods))
        _wait_for_phase(lane, "Running", n)
        idle_writes = _count_idle_writes(proxy)
        runs = {run["metadata"]["uid"]: run for run in _all(lane, "selectionruns")}
        list(threads.map(lambda pod: lane.pods.end(pod, 0, complete_summary(runs[_run_uid(pod)])), pods))
        _wait_for_phase(lane, "Complete", n)
    first = {}
    for write in proxy.writes:
        if write.subresource == "status":
            first.setdefault(write.run, write.time)
    return Figures(
        runs=n,
        jobs=len(_all(lane, "jobs")),
        job_seconds=job_seconds,
        slowest_first_status=max(first[name] - created[name] for name in names),
        writes_per_run=[len(proxy.writes_about(name)) for name in names],
        idle_writes=idle_writes,
        cpu_seconds=operator.cpu_seconds - cpu,
        resident_mb=operator.resident_bytes / 1e6,
        idle_mb=idle_mb,
    )


def _create(lane, name):
    lane.rest.create("selectionruns", lane.namespace, make_run(name))
    return name, time.monotonic()


def _all(lane, plural):
    return lane.rest.list(plural, lane.namespace)


def _run_uid(pod):
    return pod["metadata"]["labels"]["dataselection.io/run-uid"]


def _wait_for_phase(lane, phase, n):
    def counts():
        return collections.Counter(run["status"].get("phase") for run in _all(lane, "selectionruns"))

    wait_until(lambda: counts()[phase] == n, PATIENCE, f"{n} runs are {phase}")


def _count_idle_writes(proxy):
    """Count the writes, Events too, once those that were under way are through."""

    def silence():
        return time.monotonic() - max(write.time for write in proxy.writes)

    wait_until(lambda: silence() > 1.0, PATIENCE, "the operator falls silent")
    before = len(proxy.writes)
    until = time.monotonic() + IDLE_SECONDS
    wait_until(lambda: time.monotonic() > until, IDLE_SECONDS + 5)
    return len(proxy.writes) - before
