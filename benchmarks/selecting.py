"""Selecting beside lightly-mundig and plain torch: python benchmarks/selecting.py [case ...]

All engines run in one process, in turns: torch on one thread, lightly-mundig on as many as it takes, which nothing
limits, ours on one and then on all cores. CPU seconds are of ours on one thread: other work on the machine counts as
little as possible in them. Wall time, ours on all cores, tells what waiting for each means on a quiet machine and
nothing on a busy one. Times hold everything
from the array to the list of indices: handing over and running for the peer, building the tree for ours. Kernels are
loaded before; the cold start stands apart. Plain torch is timed over its first steps and extrapolated, since each step
costs the same.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.greedy.objectives import Balance, Diversity, Weights, uniform_target
from selection_job.numeric.neighbours import find_neighbours, nearest_rows
from selection_job.numeric.strategies import select

Rows = NDArray[np.float32]
TORCH_STEPS = 100
ROUNDS = 2


def make_clusters(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Return clusters whose sizes follow a power law, of unequal spread, on the unit sphere."""
    n_clusters = n // 500
    weights = 1 / np.arange(1, n_clusters + 1)
    label = rng.choice(n_clusters, n, p=weights / weights.sum())
    spread = rng.uniform(0.02, 0.3, n_clusters).astype(np.float32)[label, None]
    centres = rng.normal(size=(n_clusters, d)).astype(np.float32)
    return scale(centres[label] + spread * rng.standard_normal((n, d), dtype=np.float32))


def make_video(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Return scenes of 300 frames, each a random walk of small steps."""
    scenes = rng.normal(size=(n // 300 + 1, 1, d)) + np.cumsum(0.02 * rng.normal(size=(n // 300 + 1, 300, d)), axis=1)
    return scale(scenes.reshape(-1, d)[:n])


def make_uniform(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Return directions without any structure: the worst case, where hardly a distance can be ruled out."""
    return scale(rng.standard_normal((n, d), dtype=np.float32))


def scale(rows: NDArray[Any]) -> Rows:
    """Return the rows with unit length."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A selection to be timed, and how often as fast as the peer it should be."""

    make: Callable[[np.random.Generator, int, int], Rows]
    n: int
    k: int
    d: int
    goal: float | None
    with_peer: bool = True


CASES = {
    "clustered": Case(make_clusters, 50_000, 5_000, 128, 25),
    "video": Case(make_video, 50_000, 5_000, 128, 35),
    "uniform": Case(make_uniform, 50_000, 5_000, 128, 5),
    "clustered100k": Case(make_clusters, 100_000, 10_000, 32, 45),
    "clustered1M": Case(make_clusters, 1_000_000, 100_000, 32, None, with_peer=False),
}
MIXES = {"mix clustered": make_clusters, "mix uniform": make_uniform}


def select_by_peer(rows: Rows, k: int) -> list[int]:
    """Select by lightly-mundig."""
    from lightly_mundig import Selection  # type: ignore[import-untyped]

    selection = Selection()
    selection.add_diversifying_strategy(rows, 1.0)
    return list(selection.run_selection([], len(rows), k))


def make_mix(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and one-hot classes of unequal frequency for the rows."""
    rng = np.random.default_rng(1)
    return rng.random(len(rows)), np.eye(10)[rng.choice(10, len(rows), p=np.arange(1, 11) / 55)]


def run_mix(name: str, make: Callable[[np.random.Generator, int, int], Rows], n: int, k: int, d: int) -> None:
    """Time diversity x weights x balance, and print its row: how many picks are the peer's stands for the factor."""
    rows = make(np.random.default_rng(0), n, d)
    values, classes = make_mix(rows)
    mix = [Diversity(rows), Weights(values), Balance(classes, uniform_target(10))]
    ours, choice = clock(select, n, mix, k)
    peer, theirs = clock(mix_by_peer, rows, values, classes, k)
    shared = len(set(theirs) & set(choice.indices.tolist())) / k
    print(
        f"{name:<14}{n:>9}{k:>8}{d:>5}{ours.cpu:>9.2f}{ours.wall:>9.2f}{'':>9}{'':>9}{peer.cpu:>9.2f}"
        f"{peer.cpu / ours.cpu:>8.1f}x{peer.wall / ours.wall:>8.1f}x{10:>6}x{'':>9}{shared:>8.1%}"
    )


def mix_by_peer(rows: Rows, values: NDArray[np.float64], classes: NDArray[np.float64], k: int) -> list[int]:
    """Select by lightly-mundig."""
    from lightly_mundig import Selection

    selection = Selection()
    selection.add_diversifying_strategy(rows, 1.0)
    selection.add_weighting_strategy(values.astype(np.float32), 1.0)
    selection.add_balancing_strategy(classes.astype(np.float32), [0.1] * 10, 1.0)
    return list(selection.run_selection([], len(rows), k))


def run_neighbours(n: int, m: int, d: int, k: int) -> None:
    """Time exact nearest neighbours: of all rows among the first m, and k of each of these among themselves."""
    rows = make_clusters(np.random.default_rng(0), n, d)
    some = rows[:m].copy()
    nearest, _ = clock(nearest_rows, rows, some)
    among, _ = clock(functools.partial(find_neighbours, exclude_same_row=True), some, some, k)
    print(
        f"nearest of {m} to each of {n}: {nearest.cpu:.1f} s; {k} nearest of {m} to each of them: {among.cpu:.1f} s "
        f"(CPU, d = {d})"
    )


def extrapolate_torch(rows: Rows, k: int) -> float:
    """Return the CPU seconds that the plain loop in torch would take."""
    points, nearest, row = torch.from_numpy(rows), torch.full((len(rows),), torch.inf), 0
    started = time.process_time()
    for _ in range(TORCH_STEPS):
        torch.minimum(nearest, (points - points[row]).square_().sum(dim=1), out=nearest)
        row = int(nearest.argmax())
    return (time.process_time() - started) / TORCH_STEPS * k


def measure_radius(rows: Rows, chosen: Any) -> float:
    """Return the covering radius, from products in blocks: the same for both engines."""
    points, nearest = torch.from_numpy(rows), torch.full((len(rows),), torch.inf)
    for block in torch.split(points[torch.as_tensor(chosen)], 1024):
        nearest = torch.minimum(nearest, torch.cdist(points, block).min(dim=1).values)
    return float(nearest.max())


class Times(NamedTuple):
    """What a call took, in seconds."""

    cpu: float
    wall: float


def clock(function: Callable[..., Any], *arguments: Any) -> tuple[Times, Any]:
    """Return what the call took, and the result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*arguments)
    return Times(time.process_time() - cpu, time.perf_counter() - wall), result


def take_least(times: list[Times]) -> Times:
    """Return the smallest of each."""
    return Times(min(each.cpu for each in times), min(each.wall for each in times))


def run_case(name: str, case: Case) -> None:
    """Time one case and print its row."""
    rows = case.make(np.random.default_rng(0), case.n, case.d)
    ours, threaded, peers = [], [], []
    for _ in range(ROUNDS):
        seconds, (chosen, radii) = clock(functools.partial(farthest_first, threads=1), rows, case.k)
        ours.append(seconds)
        seconds, (same, _) = clock(functools.partial(farthest_first, threads=os.cpu_count() or 1), rows, case.k)
        threaded.append(seconds)
        assert np.array_equal(chosen, same)
        if case.with_peer:
            seconds, theirs = clock(select_by_peer, rows, case.k)
            peers.append(seconds)
    own, all_cores = take_least(ours), take_least(threaded)
    line = (
        f"{name:<14}{case.n:>9}{case.k:>8}{case.d:>5}{own.cpu:>9.2f}{own.wall:>9.2f}{all_cores.wall:>9.2f}"
        f"{extrapolate_torch(rows, case.k):>9.1f}"
    )
    if case.with_peer:
        factor, peer = float(radii[-1]) / measure_radius(rows, theirs), take_least(peers)
        line += (
            f"{peer.cpu:>9.2f}{peer.cpu / own.cpu:>8.1f}x{peer.wall / all_cores.wall:>8.1f}x{case.goal or 0:>6.0f}x"
            f"{radii[-1]:>9.5f}{factor:>9.5f}"
        )
    else:
        line += f"{'':>9}{'':>9}{'':>9}{'':>7}{radii[-1]:>9.5f}"
    print(line, flush=True)


def measure_memory() -> None:
    """Print how much memory one selection takes beyond its input, in this process of its own."""
    case = CASES["clustered1M"]
    rows = case.make(np.random.default_rng(0), case.n, case.d)
    farthest_first(rows[:20_000].copy(), 10)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = read_status("VmRSS")
    farthest_first(rows, case.k)
    taken, given = (read_status("VmHWM") - before) / 1e6, rows.nbytes / 1e6
    print(f"memory at {case.n} x {case.d}: {taken:.0f} MB besides the input's {given:.0f} MB")


def read_status(key: str) -> int:
    """Return bytes of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


FIRST_ROWS = "import numpy as np; rows = np.random.default_rng(0).random((20000, 8), dtype=np.float32);"
FIRST_SELECTIONS = {
    "farthest-first": "from selection_job.numeric.farthest_first import farthest_first; farthest_first(rows, 10)",
    "a mix": "from selection_job.numeric.greedy.objectives import Balance, Diversity, Weights, uniform_target;"
    "from selection_job.numeric.strategies import select; classes = np.eye(10)[np.arange(20000) % 10];"
    "mix = [Diversity(rows), Weights(np.arange(20000.0)), Balance(classes, uniform_target(10))];"
    "select(20000, mix, 10)",
}


def measure_start() -> None:
    """Print what a process takes for its first selection, on a fresh machine and where kernels are kept.

    CPU seconds are those of the process alone, without the helper that compiles beside it.
    """
    for name, selection in FIRST_SELECTIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            fresh, later = (start_process(FIRST_ROWS + selection, folder) for _ in range(2))
        print(f"first selection, {name}: {fresh}; where kernels are kept: {later}")


def start_process(program: str, folder: str) -> str:
    """Return what a process takes whose kernels are kept in the folder."""
    told = f"{program}; import time; print(time.process_time())"
    command, started = [sys.executable, "-c", told], time.perf_counter()
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return f"{time.perf_counter() - started:.1f} s ({float(done.stdout):.1f} s CPU)"


def main() -> None:
    """Print the table, the memory and the cold start."""
    if sys.argv[1:] == ["--memory"]:
        measure_memory()
        return
    torch.set_num_threads(1)
    measure_start()
    farthest_first(make_uniform(np.random.default_rng(0), 20_000, 8), 10)
    select(4000, [Diversity(make_uniform(np.random.default_rng(0), 4000, 8)), Weights(np.ones(4000))], 10)
    print(
        "CPU seconds of ours on one thread, wall time of it on one thread and on all cores; CPU seconds of torch and of"
    )
    print(
        "lightly-mundig; ratios of CPU seconds and of wall time, ours on all cores; factor: our radius over the peer's"
    )
    print(f"{'data':<14}{'n':>9}{'k':>8}{'d':>5}{'ours':>9}{'one':>9}{'all':>9}{'torch':>9}{'mundig':>9}{'ratio':>9}{'wall':>9}"
          f"{'goal':>7}{'radius':>9}{'factor':>9}")  # fmt: skip
    for name in sys.argv[1:] or [*CASES, *MIXES]:
        if name in MIXES:
            run_mix(name, MIXES[name], 50_000, 5_000, 128)
        else:
            run_case(name, CASES[name])
    if not sys.argv[1:]:
        run_neighbours(1_000_000, 100_000, 32, 20)
        subprocess.run([sys.executable, __file__, "--memory"], check=True)


if __name__ == "__main__":
    main()
