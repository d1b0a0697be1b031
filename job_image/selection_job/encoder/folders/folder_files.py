"""Folder files: which of the files that make an encoder are in its folder, and copies of them in the scratch folder.

Only the names below are opened. Sizes come from the listing, before anything is fetched; safetensors maps files into
memory, and a mapped file that shrinks kills the process, so nothing is read where it lies.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from selection_job.encoder.folders.unusable_folder import UnusableFolder
from selection_job.errors import ObjectMissing
from selection_job.formats.json_reading import InvalidFile, decode_json
from selection_job.stores.store import ObjectInfo, Store

OPEN_CLIP_CONFIG, CONFIG, PREPROCESSOR = "open_clip_config.json", "config.json", "preprocessor_config.json"
TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
OPEN_CLIP_WEIGHTS, WEIGHTS, INDEX = "open_clip_model.safetensors", "model.safetensors", "model.safetensors.index.json"
MOST_WEIGHT_BYTES = 16 * 1024**3
_MIB = 1024**2
_MOST_BYTES = {
    OPEN_CLIP_CONFIG: _MIB,
    CONFIG: _MIB,
    PREPROCESSOR: _MIB,
    TOKENIZER_CONFIG: _MIB,
    SPECIAL_TOKENS: _MIB,
    INDEX: 4 * _MIB,
    TOKENIZER: 64 * _MIB,
    OPEN_CLIP_WEIGHTS: MOST_WEIGHT_BYTES,
    WEIGHTS: MOST_WEIGHT_BYTES,
}
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
_PICKLE = re.compile(r"[^/]*\.(bin|pt|pth|ckpt|pkl)")
_KEPT_OTHERS = 20
_MOST_SHOWN = 10
_LONGEST_SHOWN = 60
_MOST_LISTED = 10_000
_FIRST_BYTES = 512


@dataclass(frozen=True)
class FolderFiles:
    """What was listed, and where it is copied to."""

    store: Store
    key: str
    """Of the folder, with a trailing '/'."""
    copies: Path
    """A folder for these files in these versions alone."""
    listed: dict[str, ObjectInfo] = field(default_factory=dict)
    """By name, the files that an encoder may be made of."""
    pickles: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """The first few of what else is there."""

    def __contains__(self, name: str) -> bool:
        """Say whether the folder has the file."""
        return name in self.listed

    @property
    def url(self) -> str:
        """The folder as users know it."""
        return self.store.url + self.key

    def fetch(self, name: str) -> Path:
        """Return a local copy. Raises UnusableFolder: too large, not there, a Git LFS pointer, a page in HTML."""
        info = self._find(name)
        path = self.copies / name
        if not path.exists():
            self.copies.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{name}.part")
            try:
                self.store.download(info.key, part)
            except ObjectMissing:
                raise UnusableFolder(f"{name} was listed and is gone") from None
            if part.stat().st_size != info.size_bytes:
                raise UnusableFolder(
                    f"{name} has {part.stat().st_size:,} bytes and was listed with {info.size_bytes:,}; it is being "
                    "changed. Start the run again when it is complete"
                )
            part.rename(path)
        _check_first_bytes(path, name)
        return path

    def read_json(self, name: str) -> Any:
        """Return a JSON file's document. Raises UnusableFolder, also where its JSON is broken."""
        try:
            return decode_json(self.fetch(name).read_bytes(), max_bytes=_MOST_BYTES[name])
        except InvalidFile as reason:
            raise UnusableFolder(f"{name} {reason}") from None

    def read_object(self, name: str) -> dict[str, Any]:
        """Return a JSON file's object; {} where the folder has no such file."""
        document = self.read_json(name) if name in self else {}
        if not isinstance(document, dict):
            raise UnusableFolder(f"{name} holds no object at its top")
        return document

    def check_together(self, names: Iterable[str]) -> None:
        """Raise UnusableFolder where shards are missing, or larger together than weights may be."""
        total = sum(self._find(name).size_bytes for name in names)
        if total > MOST_WEIGHT_BYTES:
            raise UnusableFolder(f"{INDEX} names {total:,} bytes of weights; the limit is {MOST_WEIGHT_BYTES:,}")

    def _find(self, name: str) -> ObjectInfo:
        info = self.listed.get(name)
        if info is None:
            raise UnusableFolder(f"{name} is not there. {self.describe()}")
        most = _MOST_BYTES.get(name, MOST_WEIGHT_BYTES)
        if info.size_bytes > most:
            raise UnusableFolder(f"{name} has {info.size_bytes:,} bytes; the limit is {most:,}")
        return info

    def describe(self) -> str:
        """Return a sentence with what the folder holds."""
        names = [*self.listed, *self.pickles, *self.others]
        quoted = ", ".join(repr(name[:_LONGEST_SHOWN]) for name in names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        return f"The folder holds {quoted}{more}" if names else "There is no such folder, or it is empty"


def list_folder(store: Store, key: str, scratch: Path) -> FolderFiles:
    """List an encoder's folder; nothing is fetched.

    key      of the folder, with or without a trailing '/'
    scratch  a folder for copies, used again by the next call while the files are the same
    """
    prefix = key.rstrip("/") + "/"
    listed: dict[str, ObjectInfo] = {}
    pickles: list[str] = []
    others: list[str] = []
    for n, info in enumerate(store.list(prefix)):
        name = info.key.removeprefix(prefix)
        if name in _MOST_BYTES or _SHARD.fullmatch(name):
            listed[name] = info
        elif is_pickle(name):
            pickles.append(name)
        elif len(others) < _KEPT_OTHERS:
            others.append(name)
        if n == _MOST_LISTED:
            break
    versions = "\0".join(f"{name}\0{info.size_bytes}\0{info.version}" for name, info in sorted(listed.items()))
    identity = sha256("\0".join((store.url, prefix, versions)).encode("utf-8", "surrogateescape")).hexdigest()
    copies = scratch / f"encoder-{identity[:16]}"
    return FolderFiles(
        store, prefix, copies, dict(sorted(listed.items())), tuple(sorted(pickles)), tuple(sorted(others))
    )


def is_pickle(name: str) -> bool:
    """Say whether a file of a folder is a pickle of weights, by its ending."""
    return _PICKLE.fullmatch(name) is not None


def _check_first_bytes(path: Path, name: str) -> None:
    with path.open("rb") as file:
        first = file.read(_FIRST_BYTES)
    if first.startswith(b"version https://git-lfs"):
        raise UnusableFolder(
            f"{name} is a Git LFS pointer of {path.stat().st_size:,} bytes, not the file itself: run git lfs pull and "
            "upload what it brings"
        )
    start = first.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnusableFolder(
            f"{name} starts with {start[:14].decode('ascii', 'replace')!r}: a page was saved instead of the file. "
            "Repositories that ask for a consent (facebook/dinov3-… does) need a login to download from"
        )
