"""Killed (SIGKILL) at each storage call of the writing stage: readers are never misled, and the rerun ends whole."""

import json
import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver

import pytest
from publishing_process import FILES, RUN, write

from selection_api.datasource import Datasource
from selection_job.errors import ObjectMissing

OLD = {"data/embeddings.csv": b"old", "data/outdated.csv": b"old", "report.pdf": b"old"}


@pytest.fixture(scope="module")
def context():
    """Processes forked from one that has imported everything and talked to nobody."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["publishing_process", "selection_job.stores.cloud.s3"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server itself does not get our sys.path
        forkserver.ensure_running()
    return server


@pytest.fixture
def attempt(make_place, open_place, mount, context, tmp_path):
    """A function n -> (exit code, number of calls) of the writing stage killed before its n-th call, and its store."""
    place = make_place("s3-moto")
    store = open_place(place)
    datasource = Datasource.model_validate(place.reference("a-secret"))

    def run(n):
        calls = context.Value("i", 0)
        process = context.Process(target=write, args=(datasource, os.environ["SELECTION_SECRETS"], tmp_path, n, calls))
        process.start()
        process.join()
        return process.exitcode, calls.value

    return run, store


def leave_old(store):
    """Leave a finished result of an earlier try, over other images, and a stage of this one."""
    for name, content in OLD.items():
        store.write(RUN + name, content)
    store.write(f"{RUN}report.json", json.dumps({"files": sorted(OLD)}).encode())
    store.write(f"{RUN}.stages/embedding-1/complete.json", b"{}")


def read_all(store):
    return {info.key.removeprefix(RUN): store.read(info.key) for info in store.list(RUN)}


def check_no_reader_is_misled(store):
    """Where report.json is, all that it names is there, of one try."""
    try:
        named = json.loads(store.read(f"{RUN}report.json"))["files"]
    except ObjectMissing:
        return
    assert {name: store.read(RUN + name) for name in named} == (FILES if named == sorted(FILES) else OLD)


@pytest.mark.slow
def test_killed_at_each_call_the_rerun_ends_with_the_same_complete_result(attempt):
    run, store = attempt
    leave_old(store)
    assert run(None)[0] == 0
    expected, (_, calls) = read_all(store), run(None)
    assert expected.keys() == {*FILES, "report.json"}
    assert calls > 12
    n = 0
    while True:
        n += 1
        leave_old(store)
        code, _ = run(n)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        check_no_reader_is_misled(store)
        assert run(None)[0] == 0
        assert read_all(store) == expected
    assert n > 15, "it was killed at each call until there were no more"
    assert [info.key for info in store.list(".lightly/locks/")] == []
