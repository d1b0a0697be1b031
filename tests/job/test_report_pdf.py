"""report.pdf: says the counts and the pairs, survives any name, and is the same bytes for the same report."""

import pypdfium2
import pytest
from pypdf import PdfReader

from selection_job.report.pdf.report_pdf import write_report_pdf
from selection_job.report.writing import write_report


@pytest.fixture
def print_report(write_once):
    """Write plots and PDF; return (report, path of the PDF)."""

    def run(*args, **kwargs):
        report, folder = write_once(*args, **kwargs)
        return report, folder / "report.pdf"

    return run


def text_of(path):
    """All text of the PDF, without line breaks, which fall where the layout puts them."""
    return "".join(page.extract_text() for page in PdfReader(path).pages).replace("\n", "")


@pytest.mark.slow
def test_the_pdf_says_the_counts_and_names_the_pairs(print_report):
    report, path = print_report(40, 10, duplicates=3, corrupt={"bad.jpg": "truncated: 7 bytes missing"})
    text = text_of(path)
    assert "10 of 41 images (24%)" in text
    assert "bad.jpg" in text
    assert "truncated: 7 bytes missing" in text
    for example in report["selectedAndRemovedImageExamples"]:
        assert example["selectedImage"] in text
        assert example["removedImage"] in text
        assert f"{example['distance']:.4f}" in text


@pytest.mark.slow
def test_the_pdf_compares_with_a_random_choice(print_report):
    report, path = print_report(40, 10)
    cover = report["datasetAnalysis"]["embeddingInformation"]["distanceToCoverInput"]
    text = text_of(path)
    assert f"{cover['selected']['metrics']['max']:.3f} selected" in text
    assert f"{cover['random']['metrics']['max']:.3f} random" in text


@pytest.mark.slow
def test_the_pdf_is_small_and_bookmarked(print_report):
    _, path = print_report(40, 10)
    reader = PdfReader(path)
    titles = [entry.title for entry in reader.outline]
    assert path.stat().st_size < 5_000_000
    first = ["Job information", "How the images were selected", "Before and after", "Maps of the images", "Decisions"]
    assert [title for title in titles if title in first] == first
    assert reader.metadata.title == "Selection report: pictures"


def test_savings_are_marked_as_estimates_with_their_factors(print_report):
    report, path = print_report(3, 1, report={"labels_per_image": 100, "cpu_watts_per_core": 250})
    text = text_of(path)
    lines = [line for page in PdfReader(path).pages for line in page.extract_text().splitlines()]
    assert {factor["name"] for factor in report["annotationSavings"]["factors"]} <= {line.strip() for line in lines}
    assert "US$ 2.40" in text  # 2 images x 100 labels x 0.012
    assert "estimates" in text
    assert "grid_intensity_g_per_kwh" in text


def test_savings_of_zero_price_are_left_out(print_report):
    _, path = print_report(3, 1, report={"label_cost_usd": {"object_detection": 0}})
    assert "Object detection" not in text_of(path)


def test_equal_reports_give_equal_bytes(tmp_path, print_report, make_report_input):
    report, path = print_report(3, 1)
    again = tmp_path / "again.pdf"
    write_report_pdf(again, report, path.parent / "plots", make_report_input(3, 1)["thumbnail"])
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a<b>&\"quote'.jpg", "a<b>&\"quote'.jpg"),
        ("x</para>.jpg", "x</para>.jpg"),
        ("日本語/東京タワー.jpg", "日本語/東京タワー.jpg"),
        ("two\nlines.jpg", r"two\nlines.jpg"),
        ("שלום😀.jpg", r"\u05e9\u05dc\u05d5\u05dd\U0001f600.jpg"),
        ("\udc80\u202e.jpg", r"\udc80\u202e.jpg"),
        ("L" * 1000 + ".jpg", "LLL.jpg"),
        ("&amp;<font>.jpg", "&amp;<font>.jpg"),
    ],
    ids=["markup", "end of paragraph", "japanese", "newline", "right to left", "stray", "long", "entity"],
)
def test_any_name_is_shown_or_escaped(print_report, name, shown):
    facts = {"dataset_name": name, "name": name, "notes": [f"About {name}"], "overrides": {name: {"key": name}}}
    _, path = print_report(2, 1, names=[name, "zz.jpg"], corrupt={f"corrupt {name}": f"empty: {name}"}, facts=facts)
    assert shown in text_of(path)


def test_long_names_keep_within_the_page(print_report):
    names = ["W" * 1000, "日" * 1000]
    _, path = print_report(
        2, 1, names=names, corrupt={"V" * 1000: "r" * 5000}, facts={"overrides": {"k" * 900: "v" * 9000}}
    )
    with pypdfium2.PdfDocument(path) as document:
        assert all(left > 0 and right < page.get_width() for page in document for left, right in text_extents(page))


def text_extents(page):
    text = page.get_textpage()
    boxes = [text.get_rect(i) for i in range(text.count_rects())]
    return [(left, right) for left, _, right, _ in boxes]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (3, 3)])
def test_a_report_where_all_is_kept_says_so(print_report, n, k):
    _, path = print_report(n, k)
    text = text_of(path)
    assert "every usable image was kept" in text
    assert "No two images have the same bytes." in text


def test_many_corrupt_images_and_notes_are_counted_not_all_listed(print_report):
    corrupt = {f"bad {i}.jpg": "empty" for i in range(500)}
    _, path = print_report(2, 1, corrupt=corrupt, facts={"notes": [f"note {i}" for i in range(300)]})
    text = text_of(path)
    assert "440 more: see filenames/corrupt_filenames.txt" in text
    assert "200 more: see report.json" in text


def test_no_examples_asked_for_leaves_their_section_out(print_report):
    _, path = print_report(3, 1, n_example_images=0)
    assert "Decisions" not in text_of(path)


def test_images_that_are_gone_do_not_stop_the_pdf(tmp_path, make_report_input):
    given = {**make_report_input(3, 1), "thumbnail": lambda name: None}
    write_report(tmp_path, **given)
    assert "no longer readable" in text_of(tmp_path / "report.pdf")
