"""What progress tells is what has happened: nothing counts as done that was not read and embedded."""

import threading
from dataclasses import replace

import pytest
from testbed.waiting import wait_until

from selection_api import parse_manifest
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up
from selection_job.stores.counting import CountingStore

pytestmark = pytest.mark.slow

BATCH = 8


class GatedStore:
    """A store so slow that each read waits for a permit; it counts what it has served."""

    def __init__(self, store):
        self._store, self._gate, self.served = store, threading.Semaphore(0), 0
        self.url = store.url

    def __getattr__(self, verb):
        return getattr(self._store, verb)

    def permit(self, n):
        for _ in range(n):
            self._gate.release()

    def read(self, key):
        self._gate.acquire()
        self.served += 1
        return self._store.read(key)


@pytest.fixture
def slow_run(make_manifest, photos, tmp_path):
    """A run over the photos in a thread, and the store that it reads from."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    manifest = make_manifest(
        photos.folder, workerConfig={"num_threads": 1}, lightlyConfig={"loader": {"batch_size": BATCH}}
    )
    place = set_up(parse_manifest(manifest), scratch, Progress(quiet=True))
    store = GatedStore(place.source._store)
    place = replace(place, source=CountingStore(store))
    thread = threading.Thread(target=run_pipeline, args=(place,))
    thread.start()
    yield place.progress, store
    store.permit(1000)
    thread.join()


def count_embedded(photos, n_served):
    """Images that are done with when the first n_served are read: corrupt ones, and whole batches of the others."""
    served = sorted([*photos.readable, *photos.corrupt])[:n_served]
    n_corrupt = len(set(served) & set(photos.corrupt))
    n_readable = len(served) - n_corrupt
    in_whole_batches = n_readable if n_served == photos.total else n_readable // BATCH * BATCH
    return n_corrupt + in_whole_batches


def test_done_is_what_a_slow_store_has_served_but_for_the_batch_in_the_making(slow_run, photos):
    progress, store = slow_run
    wait_until(lambda: progress.position.total == photos.total)
    assert progress.current == "EMBEDDING"
    permitted = 0
    for n in (3, 1, 7, 1, 8, 9):
        store.permit(n)
        permitted += n
        wait_until(lambda: store.served == permitted)  # noqa: B023
        expected = count_embedded(photos, permitted)
        wait_until(lambda: progress.position.done == expected)  # noqa: B023
        assert 0 <= store.served - progress.position.done <= BATCH
    store.permit(photos.total)
    wait_until(lambda: progress.current != "EMBEDDING")
    assert progress.units_done["EMBEDDING"] == store.served == photos.total


def test_counts_become_known_one_stage_after_the_other(slow_run, photos):
    progress, store = slow_run
    wait_until(lambda: progress.position.total == photos.total)
    assert progress.counts.model_dump(exclude_unset=True) == {"input": photos.total}
    store.permit(1000)
    counts = wait_until(lambda: progress.counts if progress.counts.selected else None, timeout=60)
    n_selected = photos.total // 4
    assert counts.model_dump() == {
        "input": photos.total,
        "corrupt": len(photos.corrupt),
        "duplicate": len(photos.duplicates),
        "selected": n_selected,
        "removed": photos.total - len(photos.corrupt) - len(photos.duplicates) - n_selected,
    }
