"""data/al_score_embeddings.csv: what took part in the selection, with the scores that weighed it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_api.legacy_selection import TABLE_SCORE
from selection_job.formats.csv_fields import quote_field
from selection_job.results.tables.embedding_lines import format_table
from selection_job.selection.gathered_sources import GatheredSources

_BLOCK_NUMBERS = 1024 * 1024


def write_score_table(
    path: Path,
    names: list[str],
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    *,
    scores: Sequence[tuple[str, str]],
    sources: GatheredSources,
    labels: NDArray[np.int64] | None = None,
) -> None:
    """Write the given rows as embeddings.csv has them, and behind labels a column a score; nothing without scores.

    scores  task and score of each
    The first score is al_score, which workerConfig.embeddings of another run takes; further ones are called by task
    and score. Nine significant digits. sources and labels, as write_embeddings takes them, are aligned with names.
    """
    if not scores:
        return
    d = embeddings.shape[1]
    columns = np.column_stack([sources.scores(task, score) for task, score in scores])
    head = [TABLE_SCORE, *(quote_field(f"{task} {score}".strip()) for task, score in scores[1:])]
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
