"""The record of an encoder beside a table: found, bounded, and refused where it is something else."""

import json

import pytest

from selection_job.embeddings.encoder_record import EncoderRecord, read_record, write_record
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

RECORD = EncoderRecord("ab" * 32, "encoder .lightly/encoders/clip/", 64)
OF_RUN = ".lightly/runs/cars-1f2e3d4c/data/"


@pytest.fixture
def store(tmp_path):
    (tmp_path / OF_RUN).mkdir(parents=True)
    (tmp_path / ".lightly/embeddings").mkdir()
    return LocalStore(tmp_path)


def test_what_a_run_wrote_is_found_for_each_of_its_tables(store, tmp_path):
    write_record(tmp_path / OF_RUN, RECORD)
    for table in ("embeddings.csv", "selected_embeddings.csv"):
        assert read_record(store, OF_RUN + table) == RECORD


def test_a_table_elsewhere_has_a_record_of_its_own_name(store, tmp_path):
    write_record(tmp_path / ".lightly/embeddings", RECORD)
    assert read_record(store, ".lightly/embeddings/cars.csv") is None, "whose encoder.json is it?"
    (tmp_path / ".lightly/embeddings/encoder.json").rename(tmp_path / ".lightly/embeddings/cars.encoder.json")
    assert read_record(store, ".lightly/embeddings/cars.csv") == RECORD
    assert read_record(store, ".lightly/embeddings/cars.parquet") == RECORD
    assert read_record(store, ".lightly/embeddings/trucks.csv") is None


WHOLE = vars(RECORD)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 50_000,
        b"\xff",
        json.dumps({**WHOLE, "fingerprint": "ab"}).encode(),
        json.dumps({**WHOLE, "fingerprint": 5}).encode(),
        json.dumps({**WHOLE, "fingerprint": "zz" * 32}).encode(),
        json.dumps({**WHOLE, "dimensions": True}).encode(),
        json.dumps({**WHOLE, "dimensions": 0}).encode(),
        json.dumps({**WHOLE, "source": None}).encode(),
        json.dumps({**WHOLE, "source": "x" * 3000}).encode(),
        json.dumps({"fingerprint": WHOLE["fingerprint"]}).encode(),
        b" " * 70_000,
    ],
)
def test_something_else_is_refused_with_what_to_do(store, tmp_path, content):
    (tmp_path / ".lightly/embeddings/cars.encoder.json").write_bytes(content)
    with pytest.raises(UnusableData, match=r"cars\.encoder\.json .*copy that one again, or delete"):
        read_record(store, ".lightly/embeddings/cars.csv")
