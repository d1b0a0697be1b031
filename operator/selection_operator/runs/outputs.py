"""Where a run's results lie, for a run whose last word was lost."""

from selection_api.names import REPORT_JSON, REPORT_PDF, RUNS_FOLDER, SELECTED_FILENAMES, run_id
from selection_api.status import Outputs
from selection_operator.views.runs import RunView


def expected_outputs(run: RunView) -> Outputs | None:
    """Return the paths that api.md promises; None when the datasource names no path."""
    datasource = run.document["spec"].get("datasources", {}).get("lightly", {})
    root = datasource.get("resourcePath")
    if not isinstance(root, str) or not root:
        return None
    folder = f"{root.rstrip('/')}/{RUNS_FOLDER}{run_id(run.key[1], run.uid)}/"
    return Outputs(
        path=folder,
        report_pdf=f"{folder}{REPORT_PDF}",
        report_json=f"{folder}{REPORT_JSON}",
        selected_filenames=f"{folder}{SELECTED_FILENAMES}",
    )
