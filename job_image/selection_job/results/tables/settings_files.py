"""The files under config/: what the run was told, in full and as the user wrote it."""

from pathlib import Path
from typing import Any

import yaml

from selection_api import SelectionRun


def write_settings(folder: Path, run: SelectionRun, settings: dict[str, Any]) -> None:
    """Write config.yaml, overrides.yaml and hydra.yaml.

    config.yaml     the manifest with every default filled in; itself a manifest that gives the same run
    overrides.yaml  what the user set, and nothing else
    hydra.yaml      the run's own settings: id, times, versions, device, folders (the worker's file of that name)
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.yaml", run.resolved_settings())
    _write(folder / "overrides.yaml", run.user_settings())
    _write(folder / "hydra.yaml", {"hydra": settings})


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
