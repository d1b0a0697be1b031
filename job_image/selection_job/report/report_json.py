"""report.json: every number of the report, and every plot's data, in one versioned document (report_schema.json)."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import islice
from typing import Any, Literal

import numpy as np

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.half_match import HalfMatch
from selection_job.report.facts import RunFacts
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.choice_metrics import describe_object_level, describe_sequence_level
from selection_job.report.measures.coverage import describe_coverage, describe_curve
from selection_job.report.measures.distances import compare_distances
from selection_job.report.measures.examples import choose_examples
from selection_job.report.measures.image_groups import find_outliers, find_thinned, group_duplicates
from selection_job.report.measures.maps import make_maps
from selection_job.report.measures.query_hits import describe_queries
from selection_job.report.measures.savings import estimate_savings
from selection_job.report.measures.source_statistics import describe_metadata, describe_predictions
from selection_job.report.measures.strategy_effects import describe_strategies, list_kept_out
from selection_job.report.measures.video_information import describe_videos
from selection_job.report.models.general import (
    Credentials,
    DatasetInformation,
    DatasetSizes,
    EncoderInformation,
    GeneralInformation,
    HalfMatchInformation,
    RunInformation,
    StageTime,
    WorkerInformation,
)
from selection_job.report.models.images import (
    MOST_LISTED,
    CorruptFile,
    CorruptImages,
    DuplicateImage,
    ExactDuplicates,
    ImageGroups,
)
from selection_job.report.models.maps import EmbeddingDistances, EmbeddingInformation
from selection_job.report.models.report import SCHEMA_VERSION, DatasetAnalysis, Report, Settings
from selection_job.report.models.selection import MOST_FIRST, SelectionInformation
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection


@dataclass(frozen=True)
class SourceFindings:
    """What a run knows of its images beside their embeddings."""

    gathered: GatheredSources = field(default_factory=lambda: GatheredSources(0))
    """Metadata, predictions and scores, aligned with the catalog."""
    objects: ObjectSelection | None = None
    """What was chosen on the object level."""
    sequences: SequenceSelection | None = None
    """What was chosen where several frames are selected at once."""


def build_report(
    *,
    facts: RunFacts,
    catalog: Catalog,
    selection: Selection,
    pool: Candidates,
    worker: WorkerConfig,
    sources: SourceFindings,
) -> Report:
    """Return the report, without NaN or infinity. Measures distances and makes the maps."""
    maps, umap_seconds = make_maps(pool, catalog.names, catalog.medium.noun)
    distances = compare_distances(pool)
    outliers, n_searched = find_outliers(pool, catalog.names)
    normalize, seed = worker.normalize_embeddings, facts.seed
    video_sizes = videos = objects = sequences = None
    if catalog.medium.has_many_per_file:
        video_sizes, videos = describe_videos(catalog.frames, catalog, selection, pool=pool, facts=facts)
    if sources.objects is not None:
        objects = describe_object_level(sources.objects, normalize=normalize, seed=seed)
    if sources.sequences is not None:
        sequences = describe_sequence_level(sources.sequences, normalize=normalize, seed=seed)
    return Report(
        schema_version=SCHEMA_VERSION,
        general_information=GeneralInformation(
            worker_information=_describe_worker(facts),
            run_information=_describe_run(facts, umap_seconds),
            dataset_information=DatasetInformation(
                dataset_name=facts.dataset_name,
                dataset_sizes=_count_images(facts, catalog, selection),
                video_level_sizes=video_sizes,
            ),
        ),
        selection_information=_describe_selection(catalog, selection, pool, worker, distances),
        corrupt_images=_list_corrupt(catalog),
        exact_duplicates=_list_duplicates(catalog, selection),
        annotation_savings=estimate_savings(
            worker.report, n_avoided=catalog.n_new - len(selection.selected), energy=facts.energy
        ),
        selected_and_removed_image_examples=choose_examples(pool, catalog.names, worker.n_example_images),
        image_groups=ImageGroups(
            thinned=find_thinned(selection, catalog.names), outliers=outliers, n_searched=n_searched
        ),
        dataset_analysis=DatasetAnalysis(
            embedding_information=EmbeddingInformation(**dict(distances), scatter_plot_data=maps),
            metadata_information=describe_metadata(sources.gathered, pool),
        ),
        prediction_task_information=describe_predictions(sources.gathered, pool, catalog),
        queries=describe_queries(selection, sources.gathered, catalog) or None,
        settings=Settings(config=facts.config, overrides=facts.overrides),
        notes=list(facts.notes),
        video_information=videos,
        object_level_information=objects,
        sequence_information=sequences,
    )


def _describe_worker(facts: RunFacts) -> WorkerInformation:
    return WorkerInformation(
        build_version=facts.versions.get("selection-operator", "unknown"),
        versions=facts.versions,
        device=facts.device,
        threads=facts.threads,
    )


def _describe_run(facts: RunFacts, umap_seconds: float) -> RunInformation:
    return RunInformation(
        run_id=facts.run_id,
        run_name=facts.name,
        start_timestamp=facts.started_at,
        end_timestamp=facts.finished_at,
        total_processing_time_s=sum(facts.stage_seconds.values()),
        stages=[StageTime(stage=str(stage), seconds=seconds) for stage, seconds in facts.stage_seconds.items()],
        input_url=facts.input_url,
        run_url=facts.output_url,
        credentials=Credentials(**facts.credentials),
        encoder=_describe_encoder(facts),
        decoder=facts.decoder,
        bytes_read=facts.bytes_read,
        bytes_reread=facts.bytes_reread,
        seed=facts.seed,
        umap_seconds=umap_seconds,
    )


def _describe_encoder(facts: RunFacts) -> EncoderInformation:
    return EncoderInformation(
        source=facts.encoder_source,
        fingerprint=facts.encoder_fingerprint,
        name=facts.encoder_name or None,
        licence=facts.encoder_licence or None,
        input_size=facts.encoder_input_px,
        preprocessing=facts.encoder_preprocessing or None,
        half_match=None if facts.half_match is None else _describe_halves(facts.half_match),
    )


def _describe_halves(match: HalfMatch) -> HalfMatchInformation:
    n = match.n_pictures
    return HalfMatchInformation(
        n_images=n,
        n_matched=match.n_matched,
        n_matched_by_colors=match.n_by_colours,
        share=match.n_matched / n if n else None,
        chance=1 / n if n else None,
        verdict=match.verdict,
    )


def _count_images(facts: RunFacts, catalog: Catalog, selection: Selection) -> DatasetSizes:
    return DatasetSizes(
        n_input=facts.n_input,
        n_corrupt=len(catalog.corrupt),
        n_duplicate=catalog.n_new - len(selection.candidates),
        n_removed=len(selection.removed),
        n_selected=len(selection.selected),
        n_preselected_datapool=len(selection.preselected),
        n_selected_with_datapool=len(selection.selected) + len(selection.preselected),
    )


def _describe_selection(
    catalog: Catalog, selection: Selection, pool: Candidates, worker: WorkerConfig, distances: EmbeddingDistances
) -> SelectionInformation:
    """Describe the choice; the covering radius is exact, over all candidates that pass."""
    nearest, sequences = distances.distance_to_nearest_neighbor_in_set, selection.sequences
    sets = {"input": nearest.input, "selected": nearest.selected, "random": nearest.random}
    means = {name: one.metrics.mean if one and one.metrics else None for name, one in sets.items()}
    of_images = selection if sequences is None else replace(selection, rankings=())
    return SelectionInformation(
        method=selection.method,
        stopped_by=selection.stopped_by,
        normalize_embeddings=worker.normalize_embeddings,
        embedding_dimensions=pool.vectors.shape[1],
        first_selected=[catalog.names[row] for row in selection.selected[:MOST_FIRST].tolist()],
        sequence_length=1 if sequences is None else sequences.shape[1],
        cover_radius=float(pool.distance_to_selected.max()),
        cover_mean=float(pool.distance_to_selected.mean(dtype=np.float64)),
        cover_radius_by_pick=describe_curve(selection),
        coverage=describe_coverage(selection),
        n_filtered=selection.n_filtered,
        kept_out=list_kept_out(selection) or None,
        n_asked=selection.n_asked,
        strategies=describe_strategies(of_images, pool, means, catalog.medium.noun),
    )


def _list_corrupt(catalog: Catalog) -> CorruptImages:
    kinds = Counter(reason.partition(":")[0].strip() for reason in catalog.corrupt.values())
    return CorruptImages(
        total=len(catalog.corrupt),
        are_checked=catalog.was_read,
        kinds=dict(kinds.most_common(100)),
        images=[
            CorruptFile(filename=name, reason=reason)
            for name, reason in islice(sorted(catalog.corrupt.items()), MOST_LISTED)
        ],
    )


def _list_duplicates(catalog: Catalog, selection: Selection) -> ExactDuplicates:
    """List exact copies with the image that they are copies of, whether or not they were left out of the selection.

    Where no image was read they are the images with equal vectors.
    """
    rows = np.flatnonzero(catalog.is_duplicate)
    return ExactDuplicates(
        total=len(rows),
        compared_by=_name_comparison(catalog),
        are_removed=selection.sequences is None and len(selection.candidates) < catalog.n_new,
        images=[
            DuplicateImage(filename=catalog.names[row], duplicate_of=catalog.names[catalog.duplicate_of[row]])
            for row in rows[:MOST_LISTED].tolist()
        ],
        groups=group_duplicates(catalog),
    )


def _name_comparison(catalog: Catalog) -> Literal["bytes", "pixels", "vectors"]:
    """Say what copies have in common; frames are compared as they were decoded."""
    if catalog.medium.has_many_per_file:
        return "pixels"
    return "bytes" if catalog.was_read else "vectors"


def report_json_bytes(report: dict[str, Any]) -> bytes:
    """Return the document as UTF-8 with sorted keys.

    A name that is not valid Unicode (bytes of another encoding on a local disk) is written as JSON's escape of the
    surrogate that Python reads it as, so that reading the file gives the same name.
    Raises ValueError for NaN or infinity.
    """
    text = json.dumps(report, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_schema() -> dict[str, Any]:
    """Return the JSON Schema of report.json, which ships with the package."""
    text = files("selection_job.report").joinpath("report_schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
