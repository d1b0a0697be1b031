"""Loading: custom metadata, from .lightly/metadata/ of the lightly datasource and from the images' names."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from selection_api.metadata_rules import COMPUTED
from selection_api.spec import SelectionRunSpec
from selection_job.catalog.image_names import quote_some
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.formats.json_reading import InvalidFile, decode_json
from selection_job.manifest.data_needs import list_strategies
from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.path_regex import compile_path_regex
from selection_job.metadata.column_files import load_metadata_columns, save_metadata_columns
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.metadata.metadata_files import MOST_BYTES, read_columns
from selection_job.metadata.metadata_schema import SchemaEntry, parse_schema
from selection_job.metadata.name_groups import match_names
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import make_fingerprint
from selection_job.stores.sidecar_files import ImageFiles, ImageRows, list_image_files

METADATA_FOLDER = ".lightly/metadata/"
"""In the lightly datasource."""

_SCHEMA_FILE = "schema.json"


def load_metadata(context: RunContext, names: list[str]) -> list[MetadataColumn]:
    """Return the keys of custom metadata that the strategies name, aligned with names.

    A group of lightly_path_regex goes before an entry of the schema with the same name; the schema and the files are
    read where a key is left.
    Raises UnusableData where the schema is missing, or it or a file is wrong, or a key is in neither, or is a word
    where a strategy needs numbers; InvalidManifest for a wrong lightly_path_regex.
    """
    entries = _list_entries(context.spec)
    keys = sorted({entry.input.key or "" for entry in entries})
    columns = _match_names(context, names, keys)
    if left := [key for key in keys if key not in {column.key for column in columns}]:
        columns += _load_files(context, names, left)
    _check(entries, {column.key: column for column in columns})
    return columns


def uses_metadata_files(spec: SelectionRunSpec) -> bool:
    """Say whether a strategy looks at metadata that are neither computed nor a group of lightly_path_regex."""
    return bool(_list_file_keys(spec))


def _list_file_keys(spec: SelectionRunSpec) -> list[str]:
    keys = {entry.input.key or "" for entry in _list_entries(spec)}
    if keys and spec.selection_config and spec.selection_config.lightly_path_regex:
        keys -= set(compile_path_regex(spec.selection_config.lightly_path_regex).groupindex)
    return sorted(keys)


def _list_entries(spec: SelectionRunSpec) -> list[NamedStrategy]:
    """Return the strategies that look at custom metadata."""
    entries = list_strategies(spec)
    return [
        entry
        for entry in entries
        if entry.input.type == "METADATA" and not (entry.input.key or "").startswith(COMPUTED)
    ]


def _match_names(context: RunContext, names: list[str], keys: Sequence[str]) -> list[MetadataColumn]:
    config = context.spec.selection_config
    if config is None or config.lightly_path_regex is None:
        return []
    columns, n_unmatched = match_names(config.lightly_path_regex, names, keys)
    if n_unmatched and columns:
        context.notes.append(
            f"lightly_path_regex does not match {n_unmatched:,} of {len(names):,} names; these images have no value of "
            f"{quote_some([column.key for column in columns])}."
        )
    return columns


def _load_files(context: RunContext, names: list[str], keys: Sequence[str]) -> list[MetadataColumn]:
    """Read the images' files, or what an earlier try of this run has made of the same ones."""
    schema, digest = _read_checked_schema(context, keys)
    images = ImageRows(names)
    files = list_image_files(context.target, METADATA_FOLDER, images, others={_SCHEMA_FILE})
    if not files.rows:
        raise UnusableData(_explain_nothing(context, files, len(names)))
    context.notes.extend(_note_files(files, len(names)))
    fingerprint = make_fingerprint(schema=digest, files=files.fingerprint, names=_digest(names), keys=sorted(keys))

    def make(folder: Path) -> None:
        columns = read_columns(context.target, files, images, schema=schema, keys=keys, progress=context.progress)
        save_metadata_columns(columns, folder)

    return context.stages.reuse_or_make(
        "metadata", fingerprint, make, lambda folder: load_metadata_columns(folder, len(names))
    )


def check_metadata_schema(context: RunContext) -> None:
    """Raise UnusableData where load_metadata would because of the schema: for runs that know their names later."""
    if keys := _list_file_keys(context.spec):
        _read_checked_schema(context, keys)


def _read_checked_schema(context: RunContext, keys: Sequence[str]) -> tuple[tuple[SchemaEntry, ...], str]:
    """Return the schema, which has the keys, and the digest of its file."""
    schema, digest = _read_schema(context, keys)
    for entry in _list_entries(context.spec):
        if entry.input.key in keys:
            with entry.located():
                _check_key(entry.input.key or "", schema, f"{context.target.url}{METADATA_FOLDER}{_SCHEMA_FILE}")
    return schema, digest


def _digest(texts: Iterable[str]) -> str:
    digest = sha256()
    for text in texts:
        digest.update(f"{text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read_schema(context: RunContext, keys: Sequence[str]) -> tuple[tuple[SchemaEntry, ...], str]:
    """Return the schema and the digest of its file."""
    key = METADATA_FOLDER + _SCHEMA_FILE
    where = f"{context.target.url}{key}"
    try:
        content = context.target.read(key)
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


def _explain_nothing(context: RunContext, files: ImageFiles, n: int) -> str:
    found = f"{files.n_foreign:,} other files, such as {quote_some(files.foreign)}" if files.n_foreign else "no others"
    return (
        f"None of the {n:,} images has a file of metadata in {context.target.url}{METADATA_FOLDER} ({found}). The file "
        "of the image sub/a.jpg is sub/a.json; case matters."
    )


def _note_files(files: ImageFiles, n: int) -> Iterator[str]:
    if files.n_foreign:
        foreign = quote_some(files.foreign)
        are = "files belong to no image of the input and are not read, such as"
        yield f"{METADATA_FOLDER}: {files.n_foreign:,} {are} {foreign}"
    if len(files.rows) < n:
        yield (
            f"{METADATA_FOLDER}: there are {len(files.rows):,} files for {n:,} images; an image without one has the "
            "schema's default values. The file of the image sub/a.jpg is sub/a.json."
        )
