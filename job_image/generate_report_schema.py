"""Write what is generated from the job's models: report_schema.json, the JSON Schema of report.json.

Run it from anywhere: python job_image/generate_report_schema.py [--check]. tests/job/test_report_schema.py compares the
file with the models.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "crds"), str(ROOT / "job_image")]

from selection_job.report.models.schema import make_report_schema  # noqa: E402

SCHEMA_FILE = Path("job_image/selection_job/report/report_schema.json")


def render_schema() -> str:
    """Return report_schema.json."""
    return json.dumps(make_report_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the generated file; with --check only say whether it is stale, and return 1 when it is."""
    path, text = ROOT / SCHEMA_FILE, render_schema()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        print(f"{SCHEMA_FILE} is stale: run make generate")
        return 1
    path.write_text(text, encoding="utf-8")
    print(f"{SCHEMA_FILE} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
