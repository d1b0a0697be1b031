"""Deleting what an earlier try left: several requests at a time, all of them done, none of their errors lost."""

import itertools
import threading
from types import SimpleNamespace

import pytest

from selection_job.errors import StorageRefused
from selection_job.publishing.publishing import _clear_outdated
from selection_job.stores.cloud.provider_client import VendorError
from selection_job.stores.store import PARALLEL_DELETES

RUN = ".lightly/runs/test-1/"


def fill(store, n):
    for i in range(n):
        store.write(f"{RUN}data/{i}.csv", b"old")
    store.write(f"{RUN}.stages/a.json", b"{}")
    store.write(f"{RUN}report.json", b"{}")
    store.write("other.jpg", b"")


def test_a_folder_goes_with_all_that_is_in_it(store):
    fill(store, 40)
    store.delete_folder(RUN)
    assert [info.key for info in store.list()] == ["other.jpg"]


def test_what_an_earlier_try_left_goes_and_its_stages_stay(store):
    fill(store, 40)
    _clear_outdated(SimpleNamespace(target=store, run_key=RUN))
    assert {info.key for info in store.list()} == {f"{RUN}.stages/a.json", "other.jpg"}


@pytest.fixture
def on_delete(bucket, monkeypatch):
    """A function that has act(key) called in place of the request of each delete."""

    def install(act):
        monkeypatch.setattr(type(bucket._connected().vendor), "delete", lambda _, key: act(key.rpartition(RUN)[2]))

    return install


def test_the_deletes_are_under_way_together(bucket, on_delete):
    fill(bucket, PARALLEL_DELETES)
    bucket.delete(f"{RUN}.stages/a.json")
    bucket.delete(f"{RUN}report.json")
    barrier = threading.Barrier(PARALLEL_DELETES)
    on_delete(lambda key: barrier.wait(60))
    bucket.delete_folder(RUN)


@pytest.mark.parametrize(
    "clear",
    [lambda store: store.delete_folder(RUN), lambda store: _clear_outdated(SimpleNamespace(target=store, run_key=RUN))],
    ids=["folder", "outdated"],
)
def test_one_that_may_not_be_deleted_is_said_and_ends_it(bucket, on_delete, clear):
    fill(bucket, 200)
    asked = itertools.count()

    def refuse(key):
        next(asked)
        if key == "data/0.csv":
            raise VendorError(403, "AccessDenied", "no")

    on_delete(refuse)
    with pytest.raises(StorageRefused, match=r"DELETE.*data/0\.csv.*AccessDenied"):
        clear(bucket)
    assert next(asked) < 120, "no further one is begun"
