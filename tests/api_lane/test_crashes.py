"""The operator killed at each of its writes, and each write answered with each error: the end is the same."""

import collections
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from testbed.fault_proxy import Fault, FaultProxy
from testbed.fixtures import make_namespace
from testbed.lanes import Lane
from testbed.lives import JOB, LIVES, STATUS, end_state
from testbed.operator_process import OperatorProcess
from testbed.waiting import wait_until

KILLERS = 4
"""Operators that are killed side by side, each with its own namespace."""
SIDE_BY_SIDE = 12
"""Runs with a broken answer each, side by side in one operator that is never killed."""
QUIET_SECONDS = 1.0

ANSWERS = ("403", "409", "422", "429", "500", "503", "before", "after")


@dataclass(frozen=True)
class Case:
    """What goes wrong in a life; nth 0 is the reference, in which nothing does."""

    life: str
    nth: int = 0
    how: str = ""
    kill: bool = False

    @property
    def id(self):
        if not self.nth:
            return f"{self.life}-undisturbed"
        doing = "kill" if self.kill else "answer"
        return f"{self.life}-{self.nth}-{LIVES[self.life].writes[self.nth - 1].replace(' ', '-')}-{doing}-{self.how}"


@dataclass
class Outcome:
    """How a life ended."""

    state: dict
    writes: list
    phases: list
    """What each status write said."""
    kills: int


# The first three writes are those of every life.
OWN_WRITES = {"complete": (1, 2, 3, 4), "failed": (4,), "suspended": range(4, 11), "disrupted": (5, 6), "ttl": (5,)}
KILLS = [Case(life, n, how, kill=True) for life in LIVES for n in OWN_WRITES[life] for how in ("before", "after")]
ERRORS = [Case(life, n, how) for life in LIVES for n in OWN_WRITES[life] for how in ANSWERS if life != "suspended"]
ERRORS += [Case("suspended", n, how) for n in OWN_WRITES["suspended"] for how in ("409", "500", "after")]
# A refused Job is the user's to mend: see test_refusals.py.
ERRORS = [case for case in ERRORS if (case.how, LIVES[case.life].writes[case.nth - 1]) != ("422", JOB)]
REFERENCES = [Case(life) for life in LIVES]


@pytest.fixture(scope="module")
def outcomes(request, control_plane, tmp_path_factory):
    """The outcome of every case that is wanted: played side by side, waited for one by one."""
    wanted = {item.callspec.params["case"] for item in request.session.items if "outcomes" in item.fixturenames}
    wanted |= {Case(case.life) for case in wanted}
    kills = [case for case in wanted if case.kill]
    errors = [case for case in wanted if not case.kill]
    with Stage(control_plane, tmp_path_factory) as stage, ThreadPoolExecutor(KILLERS) as killers:
        futures = {case: killers.submit(stage.play_with_kills, case) for case in kills}
        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            futures |= {case: threads.submit(stage.play, stage.steady, case) for case in errors}
            yield {case: future.result for case, future in futures.items()}


class Stage:
    """The operators, each behind a proxy of its own: one that is never killed, and some that are."""

    def __init__(self, plane, tmp_path_factory):
        self.plane, self.folders = plane, tmp_path_factory
        self.numbers = iter(range(10**6))
        self.lock = threading.Lock()
        self.built = []

    def __enter__(self):
        self.steady = self.build()
        self.idle = queue.SimpleQueue()
        for _ in range(KILLERS):
            self.idle.put(None)
        return self

    def __exit__(self, *_):
        for lane, proxy, operator in self.built:
            operator.kill()
            proxy.stop()
            lane.close()

    def build(self):
        """Return lane, proxy and operator, started."""
        lane = Lane(self.plane, make_namespace(self.plane, "crash"))
        proxy = FaultProxy(self.plane).start()
        kubeconfig = self.plane.write_kubeconfig(f"proxy-{lane.namespace}", proxy.server)
        folder = self.folders.mktemp(lane.namespace)
        operator = OperatorProcess(folder, kubeconfig, [lane.namespace], progress_seconds=10)
        with self.lock:
            self.built.append((lane, proxy, operator))
        operator.start()
        return lane, proxy, operator

    def play_with_kills(self, case):
        """Play a case with an operator of those that may be killed."""
        parts = self.idle.get() or self.build()
        try:
            return self.play(parts, case)
        finally:
            self.idle.put(parts)

    def play(self, parts, case):
        """Play a case and return its outcome once the operator has fallen silent."""
        lane, proxy, operator = parts
        with self.lock:
            name = f"life-{next(self.numbers)}"
        starts = operator.starts
        if case.nth:
            restart = operator.restart if case.kill else lambda: None
            proxy.rules.faults[name] = Fault(case.nth, case.how, on_write=restart, retry_after=1)
        run = LIVES[case.life].play(lane, name)
        wait_until(lambda: _is_quiet(proxy, name), 60, "the operator falls silent")
        writes = proxy.writes_about(name)
        phases = [_phase(one.body["status"]) for one in writes if one.subresource == "status"]
        return Outcome(end_state(lane, run), [one.what for one in writes], phases, operator.starts - starts)


def _phase(status):
    ready = {one["type"]: one for one in status["conditions"]}["Ready"]
    return f"{status['phase']} {ready['reason']}: {ready['message']}"


def _is_quiet(proxy, name):
    last = max((one.time for one in proxy.writes_about(name)), default=0)
    return time.monotonic() - last > QUIET_SECONDS


@pytest.mark.parametrize("case", REFERENCES, ids=lambda case: case.id)
def test_an_undisturbed_life_has_these_writes(outcomes, case):
    outcome = outcomes[case]()
    assert outcome.writes == list(LIVES[case.life].writes), outcome.phases
    assert len(outcome.state["jobs"]) == (case.life != "ttl")


def check_same_end(outcomes, case):
    outcome, reference = outcomes[case](), outcomes[Case(case.life)]()
    assert outcome.state == reference.state
    made = collections.Counter(outcome.writes)
    broken = LIVES[case.life].writes[case.nth - 1]
    allowed = collections.Counter([*reference.writes, broken])
    if (broken, case.how) == (JOB, "403"):
        allowed += collections.Counter({STATUS: 2})  # that the operator lacks a permission is told, and taken back
    assert made - allowed == collections.Counter(), f"{outcome.phases}: {outcome.writes} instead of {reference.writes}"
    return outcome


@pytest.mark.parametrize("case", KILLS, ids=lambda case: case.id)
def test_killed_at_a_write_the_operator_brings_the_run_to_the_same_end(outcomes, case):
    assert check_same_end(outcomes, case).kills == 1


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.id)
def test_an_error_at_a_write_is_overcome(outcomes, case):
    assert check_same_end(outcomes, case).kills == 0
