"""Every manifest in examples/, run as it stands but for its folders, and for the weights of its detector."""

from pathlib import Path

import pytest
import street_scenes
from encoder_folders import write_timm
from lightly.utils.io import load_embeddings
from PIL import Image

from selection_job.encoder import zoo
from selection_job.manifest.reading import load_manifest

pytestmark = pytest.mark.slow

ELSEWHERE = {"s3", "gcs", "azure", "videos", "text-query", "zero-shot"}
"""In tests/storage, in test_video_runs, and in test_text_query_runs."""
EXAMPLES = sorted(
    path for path in (Path(__file__).parents[2] / "examples").glob("*.yaml") if path.stem not in ELSEWHERE
)
RELEVANT = ["image_1.png", "subdir/image_3.png"]


@pytest.fixture
def closed_zoo(monkeypatch):
    """Nothing listens where the zoo would be."""
    monkeypatch.setattr(zoo, "ZOO", {"resnet-18/simclr/d32/w1.0": "http://127.0.0.1:9/own-00000000.pth"})


def fill(folder, names):
    """Write a picture under each name."""
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").rotate(72 * shade).resize((24, 24)).convert("RGB").save(folder / name)


def prepare(example, base):
    """Return the example's manifest over folders of this test, and the images that it concerns."""
    manifest = load_manifest(example.read_text(encoding="utf-8"))
    worker = manifest["spec"]["workerConfig"]
    others = [] if worker.get("enable_training") else ["subdir/image_2.png", "x/a.jpg"]  # 100 epochs take their time
    if "relevant_filenames_file" in worker:
        others = ["subdir/image_2.png"]
    if "selected_sequence_length" in worker:
        others = [f"walk/{frame}.png" for frame in range(worker["selected_sequence_length"])]
    fill(base / "input", [*RELEVANT, *others])
    (base / "output/.lightly").mkdir(parents=True)
    (base / "output/.lightly/relevant_filenames.txt").write_text("\n".join(RELEVANT))
    if "embeddings" in worker:
        path = base / "output/.lightly/embeddings" / worker["embeddings"]
        path.parent.mkdir()
        rows = [f"{name},{i},{i * i},0" for i, name in enumerate(sorted([*RELEVANT, *others]))]
        path.write_text("\n".join(["filenames,embedding_0,embedding_1,labels", *rows]))
    if worker.get("encoder", "BUILT_IN") != "BUILT_IN":
        write_timm(base / "output" / worker["encoder"], "test_efficientnet")
    if worker.get("pretagging"):
        (base / "output/.lightly/streets.pth").symlink_to(street_scenes.find_detector())
        worker["pretagging_config"]["checkpoint"] = ".lightly/streets.pth"
    for purpose, folder in (("input", "input"), ("lightly", "output")):
        manifest["spec"]["datasources"][purpose]["resourcePath"] = str(base / folder)
    return manifest, RELEVANT if "relevant_filenames_file" in worker else sorted([*RELEVANT, *others])


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {
        "embeddings",
        "encoder",
        "lightly-parameters",
        "pretagging",
        "quickstart",
        "relevant-filenames",
        "sequences",
        "simple",
        "training",
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs_to_its_report(example, run_manifest, closed_zoo, tmp_path):
    manifest, expected = prepare(example, tmp_path)
    done = run_manifest(manifest, drawn=True)
    assert load_embeddings(str(done.folder / "data/embeddings.csv"))[2] == expected
    n_expected = manifest["spec"]["workerConfig"].get("selected_sequence_length", 1)
    assert len(done.selected) == n_expected, "10% of a handful"
    assert (done.folder / "report.pdf").stat().st_size > 10_000
    trained = done.place.run.spec.worker_config.enable_training
    assert bool(list(done.folder.glob("lightly_epoch_*.ckpt"))) == trained
