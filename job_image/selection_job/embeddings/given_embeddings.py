"""The embeddings that workerConfig.embeddings names, in place of an encoder: no image is opened for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.copies import find_copies
from selection_job.catalog.embedded import Embedded
from selection_job.catalog.image_names import quote_some
from selection_job.catalog.near_names import explain_spelling
from selection_job.embeddings.encoder_record import EncoderRecord
from selection_job.embeddings.table_reading import EmbeddingsTable, read_table
from selection_job.errors import UnusableData
from selection_job.formats.spellings import IN_ANOTHER_FORM
from selection_job.manifest.noun import IMAGE, ROW, agree

TABLES_FOLDER = ".lightly/embeddings/"
"""In the lightly datasource."""

_BLOCK = 65536


@dataclass(frozen=True, eq=False)
class GivenEmbeddings:
    """Where the embeddings come from, an EmbeddingSource, and what the table says besides them."""

    scores: NDArray[np.float64] | None  # (n,) al_score, aligned with the catalog; None: no such column
    source: str
    """'embeddings <key>'."""
    fingerprint: str
    """64 hex digits of the file."""
    notes: tuple[str, ...]
    checkpoint: None = None
    record: EncoderRecord | None = None
    """Which encoder made the table, where something beside it says so."""


def find_table_key(name: str) -> str:
    """Return the key, in the lightly datasource, of what workerConfig.embeddings names.

    >>> find_table_key("cars.csv"), find_table_key(".lightly/runs/cars-1f2e3d4c/data/embeddings.csv")
    ('.lightly/embeddings/cars.csv', '.lightly/runs/cars-1f2e3d4c/data/embeddings.csv')
    """
    return name if name.startswith(".lightly/") else TABLES_FOLDER + name


def load_given(
    path: Path,
    listing: Listing,
    *,
    key: str,
    url: str,
    input_url: str,
    uses_scores: bool,
    advance: Callable[[int], None],
) -> tuple[GivenEmbeddings, Embedded]:
    """Read the table and return it with the listed images that have a row in it, masked ones left out.

    The catalog's duplicates are rows with equal vectors: nothing is known of the files' bytes. Images that the table
    marks as selected before come last and count as the datapool's do.
    path         a local copy of the table
    key, url     of the table, for messages
    uses_scores  a strategy looks at its column al_score
    advance      is told how many bytes were read
    Raises UnusableData where the file is wrong, or where none of its rows is an image to choose.
    """
    table = read_table(path, listing.names, where=url, advance=advance, left_out=listing.left_out)
    if len(table.rows) == table.n_preselected:
        raise UnusableData(_explain_nothing(table, listing, url, input_url))
    given = GivenEmbeddings(
        scores=table.scores,
        source=f"embeddings {key}",
        fingerprint=table.digest,
        notes=(*_note(table, listing, key, input_url), *_note_scores(table, key, uses_scores=uses_scores)),
    )
    return given, Embedded(_make_catalog(table, listing), table.vectors)


def _make_catalog(table: EmbeddingsTable, listing: Listing) -> Catalog:
    n = len(table.rows)
    return Catalog(
        names=[listing.names[row] for row in table.rows.tolist()],
        sha256=np.broadcast_to(np.uint8(0), (n, 32)),
        sizes_bytes=listing.sizes_bytes[table.rows],
        widths_px=np.broadcast_to(np.int32(0), n),
        heights_px=np.broadcast_to(np.int32(0), n),
        duplicate_of=find_equal_vectors(table.vectors, table.n_preselected),
        corrupt={},
        n_pool=table.n_preselected,
        was_read=False,
    )


def find_equal_vectors(vectors: NDArray[np.float32], n_preselected: int = 0) -> NDArray[np.int64]:
    """Return (n,) int64: for each row the first that equals it, its own where it is the first.

    vectors        (n, d) float32, finite; -0 equals 0
    n_preselected  the last so many were selected before: rows that equal one are its copies, and it stands for itself

    By BLAKE2b digests: some 1 µs a row, 70 bytes of memory a row.
    """
    digests = bytearray()
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK] + np.float32(0)  # -0 becomes 0
        for row in block:
            digests += blake2b(row, digest_size=32).digest()
    return find_copies(np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32), n_preselected)


def _explain_nothing(table: EmbeddingsTable, listing: Listing, where: str, url: str) -> str:
    if table.n_preselected:
        return (
            f"{where}: every image of {url} that has a row is marked as selected before, or masked; nothing is left to "
            "select from. Add images to the input and the table, or set selected to 0."
        )
    if len(table.masked):
        return f"{where}: every image of {url} that has a row is masked; nothing is left to select from."
    if not table.n_foreign:
        return (
            f"{where} has rows only of images that the list of relevant names or the datapool leaves out. Add rows for "
            f"those that take part: {quote_some(listing.names)}."
        )
    hint = explain_spelling(table.foreign, listing.names, url) or "Names are relative to it, and case matters."
    n, part = table.n_foreign + table.n_left_out, " that take part" if table.n_left_out else ""
    return (
        f"None of the {n} names in {where} is one of the {len(listing.names)} images in {url}{part}: "
        f"{quote_some(table.foreign)} beside {quote_some(listing.names)}. {hint}"
    )


def _note_scores(table: EmbeddingsTable, key: str, *, uses_scores: bool) -> Iterator[str]:
    if table.scores is not None and not uses_scores:
        words = "method coral without active_learning.task_name takes it into account"
        yield f"{key}: the column al_score is not used; {words}."


def _note(table: EmbeddingsTable, listing: Listing, key: str, input_url: str) -> Iterator[str]:
    """Yield what the user should know about the file and the images beside each other."""
    yield f"No image was opened: embeddings come from {key}, and exact duplicates are images with equal vectors."
    for verb, words, rows in (("have", "no row", table.absent), ("are", "masked", table.masked)):
        if n := len(rows):
            names = quote_some([listing.names[row] for row in rows[:1000].tolist()])
            found = f"{IMAGE.count(n)} of the input {agree(n, verb)} {words} in {key}"
            yield f"{found} and {agree(n, 'take')} no part: {names}"
    if n := table.n_preselected:
        names = quote_some([listing.names[row] for row in table.rows[-n:][:1000].tolist()])
        they = f"{agree(n, 'they')} {agree(n, 'count')} as chosen before and {agree(n, 'are')} not chosen again"
        yield f"{IMAGE.count_with(n, 'are')} marked as selected in {key}: {they}: {names}"
    if table.respelled:
        n, names = len(table.respelled), quote_some(table.respelled)
        than = f"{IN_ANOTHER_FORM} than the images' names, and {agree(n, 'were')} taken for them"
        yield f"{key}: {ROW.count_with(n, 'are')} {than}: {names}"
    if n := table.n_left_out:
        yield (
            f"{key}: {ROW.count(n)} {'is of an image' if n == 1 else 'are of images'} of the input that the list of "
            "relevant names or the datapool leaves out."
        )
    if n := table.n_foreign:
        hint = explain_spelling(table.foreign, listing.names, input_url)
        note = f"{ROW.count(n)} of {key} {agree(n, 'name')} no image of the input: {quote_some(table.foreign)}"
        yield f"{note}. {hint}" if hint else note
    if table.header.unused:
        yield f"{key}: these columns are not used: {quote_some(list(table.header.unused))}"
