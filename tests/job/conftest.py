"""Tiny trainings: pictures in memory, a network of 80,000 weights, seconds at most."""

import io
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.training import train_encoder
from selection_job.errors import ObjectMissing
from selection_job.process.progress import Progress

PREDICTION_EXAMPLES = Path(__file__).parents[2] / "examples" / "predictions"

TINY = {
    "pre_trained": False,
    "model": {"name": "resnet-9", "width": 0.125, "num_ftrs": 8, "out_dim": 16},
    "collate": {"input_size": 16},
    "loader": {"batch_size": 4, "num_workers": 0},
    "trainer": {"gpus": 0, "max_epochs": 2, "enable_model_summary": False},
    "optimizer": {"lr": 0.1},
}


class MemoryStore:
    """The reading half of a Store over a dict; picklable, so that workers can read from it."""

    url = "memory:"
    parallel_reads = 1

    def __init__(self, objects):
        self.objects = objects

    def read(self, key):
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectMissing(key) from None


def _as_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A folder with a CLIP that knows colours and light (tiny_clip.py), trained in some 10 seconds: tests are slow."""
    from tiny_clip import train_tiny_clip

    return train_tiny_clip(tmp_path_factory.mktemp("encoders") / "clip", steps=80)


@pytest.fixture
def no_way_out(monkeypatch):
    """Refuse every connection, as on a machine without a network."""

    def refuse(*arguments, **_):
        raise AssertionError(f"something was asked over the network: {arguments[-1]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def make_images():
    """A factory of image sources: of given pixel arrays, or of 10 pictures of noise on a colour each."""

    def make(pictures=None):
        if pictures is None:
            random = np.random.default_rng(0)
            pictures = [random.integers(0, 80, (40, 32, 3)) + random.integers(0, 175, 3) for _ in range(10)]
        objects = {f"{i:02}.png": _as_png(np.asarray(picture, dtype=np.uint8)) for i, picture in enumerate(pictures)}
        return ImageSource(MemoryStore(objects), sorted(objects))

    return make


@pytest.fixture
def tiny_config():
    """A factory of lightlyConfigs: TINY with changes, section by section."""

    def make(**changes):
        merged = {
            key: {**TINY.get(key, {}), **value} if isinstance(value, dict) else value for key, value in changes.items()
        }
        return LightlyConfig.model_validate({**TINY, **merged})

    return make


@pytest.fixture
def train(tmp_path, make_images):
    """Train on 10 pictures and return the encoder; keywords go to train_encoder."""

    def run(config, *, images=None, **options):
        defaults = {
            "folder": tmp_path / "training",
            "start_checkpoint": None,
            "resume_checkpoint": None,
            "on_checkpoint": None,
            "progress": Progress(quiet=True),
        }
        return train_encoder(make_images() if images is None else images, config, **{**defaults, **options})

    return run


SCENES = 5


@pytest.fixture(scope="session")
def make_report_input():
    """A factory of write_report's keywords: pictures around a few scenes, three farthest-first picks per scene or k."""
    from selection_api.worker_config import WorkerConfig
    from selection_job.catalog.catalog import Catalog
    from selection_job.numeric.farthest_first import farthest_first
    from selection_job.numeric.neighbours import nearest_rows
    from selection_job.report.facts import RunFacts
    from selection_job.selection.selection import Selection
    from selection_job.selection.vectors import normalize_rows

    def make(n=40, k=10, *, names=None, duplicates=0, corrupt=None, facts=None, **worker):
        rng = np.random.default_rng(7)
        names = sorted(names or [f"walk/frame_{i:03}.jpg" for i in range(n)])
        vectors = rng.normal(size=(SCENES, 6))[rng.integers(0, SCENES, n)] + 0.2 * rng.normal(size=(n, 6))
        duplicate_of = np.arange(n)
        duplicate_of[n - duplicates :] = 0
        vectors[n - duplicates :] = vectors[0]
        catalog = Catalog(
            names=names,
            sha256=rng.integers(0, 256, (n, 32)).astype(np.uint8),
            sizes_bytes=np.full(n, 1000),
            widths_px=np.full(n, 64, np.int32),
            heights_px=np.full(n, 48, np.int32),
            duplicate_of=duplicate_of,
            corrupt=corrupt or {},
        )
        embeddings = vectors.astype(np.float32)
        candidates = np.flatnonzero(~catalog.is_duplicate)
        unit = normalize_rows(embeddings[candidates])
        chosen, radii = farthest_first(unit, k)
        removed = np.setdiff1d(np.arange(len(candidates)), chosen)
        nearest, distances = nearest_rows(unit[removed], unit[chosen])
        thumbnails = {name: _as_jpeg(rng.integers(0, 256, 3), i) for i, name in enumerate(names)}
        settings = {
            "run_id": "test-12345678",
            "name": "test",
            "dataset_name": "pictures",
            "started_at": "2026-11-22T10:00:00+00:00",
            "finished_at": "2026-11-22T10:01:40+00:00",
            "stage_seconds": {"LOADING_DATASET": 10.0, "EMBEDDING": 90.0},
            "device": "CPU (test)",
            "threads": 1,
            "versions": {"selection-operator": "0.1.0", "numpy": "2"},
            "input_url": "/input/",
            "output_url": "/output/.lightly/runs/test-12345678/",
            "credentials": {"input": "none, it is a folder", "lightly": "Secret writer (SAS token)"},
            "encoder_source": "checkpoint start.ckpt",
            "encoder_fingerprint": "ab" * 32,
            "decoder": "exact",
            "bytes_read": 40_000,
            "bytes_reread": 0,
            "n_input": catalog.n_input,
            "seed": 1,
            "overrides": {"spec": {"workerConfig": {"method": "coreset"}}},
        }
        return {
            "facts": RunFacts(**{**settings, **(facts or {})}),
            "catalog": catalog,
            "embeddings": embeddings,
            "selection": Selection(
                candidates=candidates,
                selected=candidates[chosen],
                radii=radii,
                removed=candidates[removed],
                nearest_selected=candidates[chosen][nearest],
                nearest_distance=distances,
                method="coreset",
                stopped_by="n_samples",
                distances=np.concatenate([[np.inf], radii[:-1].astype(np.float64)]),
                contributions=np.empty((len(chosen), 0)),
                filtered_by=np.full(len(removed), -1),
            ),
            "thumbnail": thumbnails.get,
            "worker": WorkerConfig.model_validate(worker),
        }

    return make


def _as_jpeg(colour, step):
    pixels = np.empty((48, 64, 3), dtype=np.uint8)
    pixels[:] = colour
    pixels[:, step % 64] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def write_once(tmp_path_factory, make_report_input):
    """A factory of written reports, make_report_input's arguments -> (report, folder); equal ones are written once.

    copy    another one of the same input
    """
    from selection_job.report.writing import write_report

    written = {}

    def write(*args, copy="", **kwargs):
        key = repr((args, kwargs, copy))
        if key not in written:
            folder = tmp_path_factory.mktemp("report")
            written[key] = write_report(folder, **make_report_input(*args, **kwargs)), folder
        return written[key]

    return write


@pytest.fixture
def make_report(make_report_input):
    """A factory of reports as JSON values, without plots and PDF."""
    from selection_job.report.measures.candidates import make_candidates
    from selection_job.report.report_json import SourceFindings, build_report

    def make(*args, **kwargs):
        given = make_report_input(*args, **kwargs)
        facts, worker = given["facts"], given["worker"]
        normalize = worker.normalize_embeddings
        pool = make_candidates(given["embeddings"], given["selection"], normalize=normalize, seed=facts.seed)
        return build_report(
            facts=facts,
            catalog=given["catalog"],
            selection=given["selection"],
            pool=pool,
            worker=worker,
            sources=SourceFindings(),
        ).to_json_values()

    return make


@pytest.fixture(scope="session")
def tell(make_report_input):
    """Return a function (case of told_runs, words=…) -> Told, without UMAP; a named case is made once."""
    from told_runs import make_told

    from selection_job.report.measures import maps

    facts, known = make_report_input(3, 2)["facts"], {}

    def make(case, **options):
        key = case if isinstance(case, str) and not options else None
        if key is None or key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(maps, "find_neighbourhoods", lambda *_: None)
                patch.setattr(maps, "project_umap", lambda near, start, **_: start)
                told = make_told(case, facts, **options)
            if key is None:
                return told
            known[key] = told
        return known[key]

    return make


@pytest.fixture
def prediction_place(tmp_path):
    """A factory of workplaces over folders; the files lie below .lightly/predictions/, as JSON values or bytes."""
    from selection_api import parse_manifest
    from selection_job.run.context import set_up

    for name in ("input", "lightly", "scratch"):
        (tmp_path / name).mkdir()

    def make(files):
        for key, content in files.items():
            path = tmp_path / "lightly/.lightly/predictions" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        folders = {
            purpose: {"type": "LOCAL", "resourcePath": str(tmp_path / purpose)} for purpose in ("input", "lightly")
        }
        names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
        spec = {"datasources": folders, "workerConfig": {"stopping_condition": {"n_samples": 2}}}
        return set_up(parse_manifest({**names, "spec": spec}), tmp_path / "scratch", Progress(quiet=True))

    return make


@pytest.fixture
def task_place(prediction_place):
    """A factory of workplaces with a task t of some kind, a car (id 3) and a bus (id 7), and these of its files."""

    def make(kind, files, **schema):
        categories = [{"id": 7, "name": "bus"}, {"id": 3, "name": "car"}]
        whole = {"task_type": kind, "categories": categories, **schema}
        own = {f"t/{name}": content for name, content in files.items()}
        return prediction_place({"tasks.json": ["other", "t"], "t/schema.json": whole, **own})

    return make


@pytest.fixture
def load_task():
    """What a task says about images of these names."""
    return lambda place, names, task="t": _load_predictions(place, task, names).value[task]


@pytest.fixture
def load_notes():
    """What is noted on the files of the task t, of images of these names."""
    return lambda place, names: list(_load_predictions(place, "t", names).notes)


def _load_predictions(place, task, names):
    from selection_job.predictions.loading import load_predictions

    return load_predictions(
        place.target, [task], names, stages=place.stages, scratch=place.scratch, progress=place.progress
    )


@pytest.fixture(scope="module")
def one_thread():
    """torch on one thread: small convolutions are slower on two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run_prediction_example(run_manifest, tmp_path):
    """Return a function that runs a manifest of examples/predictions/ over a copy of its tree."""
    from selection_api import check_supported, parse_manifest
    from selection_job.manifest.reading import load_manifest

    def run(name, *, drawn=False):
        for folder in ("input", "lightly"):
            shutil.copytree(PREDICTION_EXAMPLES / folder, tmp_path / folder)
        text = (PREDICTION_EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
        manifest = load_manifest(text.replace("/tmp/selection-predictions", str(tmp_path)))
        check_supported(parse_manifest(manifest))
        return run_manifest(manifest, drawn=drawn)

    return run


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A real browser with one page."""
    from browser import Browser

    made = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield made
    made.close()
