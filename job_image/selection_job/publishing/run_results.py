"""Results of a run: what the stages before the report found out, and what follows for the report and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from selection_api import ExitCode, RunSummary, Stage, accepted_without_effect
from selection_api.names import REASON_OF_EXIT, REPORT_JSON, REPORT_PDF, SELECTED_FILENAMES
from selection_api.status import Counts, Outputs
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.catalog.half_match import HalfMatch
from selection_job.embeddings.encoder_record import EncoderRecord
from selection_job.embeddings.given_embeddings import GivenEmbeddings
from selection_job.encoder.encoder import EmbeddingSource, Encoder
from selection_job.process.machine import describe_device, read_versions
from selection_job.report.facts import RunFacts
from selection_job.report.sections.encoder import note_blind_encoder
from selection_job.run.context import RunContext
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection
from selection_job.stages.datapool import DatapoolView
from selection_job.stages.encoder import trained_files
from selection_job.stages.medium import MediumStages


@dataclass(frozen=True, eq=False)
class RunResults:
    """What there is, how it was embedded, what else is known of it, what was chosen."""

    medium: MediumStages
    view: DatapoolView
    """What the run looked at."""
    encoder: EmbeddingSource
    catalog: Catalog
    embeddings: NDArray[np.float32]  # (n, d) aligned with catalog.names
    crops: tuple[Crops, ...]
    sources: GatheredSources
    selection: Selection
    half_match: HalfMatch | None
    """Whether the encoder tells the images apart."""
    objects: ObjectSelection | None
    """The objects that led to the selection, where these were chosen."""
    sequences: SequenceSelection | None
    """The same of sequences."""
    notes: tuple[str, ...]
    """What the user should know of the stages until here, in their order."""


def summarize(context: RunContext, results: RunResults) -> RunSummary:
    """Return the run's last word: counts and where the results lie."""
    return RunSummary(
        run_id=context.run_id,
        exit_code=ExitCode.DONE,
        reason=REASON_OF_EXIT[ExitCode.DONE],
        stage=Stage.COMPLETED,
        counts=count_images(results.catalog, results.selection),
        outputs=_name_outputs(context.url, results.encoder),
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


def gather_facts(context: RunContext, results: RunResults, notes: Sequence[str]) -> RunFacts:
    """Return what the report says about the run itself. Reading again is what exceeds the size of all images.

    notes  on writing the results
    """
    spec = context.spec
    size_bytes = int(results.view.listing.sizes_bytes.sum())
    seconds = dict(context.progress.stage_seconds)
    finished_at = context.started_at + timedelta(seconds=sum(seconds.values()))
    return RunFacts(
        run_id=context.run_id,
        name=context.run.metadata.name,
        dataset_name=context.run.dataset_name,
        started_at=context.started_at.isoformat(timespec="seconds"),
        finished_at=finished_at.isoformat(timespec="seconds"),
        stage_seconds=seconds,
        device=describe_device(context.device),
        threads=torch.get_num_threads(),
        versions=read_versions(),
        input_url=context.source.url,
        output_url=context.url,
        credentials={"input": context.source.credentials, "lightly": context.target.credentials},
        encoder_source=results.encoder.source,
        encoder_fingerprint=results.encoder.fingerprint,
        **_describe_encoder(results.encoder),
        half_match=results.half_match,
        decoder=context.worker.decoder,
        bytes_read=context.source.bytes_read,
        bytes_reread=max(0, context.source.bytes_read - size_bytes),
        n_input=results.catalog.n_input,
        seed=spec.lightly_config.seed,
        energy=context.energy.read(),
        every_nth_frame=spec.dataset.every_nth_frame,
        target_fps=spec.dataset.target_fps,
        notes=[
            *accepted_without_effect(spec),
            *note_blind_encoder(results.half_match, results.encoder.source, results.catalog.medium.noun),
            *results.notes,
            *notes,
            *results.encoder.notes,
            *results.selection.notes,
        ],
        config=context.run.resolved_settings(),
        overrides=context.run.user_settings(),
    )


def find_record(results: RunResults) -> EncoderRecord | None:
    """Return which encoder made the embeddings; None where they were given and nothing says it."""
    encoder = results.encoder
    if isinstance(encoder, GivenEmbeddings):
        return encoder.record
    return EncoderRecord(encoder.fingerprint, encoder.source, results.embeddings.shape[1])


def _describe_encoder(encoder: EmbeddingSource) -> dict[str, Any]:
    if not isinstance(encoder, Encoder):
        return {}
    return {
        "encoder_name": encoder.name,
        "encoder_licence": encoder.licence,
        "encoder_input_px": encoder.preprocessing.size_px,
        "encoder_preprocessing": str(encoder.preprocessing),
    }


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
