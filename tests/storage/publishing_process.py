"""What a process does that is killed while it publishes; imported by processes that a fork server starts."""

import os
import signal
import threading
from types import SimpleNamespace

from selection_job.process.progress import Progress
from selection_job.publishing import publishing
from selection_job.run.kept_stages import KeptStages
from selection_job.stores.lease import Lease, hold
from selection_job.stores.opening import open_bucket

RUN = ".lightly/runs/test-1/"
FILES = {"data/embeddings.csv": b"new", "filenames/sampled.txt": b"new", "plots/a.png": b"new", "report.pdf": b"new"}


class KillingStore:
    """Passes each call on until the n-th, before which the process is killed; None: never."""

    def __init__(self, store, n):
        self.url, self.calls, self._store, self._n = store.url, 0, store, n
        self._counting = threading.Lock()

    def __getattr__(self, name):
        verb = getattr(self._store, name)

        def call(*arguments):
            with self._counting:  # several deletes are under way at a time
                self.calls += 1
                if self.calls == self._n:
                    os.kill(os.getpid(), signal.SIGKILL)
            return verb(*arguments)

        return call


def write(datasource, secrets, scratch, n, calls):
    """The writing stage over a bucket, with small files in place of the computed ones."""
    os.environ["SELECTION_SECRETS"] = secrets  # the fork server started before it was known
    store = KillingStore(open_bucket(datasource, purpose="lightly"), n)
    stages = KeptStages(store, RUN, scratch / "stages")
    place = SimpleNamespace(
        target=store, run_key=RUN, scratch=scratch, stages=stages, progress=Progress(quiet=True), spec=None,
        lease=Lease(store, ".lightly/locks/test-1.json"),
    )  # fmt: skip
    publishing._write_data = write_files
    publishing._write_report = lambda *_: {"files": sorted(FILES)}
    publishing._add_to_datapool = lambda *_: None
    publishing._fingerprint_input = lambda *_: "fingerprint"
    publishing.summarize = lambda *_: SimpleNamespace(model_dump=lambda **_: {"reason": "Complete"})
    with hold(place.lease):
        publishing.write_results(place, SimpleNamespace(view=SimpleNamespace(listing=None)))
    calls.value = store.calls


def write_files(folder, *_):
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
