"""Findings: all that the stages before the report found out, and what follows from it for report and summary."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from selection_api import ExitCode, RunSummary, Stage, accepted_without_effect
from selection_api.names import REASON_OF_EXIT, REPORT_JSON, REPORT_PDF, SELECTED_FILENAMES
from selection_api.status import Counts, Outputs
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.datapool_stage import PoolView
from selection_job.embedding_stage import Embedded
from selection_job.encoder.encoder import Origin
from selection_job.encoder_stage import trained_files
from selection_job.machine import describe_device, read_versions
from selection_job.report.facts import RunFacts
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.selection import Selection
from selection_job.selection_stage import Chosen
from selection_job.workplace import Workplace


@dataclass(frozen=True)
class Findings:
    """What there is, how it was embedded, what else is known of it, what was chosen."""

    pool: PoolView
    encoder: Origin
    embedded: Embedded
    sources: GatheredSources
    chosen: Chosen

    @property
    def listing(self) -> Listing:
        """What the run looked at."""
        return self.pool.listing

    @property
    def catalog(self) -> Catalog:
        """The readable images."""
        return self.embedded.catalog

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(n, d) float32, aligned with catalog.names."""
        return self.embedded.embeddings

    @property
    def selection(self) -> Selection:
        """Which images are kept."""
        return self.chosen.selection


def summarize(place: Workplace, findings: Findings) -> RunSummary:
    """Return the run's last word: counts and where the results lie."""
    return RunSummary(
        run_id=place.run_id,
        exit_code=ExitCode.DONE,
        reason=REASON_OF_EXIT[ExitCode.DONE],
        stage=Stage.COMPLETED,
        counts=count_images(findings.catalog, findings.selection),
        outputs=_name_outputs(place.url, findings.encoder),
    )


def count_images(catalog: Catalog, selection: Selection) -> Counts:
    """Return what became of the input images; the parts add up to input."""
    return Counts(
        input=catalog.n_input,
        corrupt=len(catalog.corrupt),
        duplicate=catalog.n_new - len(selection.candidates),
        selected=len(selection.selected),
        removed=len(selection.removed),
    )


def _name_outputs(url: str, encoder: Origin) -> Outputs:
    trained = trained_files(encoder)
    return Outputs(
        path=url,
        report_pdf=f"{url}{REPORT_PDF}",
        report_json=f"{url}{REPORT_JSON}",
        selected_filenames=f"{url}{SELECTED_FILENAMES}",
        checkpoint=next((f"{url}{name}" for name, path in trained.items() if path == encoder.checkpoint), None),
    )


def gather_facts(place: Workplace, findings: Findings) -> RunFacts:
    """Return what the report says about the run itself. Reading again is what exceeds the size of all images."""
    spec = place.spec
    size_bytes = int(findings.listing.sizes_bytes.sum())
    return RunFacts(
        run_id=place.run_id,
        name=place.run.metadata.name,
        dataset_name=place.run.dataset_name,
        started_at=place.started_at.isoformat(timespec="seconds"),
        finished_at=place.now().isoformat(timespec="seconds"),
        stage_seconds=dict(place.progress.stage_seconds),
        device=describe_device(place.device),
        threads=torch.get_num_threads(),
        versions=read_versions(),
        input_url=place.source.url,
        output_url=place.url,
        credentials={"input": place.source.credentials, "lightly": place.target.credentials},
        encoder_source=findings.encoder.source,
        encoder_fingerprint=findings.encoder.fingerprint,
        decoder=place.worker.decoder,
        bytes_read=place.source.bytes_read,
        bytes_reread=max(0, place.source.bytes_read - size_bytes),
        n_input=findings.catalog.n_input,
        seed=spec.lightly_config.seed,
        energy=place.energy.read(),
        every_nth_frame=spec.dataset.every_nth_frame,
        target_fps=spec.dataset.target_fps,
        notes=[*accepted_without_effect(spec), *place.notes, *findings.encoder.notes, *findings.selection.notes],
        config=place.run.resolved_settings(),
        overrides=place.run.user_settings(),
    )


def describe_run(place: Workplace, encoder: Origin) -> dict[str, Any]:
    """Return the run's own settings for config/hydra.yaml."""
    return {
        "run": {"dir": place.url},
        "job": {"name": place.run.metadata.name, "id": place.run_id},
        "runtime": {
            "started_at": place.started_at.isoformat(timespec="seconds"),
            "device": describe_device(place.device),
            "threads": torch.get_num_threads(),
            "encoder": encoder.source,
            "versions": read_versions(),
        },
    }
