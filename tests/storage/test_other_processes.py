"""Stores in processes that others start: pickled into fresh ones, and in the workers of a training."""

import io
import multiprocessing
import pickle
from multiprocessing import forkserver

import pytest
import reading_process
import storage_servers
from PIL import Image

from selection_api.datasource import Datasource
from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.views import TrainingBatches, TrainingViews, load_views
from selection_job.stores.counting import CountingStore
from selection_job.stores.opening import open_bucket

KINDS = ["s3-rclone", "azure"]  # behind a proxy, fake-gcs-server has no address that obstore reads by
ONE = {"max_epochs": 1}
FAST = "selection-operator"
"""How obstore's clients call themselves."""


class Agents:
    """Keeps by which client each object was asked for."""

    def __init__(self):
        self.seen = []

    def __call__(self, request):
        if request.method == "GET":
            self.seen.append(request.headers.get("user-agent", ""))


@pytest.fixture
def watched(request, make_place, mount, token_server):
    """A function kind -> a store behind a proxy that keeps the clients' names, and those names."""
    servers = []

    def watch(kind):
        agents, place = Agents(), make_place(kind)
        mount("input", place.secret)
        endpoint = place.datasource["endpoint"]
        scheme, _, rest = endpoint.partition("://")
        host, slash, path = rest.partition("/")
        server = storage_servers.proxying(f"{scheme}://{host}", agents)
        servers.append(server)
        changed = {**place.reference("a-secret"), "endpoint": f"{server.__enter__()}{slash}{path}"}
        return open_bucket(Datasource.model_validate(changed), purpose="input"), agents

    yield watch
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickled_store_reads_in_a_fresh_process_the_fast_way(kind, watched):
    store, agents = watched(kind)
    store.write("a.jpg", b"content")
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=reading_process.read_there, args=(store, "a.jpg", there))
    process.start()
    assert here.recv() == b"content"
    process.join()
    assert agents.seen == [FAST]


@pytest.mark.parametrize("kind", ["s3-rclone", "gcs", "azure"])
def test_a_copy_of_a_store_is_a_store_of_its_own(kind, watched):
    store, _ = watched(kind)
    store.write("a.jpg", b"content")
    store.can_delete = False
    twin = pickle.loads(pickle.dumps(store))
    assert (twin.url, twin.can_delete, twin.read("a.jpg")) == (store.url, False, b"content")
    assert twin.credentials == store.credentials


def make_picture(seed):
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 10 + seed).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def fresh_fork_server():
    """None is running: one of an earlier test has that test's environment."""
    forkserver._forkserver._stop()
    yield
    forkserver._forkserver._stop()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_fork_server")
def test_workers_of_a_training_read_the_fast_way_and_see_what_one_process_sees(watched):
    store, agents = watched("s3-rclone")
    names = [f"{i}.png" for i in range(10)]
    for seed, name in enumerate(names):
        store.write(name, make_picture(seed))
    config = LightlyConfig.model_validate({"collate": {"input_size": 16}, "loader": {"batch_size": 4}, "trainer": ONE})
    counted = CountingStore(store)
    views = TrainingViews(ImageSource(counted, names), config)
    batches = TrainingBatches(len(names), config)
    alone = list(load_views(views, batches, num_workers=0, pin=False))
    agents.seen.clear()
    before = counted.bytes_read
    shared = list(load_views(views, batches, num_workers=2, pin=False))
    assert all((one == other).all() for one, other in zip(alone, shared, strict=True))
    assert set(agents.seen) == {FAST}
    assert counted.bytes_read == 2 * before, "what worker processes read is counted"
