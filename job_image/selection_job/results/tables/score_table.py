"""data/al_score_embeddings: what took part in the selection, with the scores that weighed it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from selection_api.legacy_selection import TABLE_SCORE
from selection_job.formats.csv_fields import quote_field
from selection_job.results.tables.embedding_lines import format_table
from selection_job.results.tables.embedding_parquet import write_parquet
from selection_job.results.tables.tables import TableForm
from selection_job.selection.gathered_sources import GatheredSources

_BLOCK_NUMBERS = 1024 * 1024


def write_score_table(
    folder: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    scores: Sequence[tuple[str, str]],
    sources: GatheredSources,
    labels: NDArray[np.int64] | None = None,
    forms: Sequence[TableForm] = ("CSV",),
) -> None:
    """Write the given rows as the table of embeddings has them, and behind it a column a score; nothing without scores.

    scores  task and score of each
    The first score is al_score, which workerConfig.embeddings of another run takes; further ones are called by task
    and score. sources and labels, as write_embeddings takes them, are aligned with names.
    """
    if not scores:
        return
    (first, *others) = scores
    columns = {TABLE_SCORE: sources.scores(*first)}
    columns |= {f"{task} {score}".strip(): sources.scores(task, score) for task, score in others}
    if "CSV" in forms:
        _write_csv(folder / "al_score_embeddings.csv", names, embeddings, rows, columns, labels)
    if "PARQUET" in forms:
        write_parquet(
            folder / "al_score_embeddings.parquet",
            names,
            embeddings,
            rows,
            behind=lambda block: {name: pa.array(values[block]) for name, values in columns.items()},
        )


def _write_csv(
    path: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    scores: dict[str, NDArray[np.float64]],
    labels: NDArray[np.int64] | None,
) -> None:
    """Write the table with nine significant digits."""
    d = embeddings.shape[1]
    columns = np.column_stack(list(scores.values()))
    head = list(map(quote_field, scores))
    n_block = max(1, _BLOCK_NUMBERS // d)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(["filenames", *(f"embedding_{i}" for i in range(d)), "labels", *head]) + "\n")
        for start in range(0, len(rows), n_block):
            block = rows[start : start + n_block]
            own_labels = None if labels is None else labels[block]
            lines = str(format_table([""] * len(block), embeddings[block], own_labels), "ascii").split("\n")
            for row, line, values in zip(block.tolist(), lines, columns[block].tolist(), strict=False):
                file.write(f"{quote_field(names[row])}{line},{','.join(f'{value:.9g}' for value in values)}\n")
