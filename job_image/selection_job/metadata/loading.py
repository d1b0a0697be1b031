"""Loading: custom metadata, from .lightly/metadata/ of the lightly datasource and from the images' names."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from selection_api.metadata_rules import COMPUTED
from selection_job.catalog.image_names import quote_some
from selection_job.catalog.listing_notes import note_foreign_files, note_respelled_files
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.formats.json_reading import InvalidFile, decode_json
from selection_job.manifest.data_needs import DataNeeds
from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.noun import FILE, IMAGE
from selection_job.metadata.column_files import load_metadata_columns, save_metadata_columns
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.metadata.metadata_files import MOST_BYTES, read_columns
from selection_job.metadata.metadata_schema import SchemaEntry, parse_schema
from selection_job.metadata.name_groups import match_names
from selection_job.process.progress import Progress
from selection_job.run.kept_stages import KeptStage, KeptStages, Noted, make_fingerprint
from selection_job.stores.sidecar_files import ImageFiles, ImageRows, list_image_files
from selection_job.stores.store import Store

METADATA_FOLDER = ".lightly/metadata/"
"""In the lightly datasource."""

_SCHEMA_FILE = "schema.json"


def load_metadata(
    store: Store,
    names: list[str],
    strategies: Sequence[NamedStrategy],
    needs: DataNeeds,
    *,
    stages: KeptStages,
    progress: Progress,
) -> Noted[list[MetadataColumn]]:
    """Return the keys of custom metadata that the strategies name, aligned with names.

    A group of lightly_path_regex goes before an entry of the schema with the same name; the schema and the files are
    read where a key is left.
    store  the lightly datasource
    Raises UnusableData where the schema is missing, or it or a file is wrong, or a key is in neither, or is a word
    where a strategy needs numbers; InvalidManifest for a wrong lightly_path_regex.
    """
    entries, keys = _list_entries(strategies), needs.custom_metadata
    columns: list[MetadataColumn] = []
    notes: list[str] = []
    if needs.path_regex is not None:
        columns, n_unmatched = match_names(needs.path_regex, names, keys)
        notes.extend(_note_unmatched(columns, n_unmatched, len(names)))
    if left := [key for key in keys if key not in {column.key for column in columns}]:
        found = _load_files(store, names, entries, left, stages=stages, progress=progress)
        columns += found.value
        notes.extend(found.notes)
    _check(entries, {column.key: column for column in columns})
    return Noted(columns, tuple(notes))


def _list_entries(strategies: Sequence[NamedStrategy]) -> list[NamedStrategy]:
    """Return the strategies that look at custom metadata."""
    return [
        entry
        for entry in strategies
        if entry.input.type == "METADATA" and not (entry.input.key or "").startswith(COMPUTED)
    ]


def _note_unmatched(columns: Sequence[MetadataColumn], n_unmatched: int, n: int) -> Iterator[str]:
    if n_unmatched and columns:
        yield (
            f"lightly_path_regex does not match {n_unmatched:,} of {n:,} names; these images have no value of "
            f"{quote_some([column.key for column in columns])}."
        )


def _load_files(
    store: Store,
    names: list[str],
    entries: Sequence[NamedStrategy],
    keys: Sequence[str],
    *,
    stages: KeptStages,
    progress: Progress,
) -> Noted[list[MetadataColumn]]:
    """Read the images' files, or what an earlier try of this run has made of the same ones."""
    schema, digest = _read_checked_schema(store, entries, keys)
    images = ImageRows(names)
    files = list_image_files(store, METADATA_FOLDER, images, others={_SCHEMA_FILE})
    if not files.rows:
        raise UnusableData(_explain_nothing(store.url, files, len(names)))
    fingerprint = make_fingerprint(schema=digest, files=files.fingerprint, names=_digest(names), keys=sorted(keys))

    def make(folder: Path) -> None:
        columns = read_columns(store, files, images, schema=schema, keys=keys, progress=progress)
        save_metadata_columns(columns, folder)

    stage = KeptStage("metadata", fingerprint, make, lambda folder: load_metadata_columns(folder, len(names)))
    return Noted(stages.reuse_or_make(stage).value, tuple(_note_files(files, len(names))))


def check_metadata_schema(store: Store, strategies: Sequence[NamedStrategy], needs: DataNeeds) -> None:
    """Raise UnusableData where load_metadata would because of the schema: for runs that know their names later."""
    if keys := needs.metadata_in_files:
        _read_checked_schema(store, _list_entries(strategies), keys)


def _read_checked_schema(
    store: Store, entries: Sequence[NamedStrategy], keys: Sequence[str]
) -> tuple[tuple[SchemaEntry, ...], str]:
    """Return the schema, which has the keys, and the digest of its file."""
    schema, digest = _read_schema(store, keys)
    for entry in entries:
        if entry.input.key in keys:
            with entry.located():
                _check_key(entry.input.key or "", schema, f"{store.url}{METADATA_FOLDER}{_SCHEMA_FILE}")
    return schema, digest


def _digest(texts: Iterable[str]) -> str:
    digest = sha256()
    for text in texts:
        digest.update(f"{text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read_schema(store: Store, keys: Sequence[str]) -> tuple[tuple[SchemaEntry, ...], str]:
    """Return the schema and the digest of its file."""
    key = METADATA_FOLDER + _SCHEMA_FILE
    where = f"{store.url}{key}"
    try:
        content = store.read(key)
        return parse_schema(decode_json(content, max_bytes=MOST_BYTES)), sha256(content).hexdigest()
    except ObjectMissing:
        verb = "The strategies look at the metadata"
        raise UnusableData(
            f"{verb} {quote_some(list(keys))}, and {where} does not exist. Put the schema there, and each image's "
            "values beside it, or take them out of the names with selectionConfig.lightly_path_regex."
        ) from None
    except InvalidFile as error:
        raise UnusableData(f"{where} {error}") from None


def _check_key(key: str, schema: Sequence[SchemaEntry], where: str) -> None:
    known = {entry.path: entry for entry in schema}
    if key not in known:
        listed = quote_some(list(known)) if known else "none"
        raise UnusableData(f"There are no metadata {key!r}: {where} has the paths {listed}.")
    if not known[key].type.is_usable:
        raise UnusableData(
            f"The metadata {key!r} are {known[key].type.name} in {where}, which is text to look at. Make it "
            "CATEGORICAL_STRING to balance it."
        )


def _check(entries: Sequence[NamedStrategy], columns: dict[str, MetadataColumn]) -> None:
    """Refuse words where numbers are needed and the other way round, before an image is read."""
    for entry in entries:
        with entry.located():
            column = columns[entry.input.key or ""]
            if entry.strategy.type == "BALANCE":
                column.need_labels()
            else:
                column.need_numbers(entry.strategy.type)


def _explain_nothing(url: str, files: ImageFiles, n: int) -> str:
    others = f"{files.n_foreign:,} other {FILE.form(files.n_foreign)}"
    found = f"{others}, such as {quote_some(files.foreign)}" if files.n_foreign else "no others"
    return (
        f"None of the {n:,} images has a file of metadata in {url}{METADATA_FOLDER} ({found}). The file "
        "of the image sub/a.jpg is sub/a.json; case matters."
    )


def _note_files(files: ImageFiles, n: int) -> Iterator[str]:
    yield from note_foreign_files(METADATA_FOLDER, files)
    yield from note_respelled_files(METADATA_FOLDER, files)
    if len(files.rows) < n:
        yield (
            f"{METADATA_FOLDER}: {FILE.count(len(files.rows))} for {IMAGE.count(n)}; an image without one has the "
            "schema's default values. The file of the image sub/a.jpg is sub/a.json."
        )
