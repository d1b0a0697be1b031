"""`selection-job check` of a manifest beside importing pydantic and yaml: CPU seconds, the best of 9 in turns.

BaseModel is named because `import pydantic` alone imports next to nothing: its parts come when they are used.
"""

import resource
import subprocess
import sys
from pathlib import Path

MANIFEST = Path(__file__).parents[1] / "examples/quickstart.yaml"
COMMANDS = {
    "from pydantic import BaseModel; import yaml": ["-c", "from pydantic import BaseModel; import yaml"],
    "selection-job check": ["-m", "selection_job", "check", str(MANIFEST)],
}
ROUNDS = 9


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    rounds = [{name: cpu_seconds(arguments) for name, arguments in COMMANDS.items()} for _ in range(ROUNDS)]
    best = {name: min(taken[name] for taken in rounds) for name in COMMANDS}
    first = next(iter(best.values()))
    print("| command | CPU seconds | ratio |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| `{name}` | {seconds:.2f} | {seconds / first:.1f} |")


if __name__ == "__main__":
    main()
