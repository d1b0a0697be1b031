"""EncoderRecord: which encoder made the vectors of a table, in a file beside it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from selection_job.errors import ObjectMissing, UnusableData
from selection_job.stores.store import Store

RECORD_FILE = "encoder.json"
"""In the folder of a run's tables."""

_RUNS, _DATA = ".lightly/runs/", "data"
_MOST_BYTES = 65_536
_LONGEST = 2000


@dataclass(frozen=True)
class EncoderRecord:
    """The encoder of some vectors."""

    fingerprint: str
    """64 hex digits; equal ones make equal vectors of one image."""
    source: str
    """Where the encoder came from, for messages."""
    dimensions: int


def list_record_keys(table_key: str) -> tuple[str, ...]:
    """Return where the record of a table may lie in the lightly datasource, the nearest first.

    >>> list_record_keys(".lightly/embeddings/cars.csv")
    ('.lightly/embeddings/cars.encoder.json',)
    >>> list_record_keys(".lightly/embeddings/cars.parquet")
    ('.lightly/embeddings/cars.encoder.json',)
    >>> list_record_keys(".lightly/runs/cars-1f2e3d4c/data/embeddings.csv")[1]
    '.lightly/runs/cars-1f2e3d4c/data/encoder.json'
    """
    folder, _, name = table_key.rpartition("/")
    own = f"{folder}/{name.removesuffix('.csv').removesuffix('.parquet')}.encoder.json"
    is_of_run = folder.startswith(_RUNS) and folder.removeprefix(_RUNS).split("/")[1:] == [_DATA]
    return (own, f"{folder}/{RECORD_FILE}") if is_of_run else (own,)


def read_record(store: Store, table_key: str) -> EncoderRecord | None:
    """Return the record of a table; None where there is none.

    Raises UnusableData for a file that is something else: whoever put it there means it.
    """
    for key in list_record_keys(table_key):
        if all(info.size_bytes <= _MOST_BYTES for info in store.list(key) if info.key == key):
            try:
                return _parse(store.read(key), f"{store.url}{key}")
            except ObjectMissing:
                continue
        raise UnusableData(f"{store.url}{key} is larger than {_MOST_BYTES} bytes. {_advise(key)}")
    return None


def _parse(content: bytes, where: str) -> EncoderRecord:
    try:
        found = json.loads(content)
        record = EncoderRecord(found["fingerprint"], found["source"], found["dimensions"])
    except (ValueError, KeyError, TypeError, RecursionError):
        record = None
    if record is None or not _is_right(record):
        raise UnusableData(f"{where} can't be used: expected fingerprint, source and dimensions. {_advise(where)}")
    return record


def _is_right(record: EncoderRecord) -> bool:
    fingerprint, source, d = record.fingerprint, record.source, record.dimensions
    is_hex = isinstance(fingerprint, str) and len(fingerprint) == 64 and set(fingerprint) <= set("0123456789abcdef")
    is_number = isinstance(d, int) and not isinstance(d, bool) and d > 0
    return is_hex and is_number and isinstance(source, str) and len(source) <= _LONGEST


def _advise(where: str) -> str:
    name = where.rpartition("/")[2]
    return (
        f"A run writes it as data/{RECORD_FILE} beside its tables: copy that one again, or delete {name}; then it "
        "can't be checked whether queries fit to the table."
    )


def write_record(folder: Path, record: EncoderRecord) -> None:
    """Write the record beside the tables of a run."""
    text = json.dumps(asdict(record), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / RECORD_FILE).write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
