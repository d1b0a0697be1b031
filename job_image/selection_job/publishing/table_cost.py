"""What the CSV tables of embeddings cost, told before they are written."""

from collections.abc import Sequence

from selection_job.manifest.noun import Noun
from selection_job.report.wording import duration, plural, size

TOLD_FROM = 10**8
"""Numbers in all, rows times dimensions, from which the cost is told."""

_TABLES = 3  # embeddings.csv, embeddings_all.csv and normalized_embeddings.csv hold nearly every row
_BYTES, _SECONDS = 14, 1.4e-7  # a number, measured by benchmarks/million.py: 1.4 GB and 14 s for 99 million of them


def note_table_cost(n_rows: int, dimensions: int, noun: Noun, forms: Sequence[str]) -> list[str]:
    """Return a note on the bytes and the time that tables in CSV take, where these are large; else none."""
    n_numbers = n_rows * dimensions
    if n_numbers < TOLD_FROM or "CSV" not in forms:
        return []
    written = _TABLES * n_numbers
    return [
        f"{plural(n_rows, noun)} with {dimensions:,} numbers each make large tables: embeddings.csv, "
        f"embeddings_all.csv and normalized_embeddings.csv will take about {size(written * _BYTES)} in all and "
        f"{duration(written * _SECONDS)} to write, and as long again as the datasource needs to take them. "
        "workerConfig.tables: PARQUET writes a third of that."
    ]
