"""One manifest with diversity, uncertainty, balance over classes and a threshold on sharpness: the report says what
each did."""

import json

import jsonschema
import numpy as np
import pypdf
import pytest
from PIL import Image, ImageDraw, ImageFilter

from selection_job.report.report_json import read_schema

pytestmark = pytest.mark.slow

N, K = 90, 18
CLASSES = ["car", "bicycle", "tram <b>&amp;"]
SHARES = [0.8, 0.15, 0.05]
SHARPNESS = 30.0


def paint(random, is_blurred):
    """Return a picture of some rectangles, blurred or not."""
    picture = Image.new("RGB", (96, 64), tuple(random.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y, w, h = random.integers(4, 60, 4).tolist()
        draw.rectangle((x, y, x + w, y + h), fill=tuple(random.integers(0, 255, 3).tolist()))
    return picture.filter(ImageFilter.GaussianBlur(4)) if is_blurred else picture


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Pictures, a third of them blurred, and what a detector said: mostly cars, some of them doubtful."""
    random = np.random.default_rng(0)
    base = tmp_path_factory.mktemp("scenes")
    (base / "input").mkdir()
    predictions = base / "predictions"
    (predictions / "street").mkdir(parents=True)
    (predictions / "tasks.json").write_text('["street"]')
    categories = [{"id": 10 + i, "name": name} for i, name in enumerate(CLASSES)]
    schema = {"task_type": "object-detection", "categories": categories}
    (predictions / "street/schema.json").write_text(json.dumps(schema))
    for i in range(N):
        paint(random, i % 3 == 0).save(base / f"input/{i:03}.png")
        objects = []
        for _ in range(random.integers(1, 4)):
            kind = int(random.choice(3, p=SHARES))
            sure = random.uniform(0.4, 0.98)
            probabilities = np.full(3, (1 - sure) / 2)
            probabilities[kind] = sure
            box = [*random.uniform(0, 40, 2).tolist(), *random.uniform(5, 20, 2).tolist()]
            objects.append(
                {"category_id": 10 + kind, "bbox": box, "score": sure, "probabilities": probabilities.tolist()}
            )
        content = {"file_name": f"{i:03}.png", "predictions": objects}
        (predictions / f"street/{i:03}.json").write_text(json.dumps(content))
    return base


STRATEGIES = [
    {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
    {
        "input": {"type": "SCORES", "task": "street", "score": "uncertainty_entropy"},
        "strategy": {"type": "WEIGHTS"},
    },
    {
        "input": {"type": "PREDICTIONS", "task": "street", "name": "CLASS_DISTRIBUTION"},
        "strategy": {"type": "BALANCE", "distribution": "UNIFORM", "strength": 4.0},
    },
    {
        "input": {"type": "METADATA", "key": "lightly.sharpness"},
        "strategy": {"type": "THRESHOLD", "threshold": SHARPNESS, "operation": "BIGGER"},
    },
]


@pytest.fixture
def done(scenes, make_manifest, run_manifest, tmp_path):
    """The run over the scenes."""
    (tmp_path / "output/.lightly/predictions").symlink_to(scenes / "predictions")
    selection = {"n_samples": K, "strategies": STRATEGIES}
    manifest = make_manifest(scenes / "input", workerConfig={"stopping_condition": None}, selectionConfig=selection)
    return run_manifest(manifest, drawn=True)


def test_the_report_shows_what_each_of_four_strategies_did(done):
    report = done.report
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    threshold, diversity, uncertainty, balance = report["selectionInformation"]["strategies"]
    assert (threshold["selected"], threshold["nPassing"]) == (1.0, round(threshold["input"] * N))
    assert 0.5 < threshold["input"] < 0.8
    assert diversity["selected"] > diversity["input"]
    assert uncertainty["selected"] > uncertainty["random"]
    spread = {which: max(one[which] for one in balance["classes"]) for which in ("selected", "random", "target")}
    assert spread["target"] == pytest.approx(1 / 3)
    assert spread["selected"] < spread["random"]
    assert_statistics_agree(report, uncertainty, done)
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(done.folder / "report.pdf").pages)
    for strategy in report["selectionInformation"]["strategies"]:
        assert "".join(strategy["name"].split()) in "".join(text.split())
    assert "Metadata, classes and scores" in text
    assert "tram <b>&amp;" in text


def assert_statistics_agree(report, uncertainty, done):
    """What the sections on metadata and classes say is what the strategies and the files say."""
    task = report["predictionTaskInformation"]["street"]
    scores = task["activeLearningScoreDistributions"]["uncertainty_entropy"]
    for which in ("input", "selected", "random"):
        assert scores[which]["metrics"]["mean"] == pytest.approx(uncertainty[which])
        n_passing = report["selectionInformation"]["strategies"][0]["nPassing"]
        assert task["nImagesWithPredictions"][which] == scores[which]["nAll"] == (n_passing if which == "input" else K)
    assert task["categoryIdToName"] == {"10": "car", "11": "bicycle", "12": "tram <b>&amp;"}
    assert task["categoryDistribution"]["labels"][0] == "car"
    classes = task["categoryDistribution"]
    entropy = {which: classes[which]["metrics"]["normalizedEntropy"] for which in ("selected", "random")}
    assert entropy["selected"] > entropy["random"]
    sharpness = report["datasetAnalysis"]["metadataInformation"]["lightlyNumeric"]["lightly.sharpness"]
    assert sharpness["selected"]["metrics"]["min"] >= sharpness["input"]["metrics"]["min"] > SHARPNESS
    for plot in ("metadata_numbers_0.png", "classes_0.png", "scores_0_0.png"):
        with Image.open(done.folder / "plots" / plot) as picture:
            assert picture.width > 1000
