"""Small runs in memory whose report is told and audited: images that are filtered, in sequences, with objects, …"""

from dataclasses import dataclass, replace

import numpy as np
from choosing import choose_images, choose_objects, choose_sequences
from test_selecting_pool import entry, make_catalog, make_spec

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.report_json import SourceFindings, build_report
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import ObjectSelection, keep_images
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection

N, N_POOL, LENGTH, SEED = 44, 5, 3, 1
WORDS = ["day", "dusk", "night"]
CLASSES = ("car", "bus")
CORRUPT = {"walk 0/05x.jpg": "truncated: 3 bytes", "zz.jpg": "empty"}
COPIES = {7: 2, 20: 2}  # row: the row whose bytes it has

LIMIT = entry("THRESHOLD", {"type": "METADATA", "key": "m"}, threshold=0.35, operation="BIGGER")
UPPER = entry("THRESHOLD", {"type": "METADATA", "key": "m"}, threshold=0.8, operation="SMALLER")
HEAVY = entry("WEIGHTS", {"type": "METADATA", "key": "m"})
DIVERSE = entry("DIVERSITY")
APART = entry("DIVERSITY", stopping_condition_minimum_distance=2.0)


def balance(distribution, **fields):
    return entry("BALANCE", {"type": "METADATA", "key": "w"}, distribution=distribution, **fields)


OBJECTS = {"object_level": {"task_name": "t"}}
MIN_COUNTS = {"pretagging": True, "pretagging_config": {"min_counts": {"car": 1}}}
SEQUENCES = {"selected_sequence_length": LENGTH}

CASES = {  # strategies of selectionConfig, n_samples, workerConfig, whether there is a datapool
    "coreset": ([DIVERSE], 9, {}, False),
    "threshold": ([LIMIT, DIVERSE], 9, {}, False),
    "two thresholds, too many asked": ([LIMIT, UPPER, DIVERSE], 500, {}, False),
    "threshold, min_distance and datapool": ([LIMIT, APART], 100, {}, True),
    "several strategies": ([LIMIT, DIVERSE, HEAVY, balance("INPUT")], 9, {}, False),
    "several strategies beside a datapool": ([LIMIT, DIVERSE, balance("UNIFORM")], 9, {}, True),
    "random": ([LIMIT], 9, {}, False),
    "min_counts": ([DIVERSE], 9, MIN_COUNTS, False),
    "sequences": ([DIVERSE], 9, SEQUENCES, False),
    "sequences behind a threshold": ([LIMIT, DIVERSE], 9, SEQUENCES, False),
    "sequences by several strategies beside a datapool": ([LIMIT, DIVERSE, HEAVY], 9, SEQUENCES, True),
    "sequences by chance": ([LIMIT], 9, SEQUENCES, False),
    "objects": ([DIVERSE], 8, OBJECTS, False),
    "objects behind a threshold": ([LIMIT, DIVERSE], 8, OBJECTS, False),
}


@dataclass(frozen=True)
class Told:
    """A finished selection with its report."""

    catalog: Catalog
    embeddings: np.ndarray
    numbers: np.ndarray
    """Metadata m of each row."""
    words: list[str]
    """Metadata w of each row."""
    task: TaskPredictions
    selection: Selection
    objects: ObjectSelection | None
    sequences: SequenceSelection | None
    report: dict


def make_told(case, facts, *, words=None):
    """Return the run of a case. facts: of the run; words: metadata w"""
    strategies, n_samples, worker, has_pool = CASES[case] if isinstance(case, str) else case
    rng = np.random.default_rng(3)
    catalog = _make_catalog(N_POOL if has_pool else 0)
    n = len(catalog.names)
    embeddings = (rng.normal(size=(n, 5)) + 3 * rng.integers(0, 2, (n, 1))).astype(np.float32)
    for row, original in COPIES.items():
        embeddings[row] = embeddings[original]
    numbers = rng.random(n).round(3)
    words = rng.choice(WORDS, n).tolist() if words is None else words
    task, crops = _make_task(rng, n)
    columns = {"m": MetadataColumn("m", numbers=numbers), "w": MetadataColumn("w", labels=words)}
    sources = GatheredSources(n, tasks={"t": task, "lightly_pretagging": task}, columns=columns)
    spec = make_spec(worker, {"n_samples": n_samples, "strategies": strategies})
    objects = sequences = None
    if "object_level" in worker:
        objects = choose_objects(catalog, crops, spec, sources)
        selection = keep_images(objects, embeddings, normalize=False)
    elif "selected_sequence_length" in worker:
        selection, sequences = choose_sequences(catalog, embeddings, spec, sources)
    else:
        selection = choose_images(catalog, embeddings, spec, sources)
    facts = replace(facts, n_input=catalog.n_input, seed=SEED, notes=list(selection.notes))
    report = build_report(
        facts=facts,
        catalog=catalog,
        selection=selection,
        pool=make_candidates(embeddings, selection, normalize=False, seed=SEED),
        worker=spec.worker_config,
        sources=SourceFindings(replace(sources, tasks={"t": task}), objects, sequences),
    ).to_json_values()
    return Told(catalog, embeddings, numbers, words, task, selection, objects, sequences, report)


def _make_catalog(n_pool):
    """Four folders of eleven images, which leaves a rest of two in each; a corrupt file within the first."""
    duplicate_of = np.arange(N + n_pool)
    for row, original in COPIES.items():
        duplicate_of[row] = original
    names = [f"walk {row // 11}/{row % 11:02}.jpg" for row in range(N)] + [f"old/{row}.jpg" for row in range(n_pool)]
    return replace(make_catalog(N + n_pool, n_pool, duplicate_of), names=names, corrupt=CORRUPT)


def _make_task(rng, n):
    """A task with objects on two images of three, each of which can be cut out."""
    owners = np.sort(rng.choice(np.flatnonzero(np.arange(n) % 3), 2 * n))
    m = len(owners)
    kinds, scores = rng.integers(0, 2, m).astype(np.int32), rng.random(m).astype(np.float32)
    boxes, numbers = np.tile([0, 0, 5, 5], (m, 1)), np.arange(m) - np.searchsorted(owners, owners)
    task = TaskPredictions(
        "t", "object-detection", tuple(Category(i, name) for i, name in enumerate(CLASSES)), np.ones(n, bool), owners,
        kinds, scores, boxes_px=boxes.astype(np.float32),
    )  # fmt: skip
    vectors = rng.normal(size=(m, 4)).astype(np.float32)
    crops = Crops("t", CLASSES, owners, numbers.astype(np.int32), boxes.astype(np.int32), kinds, scores, vectors)
    return task, crops


def judge_each(told, case):
    """Return the fate of each of the N images, from the strategies' own definitions."""
    strategies, _, worker, _ = CASES[case] if isinstance(case, str) else case
    is_by_sequence, selected = worker is SEQUENCES, set(told.selection.selected.tolist())
    sequences = told.sequences.sequences.rows.tolist() if is_by_sequence else [[row] for row in range(N)]
    fates = []
    for row in range(N):
        group = next((one for one in sequences if row in one), [])
        owned = set(told.task.category_index[told.task.owners == row].tolist())
        holds = {
            "selected": row in selected,
            "duplicate": row in COPIES and not is_by_sequence,
            "NO_SEQUENCE": not group,
            "NO_OBJECT": worker is OBJECTS and not owned,
            "MIN_COUNTS": worker is MIN_COUNTS and 0 not in owned,
            "THRESHOLD": bool(group) and not passes_limits(strategies, told.numbers[group].mean()),
            "removed": True,
        }
        fates.append(next(fate for fate, is_so in holds.items() if is_so))
    return fates


def passes_limits(strategies, number):
    return (LIMIT not in strategies or number > 0.35) and (UPPER not in strategies or number < 0.8)
