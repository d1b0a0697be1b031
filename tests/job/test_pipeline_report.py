"""What the report shows, recomputed from the published embeddings by other means."""

from itertools import combinations

import jsonschema
import numpy as np
import pypdfium2
import pytest
from lightly.utils.io import load_embeddings
from PIL import Image
from pypdf import PdfReader

from selection_job.report.report_json import read_schema

pytestmark = pytest.mark.slow


@pytest.fixture
def done(run_manifest, make_manifest, photos):
    return run_manifest(make_manifest(photos.folder, workerConfig={"n_example_images": 6}), drawn=True)


def read_unit_rows(done):
    rows, _, names = load_embeddings(str(done.folder / "data/normalized_embeddings.csv"))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), names


def brute_distances(rows):
    return np.array([np.linalg.norm(a - b) for a, b in combinations(rows, 2)])


def recount(distances, bins):
    """Histogram that forgives a value within rounding of an edge its side."""
    return np.histogram(np.clip(distances, bins[0], bins[-1]), bins)[0]


def test_the_report_follows_its_published_schema_and_every_figure_comes_from_the_embeddings(done):
    report = done.report
    jsonschema.validate(report, read_schema())
    rows, names = read_unit_rows(done)
    chosen = [names.index(name) for name in done.selected]
    analysis = report["datasetAnalysis"]["embeddingInformation"]

    check_pairwise(analysis["pairwiseDistance"], rows, chosen)
    check_cover(analysis["distanceToCoverInput"]["selected"], rows, chosen)
    check_pca(analysis["scatterPlotData"], rows, names)
    check_pairs(report["selectedAndRemovedImageExamples"], rows, names, done)
    check_plots(done)
    check_pdf(done)


def check_pairwise(histogram, rows, chosen):
    for name, subset in {"input": rows, "selected": rows[chosen]}.items():
        distances = brute_distances(subset)
        published = histogram[name]
        assert published["metrics"]["mean"] == pytest.approx(distances.mean(), rel=1e-5)
        assert published["metrics"]["max"] == pytest.approx(distances.max(), rel=1e-5)
        difference = np.abs(recount(distances, histogram["bins"]) - published["counts"])
        assert difference.sum() <= 2, "more than one distance lies in another bin"
        assert sum(published["counts"]) == len(distances)


def check_cover(published, rows, chosen):
    distances = np.linalg.norm(rows[:, None] - rows[chosen][None], axis=2).min(axis=1)
    assert published["metrics"]["max"] == pytest.approx(distances.max(), rel=1e-5)
    assert published["metrics"]["mean"] == pytest.approx(distances.mean(), rel=1e-4)


def check_pca(scatter, rows, names):
    shown = [names.index(name) for name in scatter["sample"]["filenames"]]
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    published = np.array(scatter["pcaEmbeddingData"]["input2dEmbeddings"])
    expected = (centred @ axes[:2].T)[shown]
    for axis in range(2):
        sign = np.sign(expected[:, axis] @ published[:, axis])
        np.testing.assert_allclose(sign * expected[:, axis], published[:, axis], atol=1e-4)


def check_pairs(pairs, rows, names, done):
    removed = [names.index(name) for name in done.lines("removed_filenames.txt")]
    assert len(pairs) == 6
    for pair in pairs:
        distances = np.linalg.norm(rows[removed] - rows[names.index(pair["selectedImage"])], axis=1)
        assert pair["distance"] == pytest.approx(distances.min(), abs=1e-5)
        assert names[removed[int(distances.argmin())]] == pair["removedImage"]


def check_plots(done):
    plots = sorted((done.folder / "plots").glob("*.png"))
    assert len(plots) == 17
    for path in plots:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(2**20)) > 10, f"{path.name} is blank"


def check_pdf(done):
    path = done.folder / "report.pdf"
    text = "\n".join(page.extract_text() for page in PdfReader(path).pages)
    assert f"{len(done.selected)} of {done.summary.counts.input} images" in " ".join(text.split())
    for name in ("写真/東京 <1> & 2.png", "broken/cut.jpg"):
        assert name in text
    document = pypdfium2.PdfDocument(path)
    shots = [document[i].render(scale=0.3).to_pil() for i in range(len(document))]
    document.close()
    assert all(len(shot.convert("L").getcolors()) > 5 for shot in shots)


def test_config_yaml_is_a_manifest_that_gives_the_same_run(done):
    import yaml

    from selection_api import parse_manifest

    again = parse_manifest(yaml.safe_load((done.folder / "config/config.yaml").read_text()))
    assert again == done.place.run
