"""The files of custom metadata: one JSON an image below .lightly/metadata/, each read into columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.formats.json_reading import InvalidFile, decode_json, describe
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.metadata.metadata_schema import RESERVED, SchemaEntry, Value, find_value
from selection_job.process.progress import Progress
from selection_job.stores.sidecar_files import FileContent, ImageFiles, ImageRows, read_image_files, stem_of
from selection_job.stores.store import Store

MOST_BYTES = 1024**2
"""Of a file."""

_MOST_EXAMPLES = 5
_TYPES = ("image", "frame", "video")


class ColumnBuilder:
    """The values of one entry: 8 bytes an image, and each different word once."""

    def __init__(self, entry: SchemaEntry, n: int) -> None:
        self._entry = entry
        default = entry.default
        self._numbers = np.full(n, np.nan if default is None else default) if entry.type.is_number else None
        self._words = [default if isinstance(default, str) else ""] * (0 if entry.type.is_number else n)
        self._same: dict[str, str] = {}

    def set(self, row: int, value: Value) -> None:
        """Set the value of an image; None is no value."""
        if self._numbers is not None:
            self._numbers[row] = np.nan if value is None else value
        else:
            word = str(value or "")
            self._words[row] = self._same.setdefault(word, word)

    def build(self) -> MetadataColumn:
        """Return the column."""
        labels = None if self._numbers is not None else self._words
        return MetadataColumn(self._entry.path, numbers=self._numbers, labels=labels)


def read_columns(
    store: Store,
    files: ImageFiles,
    images: ImageRows,
    *,
    schema: Sequence[SchemaEntry],
    keys: Sequence[str],
    progress: Progress,
) -> list[MetadataColumn]:
    """Read every file, check all that the schema names, and return the columns of keys, aligned with images.names.

    An image without a file, or without a value in it, has the schema's defaultValue.
    Raises UnusableData where a file can't be used, with how many they are and the first reasons.
    """
    reader = _Reader(images, schema, keys)
    with progress.bar("Reading metadata", len(files.rows), "files") as bar:
        for file in read_image_files(store, files, images.names, most_bytes=MOST_BYTES):
            reader.add(file, files)
            bar.advance()
    if reader.n_invalid:
        raise UnusableData(_explain(reader, files, store))
    return [builder.build() for builder in reader.builders.values()]


def _explain(reader: "_Reader", files: ImageFiles, store: Store) -> str:
    listed = "".join(f"\n  {example}" for example in reader.examples)
    which = "They are" if reader.n_invalid == len(reader.examples) else "The first"
    return (
        f"{reader.n_invalid:,} of {len(files.rows):,} files of metadata in {store.url}{files.folder} can't be used; "
        f"correct or remove them. {which}:{listed}"
    )


class _Reader:
    """Takes in one file after the other, and counts those that can't be used."""

    def __init__(self, images: ImageRows, schema: Sequence[SchemaEntry], keys: Sequence[str]) -> None:
        n = len(images.names)
        self.builders = {entry.path: ColumnBuilder(entry, n) for entry in schema if entry.path in keys}
        self.n_invalid = 0
        self.examples: list[str] = []
        self._images, self._schema = images, schema

    def add(self, file: FileContent, files: ImageFiles) -> None:
        names = self._images.names
        try:
            if file.reason is not None:
                raise InvalidFile(file.reason)
            document = decode_json(file.content, max_bytes=MOST_BYTES)
            rows = _find_rows(document, self._images, names[file.row])
            for path, value in parse_file(document, self._schema):
                if path in self.builders:
                    for row in rows:
                        self.builders[path].set(row, value)
        except InvalidFile as error:
            self.n_invalid += 1
            if len(self.examples) < _MOST_EXAMPLES:
                self.examples.append(f"{_show(files.key_of(names, file.row))}: {_show(str(error))}")


def _show(text: str) -> str:
    """Return the text on one line, in letters that can be written anywhere."""
    return text if text.isprintable() else repr(text)[1:-1]


def parse_file(document: Any, schema: Sequence[SchemaEntry]) -> Iterator[tuple[str, Value]]:
    """Yield path and value of every entry of the schema.

    Raises InvalidFile where the document has not the form of a metadata file, or a value is of another type.
    """
    metadata = _find_metadata(document)
    for entry in schema:
        yield entry.path, find_value(entry, metadata)


def _find_metadata(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidFile(f"found {describe(document)}, expected an object with the key metadata")
    kind = document.get("type", _TYPES[0])
    if kind not in _TYPES[:2]:
        raise InvalidFile(f"type: found {describe(kind)}, expected 'image' or 'frame'")
    if "metadata" not in document:
        raise InvalidFile(f"has no key metadata (its keys: {quote_some(list(document)) or 'none'})")
    metadata = document["metadata"]
    if not isinstance(metadata, dict):
        raise InvalidFile(f"metadata: found {describe(metadata)}, expected an object")
    if RESERVED in metadata:
        raise InvalidFile(f"metadata.{RESERVED}: is reserved for what is computed from the images; use another key")
    return metadata


def _find_rows(document: Any, images: ImageRows, name: str) -> list[int]:
    """Return the images that a file is about: the one that file_name names, without it all that share the file.

    name  of one of them
    """
    rows = images.find(stem_of(name))
    file_name = document.get("file_name") if isinstance(document, dict) else None
    if file_name is None:
        return rows
    if named := images.find_named(rows, file_name) if isinstance(file_name, str) else []:
        return named
    expected = quote_some([images.names[row] for row in rows])
    raise InvalidFile(f"file_name: found {describe(file_name)}, expected {expected}, as the file is called")
