"""Tensor files: safetensors, checked by their headers before memory is taken for what they claim.

safetensors itself refuses headers that do not match their bytes. It lets through a key given twice, any number of
tensors and dimensions, and numbers that are not finite.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from selection_job.encoder.folders.config_rules import describe_key
from selection_job.encoder.folders.folder_files import INDEX, FolderFiles
from selection_job.encoder.folders.unusable_folder import UnusableFolder, explain_failure
from selection_job.formats.json_reading import InvalidFile, decode_json

MOST_TENSORS = 20_000
MOST_PARAMETERS = 3_000_000_000
_MOST_DIMENSIONS = 8
_MOST_HEADER_BYTES = 16 * 1024**2
_MOST_SHARDS = 200
_METADATA = "__metadata__"
_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_OTHERS = {"I64": torch.int64, "I32": torch.int32, "BOOL": torch.bool, "U8": torch.uint8, "F64": torch.float64}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor as a header states it."""

    shape: tuple[int, ...]
    dtype: str
    """As safetensors writes it, such as 'F32'."""
    path: Path
    name: str
    """Of its file."""


class TensorFiles:
    """The tensors of a folder's weights."""

    def __init__(self, name: str, entries: Mapping[str, TensorEntry]) -> None:
        self.name = name
        """Of the file, for messages; of the index where there are shards."""
        self.entries = dict(entries)

    def outline(self, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
        """Return the wanted tensors as float32 on the meta device: shapes without memory; integers stay integers."""
        return {
            key: torch.empty(entry.shape, dtype=_kept_dtype(entry.dtype), device="meta")
            for key, entry in self.entries.items()
            if wanted(key)
        }

    def load(self, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
        """Return the wanted tensors as float32 on the CPU; integers stay integers.

        Raises UnusableFolder where numbers are not finite.
        """
        loaded: dict[str, Tensor] = {}
        for path in sorted({entry.path for entry in self.entries.values()}):
            with safe_open(path, framework="pt", device="cpu") as file:
                for key, entry in self.entries.items():
                    if entry.path == path and wanted(key):
                        loaded[key] = _check_finite(file.get_tensor(key), f"{entry.name}: {describe_key(key)}")
        return loaded


def read_tensor_files(files: FolderFiles, name: str) -> TensorFiles:
    """Read the headers of one file of weights, or of the shards that model.safetensors.index.json names.

    name  of the file; the index is read where it is not there
    Raises UnusableFolder.
    """
    if name not in files and INDEX in files:
        return TensorFiles(INDEX, _read_shards(files))
    entries = _read_header(files.fetch(name), name)
    return TensorFiles(name, _check_sum(entries, name))


def _read_shards(files: FolderFiles) -> dict[str, TensorEntry]:
    index = files.read_object(INDEX)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise UnusableFolder(f"{INDEX}: weight_map is not an object of tensors and the names of their files")
    shards = sorted(set(places.values()))
    if len(shards) > _MOST_SHARDS:
        raise UnusableFolder(f"{INDEX} names {len(shards):,} files; the limit is {_MOST_SHARDS}")
    for shard in shards:
        if "/" in shard or not shard.endswith(".safetensors"):
            raise UnusableFolder(f"{INDEX} names {shard[:80]!r}, expected a *.safetensors of the same folder")
    files.check_together(shards)
    entries: dict[str, TensorEntry] = {}
    for shard in shards:
        header = _read_header(files.fetch(shard), shard)
        twice = next((key for key in header if key in entries), None)
        if twice is not None:
            raise UnusableFolder(f"{shard}: {describe_key(twice)} is in {entries[twice].name} as well")
        entries |= header
    lost = next((key for key, shard in places.items() if key not in entries or entries[key].name != shard), None)
    if lost is not None:
        raise UnusableFolder(f"{INDEX}: {describe_key(lost)} is not in {places[lost]}")
    return _check_sum(entries, INDEX)


def _read_header(path: Path, name: str) -> dict[str, TensorEntry]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(path.stat().st_size - 8, _MOST_HEADER_BYTES):
            raise UnusableFolder(
                f"{name} is not a safetensors file, or not a whole one: it says that its header has {length:,} bytes; "
                f"the file has {path.stat().st_size:,}"
            )
        content = file.read(length)
    try:
        header = decode_json(content, max_bytes=_MOST_HEADER_BYTES)
    except InvalidFile as reason:
        raise UnusableFolder(f"{name}: its header {reason}") from None
    if not isinstance(header, dict):
        raise UnusableFolder(f"{name}: its header is no object")
    header.pop(_METADATA, None)
    if len(header) > MOST_TENSORS:
        raise UnusableFolder(f"{name} has {len(header):,} tensors; the limit is {MOST_TENSORS:,}")
    try:
        with safe_open(path, framework="pt", device="cpu"):
            pass
    except (SafetensorError, OSError) as error:
        raise UnusableFolder(f"{name} is not a sound safetensors file: {explain_failure(error)}") from None
    return {key: _make_entry(key, value, path, name) for key, value in header.items()}


def _make_entry(key: str, value: Any, path: Path, name: str) -> TensorEntry:
    """Return an entry whose shape safetensors has found right for its bytes."""
    entry = TensorEntry(tuple(value["shape"]), value["dtype"], path, name)
    if len(entry.shape) > _MOST_DIMENSIONS:
        raise UnusableFolder(
            f"{name}: {describe_key(key)} has {len(entry.shape):,} dimensions; the limit is {_MOST_DIMENSIONS}"
        )
    if entry.dtype not in _FLOATS and entry.dtype not in _OTHERS:
        raise UnusableFolder(
            f"{name}: {describe_key(key)} holds {entry.dtype}; expected float32, float16 or bfloat16. Quantised "
            "weights are not read"
        )
    return entry


def _check_sum(entries: dict[str, TensorEntry], name: str) -> dict[str, TensorEntry]:
    if len(entries) > MOST_TENSORS:
        raise UnusableFolder(f"{name} has {len(entries):,} tensors; the limit is {MOST_TENSORS:,}")
    parameters = sum(math.prod(entry.shape) for entry in entries.values())
    if parameters > MOST_PARAMETERS:
        raise UnusableFolder(f"{name} has {parameters:,} parameters; the limit is {MOST_PARAMETERS:,}")
    return entries


def _kept_dtype(name: str) -> torch.dtype:
    return torch.float32 if name in _FLOATS else _OTHERS[name]


def _check_finite(tensor: Tensor, what: str) -> Tensor:
    if not tensor.is_floating_point() or tensor.dtype == torch.float64:
        return tensor
    if not bool(torch.isfinite(tensor).all()):
        raise UnusableFolder(f"{what} is not finite everywhere: the file is damaged, or its training diverged")
    return tensor.to(torch.float32, copy=True)  # into memory of its own: aligned, and no longer of the mapped file
