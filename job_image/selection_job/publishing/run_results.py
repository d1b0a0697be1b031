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
from selection_job.catalog.embedded import Embedded
from selection_job.encoder.encoder import EmbeddingSource
from selection_job.process.machine import describe_device, read_versions
from selection_job.report.facts import RunFacts
from selection_job.run.context import RunContext
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.selection import Selection
from selection_job.stages.datapool import DatapoolView
from selection_job.stages.encoder import trained_files
from selection_job.stages.selection import Chosen


@dataclass(frozen=True)
class RunResults:
    """What there is, how it was embedded, what else is known of it, what was chosen."""

    pool: DatapoolView
    encoder: EmbeddingSource
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


def summarize(context: RunContext, findings: RunResults) -> RunSummary:
    """Return the run's last word: counts and where the results lie."""
    return RunSummary(
        run_id=context.run_id,
        exit_code=ExitCode.DONE,
        reason=REASON_OF_EXIT[ExitCode.DONE],
        stage=Stage.COMPLETED,
        counts=count_images(findings.catalog, findings.selection),
        outputs=_name_outputs(context.url, findings.encoder),
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


def _name_outputs(url: str, encoder: EmbeddingSource) -> Outputs:
    trained = trained_files(encoder)
    return Outputs(
        path=url,
        report_pdf=f"{url}{REPORT_PDF}",
        report_json=f"{url}{REPORT_JSON}",
        selected_filenames=f"{url}{SELECTED_FILENAMES}",
        checkpoint=next((f"{url}{name}" for name, path in trained.items() if path == encoder.checkpoint), None),
    )


def gather_facts(context: RunContext, findings: RunResults) -> RunFacts:
    """Return what the report says about the run itself. Reading again is what exceeds the size of all images."""
    spec = context.spec
    size_bytes = int(findings.listing.sizes_bytes.sum())
    return RunFacts(
        run_id=context.run_id,
        name=context.run.metadata.name,
        dataset_name=context.run.dataset_name,
        started_at=context.started_at.isoformat(timespec="seconds"),
        finished_at=context.now().isoformat(timespec="seconds"),
        stage_seconds=dict(context.progress.stage_seconds),
        device=describe_device(context.device),
        threads=torch.get_num_threads(),
        versions=read_versions(),
        input_url=context.source.url,
        output_url=context.url,
        credentials={"input": context.source.credentials, "lightly": context.target.credentials},
        encoder_source=findings.encoder.source,
        encoder_fingerprint=findings.encoder.fingerprint,
        decoder=context.worker.decoder,
        bytes_read=context.source.bytes_read,
        bytes_reread=max(0, context.source.bytes_read - size_bytes),
        n_input=findings.catalog.n_input,
        seed=spec.lightly_config.seed,
        energy=context.energy.read(),
        every_nth_frame=spec.dataset.every_nth_frame,
        target_fps=spec.dataset.target_fps,
        notes=[*accepted_without_effect(spec), *context.notes, *findings.encoder.notes, *findings.selection.notes],
        config=context.run.resolved_settings(),
        overrides=context.run.user_settings(),
    )


def describe_run(context: RunContext, encoder: EmbeddingSource) -> dict[str, Any]:
    """Return the run's own settings for config/hydra.yaml."""
    return {
        "run": {"dir": context.url},
        "job": {"name": context.run.metadata.name, "id": context.run_id},
        "runtime": {
            "started_at": context.started_at.isoformat(timespec="seconds"),
            "device": describe_device(context.device),
            "threads": torch.get_num_threads(),
            "encoder": encoder.source,
            "versions": read_versions(),
        },
    }
