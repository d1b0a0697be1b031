"""The operator under load: python benchmarks/many_runs.py [runs]

All runs are created at once against a real control plane without nodes, live from their creation to Complete (what
happens to their pods is played), and the operator is a process of its own. Printed: seconds until each run has its
Job, writes to the API server for each run besides Events, writes while nothing happens, processor time and memory.
"""

import statistics
import sys
import tempfile
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

RUNS = (20, 200)


def main() -> None:
    """Measure and print the table."""
    start_control_plane = import_module("testbed.control_plane").start_control_plane
    measure_many_runs = import_module("testbed.many_runs").measure_many_runs
    sizes = [int(word) for word in sys.argv[1:]] or RUNS
    print("| runs | all have Jobs, s | slowest first status, s | writes a run | idle writes | CPU, s | memory, MB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        plane = start_control_plane(Path(name) / "control-plane")
        try:
            for n in sizes:
                figures = measure_many_runs(plane, n, Path(name) / f"operator-{n}")
                writes = statistics.mean(figures.writes_per_run)
                print(
                    f"| {n} | {figures.job_seconds:.1f} | {figures.slowest_first_status:.1f} | {writes:.2f} "
                    f"| {figures.idle_writes} | {figures.cpu_seconds:.1f} "
                    f"| {figures.idle_mb:.0f} → {figures.resident_mb:.0f} |",
                    flush=True,
                )
        finally:
            plane.stop()


if __name__ == "__main__":
    main()
