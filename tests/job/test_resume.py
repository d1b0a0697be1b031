"""A run that was cut off goes on from its finished stages, and ends as if it had never been."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from stopping_bar import StoppingBar

from selection_api import parse_manifest
from selection_job.errors import Stopped, StorageUnavailable
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.publishing.publishing import publish
from selection_job.run.context import set_up
from selection_job.stores.lease import Lease

pytestmark = pytest.mark.slow

TRAINED = {
    "workerConfig": {"enable_training": True, "checkpoint": None},
    "lightlyConfig": {"pre_trained": False, "trainer": {"max_epochs": 2}},
}
RESULTS = ["filenames/*.txt", "data/*.csv"]


class StoppingProgress(Progress):
    """Raises Stopped at the n-th step of a bar, as the signal handler would."""

    def __init__(self, description, n):
        super().__init__(quiet=True)
        self.seen = []
        self._description, self._n = description, n

    def _display(self, bar):
        self.seen.append(bar.description.partition(",")[0])
        return super()._display(bar)

    def bar(self, description, total, unit="images", **options):
        manager = super().bar(description, total, unit, **options)
        if not description.startswith(self._description):
            return manager
        return StoppingBar(manager, self._n)


def run_once(manifest, scratch, progress):
    scratch.mkdir()
    place = set_up(parse_manifest(manifest), scratch, progress)
    run_pipeline(place)
    return Path(place.target.url) / place.run_key


def read_results(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for pattern in RESULTS for path in sorted(folder.glob(pattern))
    }


@pytest.mark.parametrize(
    ("description", "steps", "not_again"),
    [("Training", 6, ["Checking images"]), ("Reading and embedding", 20, ["Checking images", "Training"])],
)
def test_a_stopped_run_goes_on_and_ends_with_the_same_files(
    make_manifest, photos, tmp_path, description, steps, not_again
):
    manifest = make_manifest(photos.folder, **TRAINED)
    with pytest.raises(Stopped):
        run_once(manifest, tmp_path / "first", StoppingProgress(description, steps))
    assert not list((tmp_path / "output").rglob("report.json"))
    second = StoppingProgress("never", 0)
    resumed = read_results(run_once(manifest, tmp_path / "second", second))
    assert not set(not_again) & set(second.seen)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    manifest["spec"]["datasources"]["lightly"]["resourcePath"] = str(elsewhere)
    assert read_results(run_once(manifest, tmp_path / "third", Progress(quiet=True))) == resumed


def test_a_finished_run_over_changed_images_runs_again_and_leaves_nothing_outdated(
    make_manifest, own_photos, run_manifest
):
    first = run_manifest(make_manifest(own_photos.folder, workerConfig={"dump_dataset": True}))
    (own_photos.folder / "UPPER.JPEG").unlink()
    second = run_manifest(make_manifest(own_photos.folder, workerConfig={"dump_dataset": True}))
    assert second.folder == first.folder
    assert second.summary.counts.input == own_photos.total - 1
    assert not (second.folder / "data/clean/UPPER.JPEG").exists()
    assert sorted(p.name for p in (second.folder / "data/sampled").rglob("*.*")) == sorted(
        name.rpartition("/")[2] for name in second.selected
    )


def test_a_finished_run_whose_checkpoint_was_replaced_runs_again(make_manifest, photos, run_manifest, tmp_path):
    manifest = make_manifest(photos.folder)
    run_manifest(manifest)
    path = tmp_path / "output/.lightly/start.ckpt"
    state = torch.load(path, weights_only=True)
    state["state_dict"]["model.backbone.7.bias"] += 1
    torch.save(state, path)
    second = run_manifest(manifest)
    assert second.place.source.bytes_read > 0
    assert run_manifest(manifest).place.source.bytes_read == 0


class FailingStore:
    """Passes verbs on to a store and fails at the n-th write."""

    def __init__(self, store, n):
        self._store, self._left = store, n

    def __getattr__(self, verb):
        return getattr(self._store, verb)

    def write(self, key, content):
        self._count(key)
        self._store.write(key, content)

    def upload(self, key, path):
        self._count(key)
        self._store.upload(key, path)

    def _count(self, key):
        self._left -= 1
        if self._left < 0:
            raise StorageUnavailable(f"writing {key} failed for now")


def test_cut_off_at_any_write_of_publishing_there_is_no_report_json_and_the_next_try_completes(tmp_path):
    from selection_job.stores.local.store import LocalStore

    results = tmp_path / "results"
    names = ["report.pdf", "data/embeddings.csv", "filenames/a.txt"]
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(name)
    (tmp_path / "bucket").mkdir()
    store = LocalStore(tmp_path / "bucket", writable=True)
    lock = Lease(store, "locks/run.json")
    lock.acquire()

    def make_place(target):
        return SimpleNamespace(target=target, run_key="run/", lease=lock, progress=Progress(quiet=True))

    for n in range(len(names) + 1):
        with pytest.raises(StorageUnavailable):
            publish(results, make_place(FailingStore(store, n)), b"{}")
        assert not store.exists("run/report.json")
    publish(results, make_place(FailingStore(store, 100)), json.dumps({"a": 1}).encode())
    assert json.loads(store.read("run/report.json")) == {"a": 1}
    assert {info.key for info in store.list("run/")} == {f"run/{name}" for name in [*names, "report.json"]}
