"""Shared ground: a small folder of pictures, a checkpoint, and a way to run manifests on them."""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from testbed.merging import merge

pytest_plugins = ["testbed.fixtures", "testbed.spreading"]

GROUPS, PER_GROUP = 6, 5
TINY_MODEL = {"name": "resnet-9", "width": 0.25, "num_ftrs": 16}


def draw_picture(group, step, size_px=72):
    """One of a walk of near-duplicates: the same scene, a few pixels further on."""
    rng = np.random.default_rng(group)
    colours = rng.integers(0, 256, (8, 3))
    image = Image.new("RGB", (size_px, size_px), tuple(int(c) for c in colours[0]))
    draw = ImageDraw.Draw(image)
    for shape, colour in enumerate(colours[1:]):
        x, y = rng.integers(0, size_px, 2) + step
        w, h = rng.integers(6, size_px // 2, 2)
        (draw.ellipse if shape % 2 else draw.rectangle)([x, y, x + w, y + h], fill=tuple(int(c) for c in colour))
    return image


def as_bytes(image, image_format="JPEG"):
    buffer = io.BytesIO()
    image.save(buffer, image_format, quality=92) if image_format == "JPEG" else image.save(buffer, image_format)
    return buffer.getvalue()


@dataclass(frozen=True)
class Photos:
    """The folder and what is known to be in it."""

    folder: Path
    readable: list[str]
    duplicates: dict[str, str]  # name -> the first name with the same bytes
    corrupt: list[str]

    @property
    def total(self):
        return len(self.readable) + len(self.corrupt)


def write_photos(folder):
    """36 readable pictures in 6 near-duplicate walks, 3 exact copies, 4 corrupt files, files that are no images."""
    pictures = {
        f"walk {group}/frame_{step}.jpg": as_bytes(draw_picture(group, step))
        for group in range(GROUPS)
        for step in range(PER_GROUP)
    }
    pictures["写真/東京 <1> & 2.png"] = as_bytes(draw_picture(50, 0), "PNG")
    pictures["UPPER.JPEG"] = as_bytes(draw_picture(51, 0))
    pictures['a "quoted", name.jpg'] = as_bytes(draw_picture(52, 0))
    duplicates = {
        "zz copy 1.jpg": "walk 0/frame_0.jpg",
        "zz copy 2.jpg": "walk 0/frame_0.jpg",
        "非 copy 3.png": "写真/東京 <1> & 2.png",
    }
    pictures |= {name: pictures[original] for name, original in duplicates.items()}
    whole = as_bytes(draw_picture(60, 0))
    corrupt = {
        "broken/cut.jpg": whole[: len(whole) // 2],
        "broken/empty.jpg": b"",
        "broken/notes.jpg": b"Dear diary, this is no picture.\n" * 20,
        "broken/zeroed.jpg": whole[:700] + bytes(len(whole) - 700),
    }
    others = {"README.txt": b"hello", ".hidden/secret.jpg": whole, ".lightly/old.jpg": whole}
    for name, content in (pictures | corrupt | others).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Photos(folder, sorted(pictures), duplicates, sorted(corrupt))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """The folder, shared and read-only by agreement."""
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def own_photos(tmp_path):
    """A copy of the folder that the test may change."""
    return write_photos(tmp_path / "photos")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A checkpoint of an untrained resnet-9, as lightly stores it: random features still tell pictures apart."""
    import torch

    from selection_api.lightly_config import LightlyConfig
    from selection_job.encoder.architecture import build_model

    torch.manual_seed(0)
    config = LightlyConfig.model_validate({"model": TINY_MODEL})
    path = tmp_path_factory.mktemp("checkpoint") / "start.ckpt"
    model = build_model(config.model)
    torch.save({"state_dict": {f"model.{key}": value for key, value in model.state_dict().items()}}, path)
    return path


BASE = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "test"},
    "spec": {
        "datasources": {},
        "workerConfig": {
            "checkpoint": ".lightly/start.ckpt",
            "stopping_condition": {"n_samples": 0.25},
            "n_example_images": 2,
        },
        "lightlyConfig": {
            "model": TINY_MODEL,
            "collate": {"input_size": 32},
            "loader": {"batch_size": 8, "num_workers": 0},
            "trainer": {"gpus": 0},
        },
    },
}


@pytest.fixture
def make_manifest(tmp_path, checkpoint):
    """Return a function (input folder, **spec changes) -> manifest; outputs go to tmp_path/output."""
    output = tmp_path / "output"
    (output / ".lightly").mkdir(parents=True)
    shutil.copy(checkpoint, output / ".lightly" / "start.ckpt")

    def make(folder, **spec):
        datasources = {
            "input": {"type": "LOCAL", "resourcePath": str(folder)},
            "lightly": {"type": "LOCAL", "resourcePath": str(output)},
        }
        return merge(BASE, {"spec": {"datasources": datasources, **spec}})

    return make


@dataclass(frozen=True)
class Done:
    """A run that came to its end."""

    summary: object
    folder: Path
    place: object

    def lines(self, name):
        return (self.folder / "filenames" / name).read_text(encoding="utf-8").splitlines()

    @property
    def selected(self):
        return self.lines("sampled_filenames_excluding_datapool.txt")

    @property
    def report(self):
        import json

        return json.loads((self.folder / "report.json").read_bytes())

    @property
    def report_notes(self):
        return self.report["notes"]


UNDRAWN = {
    "selection_job.report.writing.write_figures": lambda *_: None,
    "selection_job.report.writing.write_report_pdf": lambda *_: None,
    "selection_job.report.writing.write_report_html": lambda *_: None,
    "selection_job.report.measures.maps.project_umap": lambda neighbourhoods, start, **_: start,
}
"""What stands in for the expensive parts of a report whose test reads report.json or none of it."""


@pytest.fixture
def run_manifest(tmp_path, monkeypatch):
    """Return a function manifest -> Done that runs the pipeline in this process.

    Nine tenths of a small run's time go into UMAP, plots, PDF and HTML: called with drawn=True it makes them too.
    """
    from selection_api import parse_manifest
    from selection_job.pipeline import run_pipeline
    from selection_job.process.progress import Progress
    from selection_job.run.context import set_up

    counter = iter(range(1000))

    def run(manifest, *, drawn=False):
        scratch = tmp_path / f"scratch-{next(counter)}"
        scratch.mkdir()
        place = set_up(parse_manifest(manifest), scratch, Progress(quiet=True))
        with monkeypatch.context() as changed:
            for name, stand_in in () if drawn else UNDRAWN.items():
                changed.setattr(name, stand_in)
            summary = run_pipeline(place)
        return Done(summary, Path(place.target.url) / place.run_key, place)

    return run


def pytest_collection_modifyitems(items):
    """Mark what needs more than Python: a control plane, a node, servers, root. `make test-fast` leaves them out."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"control_plane", "oldest_control_plane", "namespace", "node_cluster"}:
            item.add_marker("cluster")
        if "node_cluster" in fixtures:
            item.add_marker("node")
        if item.path.parent.name in {"storage", "chart"}:
            item.add_marker("servers")
        if item.path.name == "test_container.py":
            item.add_marker("root")
