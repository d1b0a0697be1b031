"""Plots: all of them are there, show something, and are the same bytes for the same report."""

from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from selection_job.manifest.noun import IMAGE
from selection_job.report.plots import coverage_figure
from selection_job.report.plots.figures import write_figures

PLOTS = [
    "coverage.png",
    "distance_distr_after.png",
    "distance_distr_before.png",
    *(f"filter_decision_{i}.png" for i in (0, 11, 22, 33, 44, 55)),
    "scatter_pca.png",
    "scatter_pca_no_overlay.png",
    *(f"scatter_umap_k_{k}{end}.png" for k in (5, 15, 50) for end in ("", "_no_overlay")),
]


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def colours(pixels):
    return {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()}


@pytest.fixture
def draw(tmp_path, make_report, make_report_input):
    """Draw the plots of a report into a folder; keywords go to make_report."""

    def run(*args, name="plots", **kwargs):
        write_figures(tmp_path / name, make_report(*args, **kwargs), make_report_input(*args, **kwargs)["thumbnail"])
        return tmp_path / name

    return run


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (3, 2)])
def test_every_plot_is_there_for_tiny_datasets(draw, n, k):
    folder = draw(n, k)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PLOTS)
    assert all(read(path).std() > 1 for path in folder.iterdir())


@pytest.mark.slow
def test_every_plot_is_there_and_shows_something(draw):
    folder = draw(40, 10)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PLOTS)
    assert {path.name: path for path in folder.iterdir() if read(path).std() < 4} == {}


@pytest.mark.slow
def test_maps_show_selected_and_removed_points_in_their_colours(draw):
    shown = colours(read(draw(40, 10) / "scatter_pca_no_overlay.png"))
    assert {(0xD5, 0x5E, 0x00), (0xA9, 0xB2, 0xBC)} <= shown


@pytest.mark.slow
def test_the_overlay_adds_thumbnails(draw):
    folder = draw(40, 10)
    differs = (read(folder / "scatter_pca.png") != read(folder / "scatter_pca_no_overlay.png")).any(axis=2)
    assert differs.sum() > 20 * 40 * 40  # at least twenty small pictures


def test_before_and_after_have_the_same_axes(draw):
    folder = draw(3, 2)
    before, after = (read(folder / f"distance_distr_{when}.png") for when in ("before", "after"))
    for axis in (np.s_[90:430, 40:108], np.s_[450:475, 105:970]):  # the numbers along each axis
        assert before[axis].std() > 1
        assert (before[axis] == after[axis]).all()


def test_equal_reports_give_equal_bytes(draw):
    first, second = draw(3, 1, name="a"), draw(3, 1, name="b")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_more_examples_give_more_files(draw):
    assert (draw(3, 1, n_example_images=8) / "filter_decision_77.png").exists()


def test_an_image_that_is_gone_does_not_stop_the_plots(tmp_path, make_report):
    write_figures(tmp_path, make_report(3, 2), lambda name: None)
    assert read(tmp_path / "filter_decision_0.png").std() > 5


@pytest.mark.parametrize(
    "name",
    ["$x^2$ {.jpg", "日本語/東京.jpg", "a<b>&\"'.jpg", "two\nlines.jpg", "x" * 1000, "שלום😀\udc80\u202e.jpg"],
    ids=["math", "japanese", "markup", "newline", "long", "undrawable"],
)
def test_names_of_any_kind_are_drawn_without_a_warning(draw, name):
    assert read(draw(2, 1, names=[name, "zz.jpg"]) / "filter_decision_0.png").std() > 5


CURVES = {
    "falls to 0 at its end": (range(1, 21), [1.0] * 10 + [i / 10 for i in range(9, -1, -1)]),
    "is flat": ([1, 2, 500], [0.5, 0.5, 0.5]),
    "is one point": ([1], [0.123]),
    "is long": ([1, 10, 100, 120_000], [1.2, 0.4, 0.1, 0.0341]),
}


@pytest.mark.parametrize("curve", CURVES)
def test_words_on_the_coverage_curve_stand_beside_its_lines_and_marks(tmp_path, monkeypatch, curve):
    drawn, figure = [], coverage_figure.figure

    @contextmanager
    def keep(*args):
        with figure(*args) as made:
            yield made
            drawn.append(made)

    monkeypatch.setattr(coverage_figure, "figure", keep)
    picks, radii = map(list, CURVES[curve])
    selection = {"coverage": {"isExact": True}, "coverRadiusByPick": {"picks": picks, "radii": radii}}
    chance = {"nMeasured": 5, "nAll": 5, "metrics": {"max": radii[-1]}}
    coverage_figure.write_coverage(tmp_path, selection, {"random": chance}, noun=IMAGE)
    (axes,) = drawn[0].axes
    (label,) = axes.texts
    lines = [line.get_transform().transform_path(line.get_path()) for line in axes.lines]
    assert len(lines) == 4
    for words in (label, axes.get_legend()):
        box = words.get_window_extent()
        assert drawn[0].bbox.containsx(box.x0)
        assert drawn[0].bbox.containsx(box.x1)
        assert not any(line.intersects_bbox(box, filled=False) for line in lines if len(line) > 1)
        assert not any(box.contains(*vertex) for line in lines for vertex in line.vertices)
