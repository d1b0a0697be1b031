"""report.json: every number of the report, and every plot's data, in one versioned document (report_schema.json)."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from itertools import islice
from typing import Any

import numpy as np

from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.report.facts import RunFacts
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.coverage import describe_coverage, describe_curve
from selection_job.report.measures.distances import compare_distances
from selection_job.report.measures.examples import choose_examples
from selection_job.report.measures.image_groups import find_outliers, find_thinned, group_duplicates
from selection_job.report.measures.maps import make_maps
from selection_job.report.measures.object_level import describe_object_level
from selection_job.report.measures.savings import estimate_savings
from selection_job.report.measures.sequence_level import describe_sequence_level
from selection_job.report.measures.source_statistics import describe_metadata, describe_predictions
from selection_job.report.measures.strategy_effects import describe_strategies
from selection_job.report.measures.video_information import describe_videos, name_rows
from selection_job.report.numbers import finite, rounded
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection

SCHEMA_VERSION = "1.3"
"""major.minor: the minor grows with added keys, the major when a key changes its meaning or goes."""

MOST_LISTED = 1000
"""Corrupt images and duplicates that are listed by name; the totals count all."""

MOST_FIRST = 24
"""Selected images that are named in the order of choice; the PDF's cover shows them."""

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class SourceFindings:
    """What a run knows of its images beside their embeddings."""

    gathered: GatheredSources = field(default_factory=lambda: GatheredSources(0))
    """Metadata, predictions and scores, aligned with the catalog."""
    objects: ObjectSelection | None = None
    """What was chosen on the object level."""
    sequences: SequenceSelection | None = None
    """What was chosen where several frames are selected at once."""


@dataclass(frozen=True)
class ReportSource:
    """What the report is made of."""

    facts: RunFacts
    catalog: Catalog
    selection: Selection
    pool: Candidates
    worker: WorkerConfig
    sources: SourceFindings = field(default_factory=SourceFindings)


def build_report(source: ReportSource) -> JsonObject:
    """Return the report as JSON values, without NaN or infinity. Measures distances and makes the maps."""
    catalog, selection, pool = source.catalog, source.selection, source.pool
    maps, umap_seconds = make_maps(pool, catalog.names, name_rows(catalog))
    distances = compare_distances(pool)
    outliers, n_searched = find_outliers(pool, catalog.names)
    report: JsonObject = {
        "schemaVersion": SCHEMA_VERSION,
        "generalInformation": _describe_general(source, umap_seconds),
        "selectionInformation": _describe_selection(source, distances["distanceToNearestNeighborInSet"]),
        "corruptImages": _list_corrupt(catalog),
        "exactDuplicates": _list_duplicates(catalog, selection),
        "annotationSavings": estimate_savings(
            source.worker.report,
            n_avoided=catalog.n_new - len(selection.selected),
            energy=source.facts.energy,
        ),
        "selectedAndRemovedImageExamples": choose_examples(pool, catalog.names, source.worker.n_example_images),
        "imageGroups": {
            "thinned": find_thinned(selection, catalog.names),
            "outliers": outliers,
            "nSearched": n_searched,
        },
        "datasetAnalysis": {
            "embeddingInformation": {**distances, "scatterPlotData": maps},
            "metadataInformation": describe_metadata(source.sources.gathered, pool),
        },
        "predictionTaskInformation": describe_predictions(source.sources.gathered, pool, catalog),
        "settings": {"config": source.facts.config, "overrides": source.facts.overrides},
        "notes": list(source.facts.notes),
    }
    if catalog.frames is not None:
        sizes, report["videoInformation"] = describe_videos(
            catalog.frames, catalog, selection, pool=pool, facts=source.facts
        )
        report["generalInformation"]["datasetInformation"]["videoLevelSizes"] = sizes
    if source.sources.objects is not None:
        report["objectLevelInformation"] = describe_object_level(
            source.sources.objects, normalize=source.worker.normalize_embeddings, seed=source.facts.seed
        )
    if source.sources.sequences is not None:
        report["sequenceInformation"] = describe_sequence_level(
            source.sources.sequences, normalize=source.worker.normalize_embeddings, seed=source.facts.seed
        )
    return dict(finite(report))


def _describe_general(source: ReportSource, umap_seconds: float) -> JsonObject:
    facts = source.facts
    return {
        "workerInformation": {
            "buildVersion": facts.versions.get("selection-operator", "unknown"),
            "versions": facts.versions,
            "device": facts.device,
            "threads": facts.threads,
        },
        "runInformation": {**_describe_run(facts), "umapSeconds": rounded(umap_seconds)},
        "datasetInformation": {
            "datasetName": facts.dataset_name,
            "datasetSizes": _count_images(facts, source.catalog, source.selection),
        },
    }


def _describe_run(facts: RunFacts) -> JsonObject:
    seconds = datetime.fromisoformat(facts.finished_at) - datetime.fromisoformat(facts.started_at)
    return {
        "runId": facts.run_id,
        "runName": facts.name,
        "startTimestamp": facts.started_at,
        "endTimestamp": facts.finished_at,
        "totalProcessingTimeS": rounded(seconds.total_seconds()),
        "stages": [{"stage": str(stage), "seconds": rounded(taken)} for stage, taken in facts.stage_seconds.items()],
        "inputUrl": facts.input_url,
        "runUrl": facts.output_url,
        "credentials": facts.credentials,
        "encoder": {"source": facts.encoder_source, "fingerprint": facts.encoder_fingerprint},
        "decoder": facts.decoder,
        "bytesRead": facts.bytes_read,
        "bytesReread": facts.bytes_reread,
        "seed": facts.seed,
    }


def _count_images(facts: RunFacts, catalog: Catalog, selection: Selection) -> JsonObject:
    return {
        "nInput": facts.n_input,
        "nCorrupt": len(catalog.corrupt),
        "nDuplicate": catalog.n_new - len(selection.candidates),
        "nRemoved": len(selection.removed),
        "nSelected": len(selection.selected),
        "nPreselectedDatapool": len(selection.preselected),
        "nSelectedWithDatapool": len(selection.selected) + len(selection.preselected),
    }


def _describe_selection(source: ReportSource, nearest: JsonObject) -> JsonObject:
    """Describe the choice; coverRadius is exact, over all candidates."""
    selection, pool, names = source.selection, source.pool, source.catalog.names
    sequences, noun = selection.sequences, name_rows(source.catalog)
    return {
        "method": selection.method,
        "stoppedBy": selection.stopped_by,
        "normalizeEmbeddings": source.worker.normalize_embeddings,
        "embeddingDimensions": pool.vectors.shape[1],
        "firstSelected": [names[row] for row in selection.selected[:MOST_FIRST].tolist()],
        "sequenceLength": 1 if sequences is None else sequences.shape[1],
        "coverRadius": rounded(float(pool.distance_to_selected.max())),
        "coverMean": rounded(float(pool.distance_to_selected.mean(dtype=np.float64))),
        "coverRadiusByPick": describe_curve(selection),
        "coverage": describe_coverage(selection),
        "nFiltered": selection.n_filtered,
        "strategies": describe_strategies(
            selection if sequences is None else replace(selection, rankings=()), pool, nearest, noun
        ),
    }


def _list_corrupt(catalog: Catalog) -> JsonObject:
    kinds = Counter(reason.partition(":")[0].strip() for reason in catalog.corrupt.values())
    return {
        "total": len(catalog.corrupt),
        "areChecked": catalog.was_read,
        "kinds": dict(kinds.most_common(100)),
        "images": [
            {"filename": name, "reason": reason}
            for name, reason in islice(sorted(catalog.corrupt.items()), MOST_LISTED)
        ],
    }


def _list_duplicates(catalog: Catalog, selection: Selection) -> JsonObject:
    """List exact copies with the image that they are copies of, whether or not they were left out of the selection.

    Where no image was read they are the images with equal vectors.
    """
    rows = np.flatnonzero(catalog.is_duplicate)
    return {
        "total": len(rows),
        "comparedBy": _name_comparison(catalog),
        "areRemoved": selection.sequences is None and len(selection.candidates) < catalog.n_new,
        "images": [
            {"filename": catalog.names[row], "duplicateOf": catalog.names[catalog.duplicate_of[row]]}
            for row in rows[:MOST_LISTED].tolist()
        ],
        "groups": group_duplicates(catalog),
    }


def _name_comparison(catalog: Catalog) -> str:
    """Say what copies have in common; frames are compared as they were decoded."""
    if catalog.frames is not None:
        return "pixels"
    return "bytes" if catalog.was_read else "vectors"


def report_json_bytes(report: JsonObject) -> bytes:
    """Return the document as UTF-8 with sorted keys.

    A name that is not valid Unicode (bytes of another encoding on a local disk) is written as JSON's escape of the
    surrogate that Python reads it as, so that reading the file gives the same name.
    Raises ValueError for NaN or infinity.
    """
    text = json.dumps(report, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def read_schema() -> JsonObject:
    """Return the JSON Schema of report.json, which ships with the package."""
    text = files("selection_job.report").joinpath("report_schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
