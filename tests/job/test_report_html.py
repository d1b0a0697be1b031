"""report.html: the PDF's words and numbers in one file, safe with any name, and alive in a real browser."""

import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
from pypdf import PdfReader

from selection_job.report.html.map import MOST_THUMBNAILS, dump_safely, make_map_data

pytestmark = pytest.mark.slow

HOSTILE = [
    "<img src=x onerror=hacked=1>.jpg",
    "</script><script>hacked=2</script>.jpg",
    "\"' onmouseover='hacked=3'.jpg",
    "<!--.jpg",
    "a\u2028b&amp;\n.jpg",
    "写真/東京 😀.jpg",
    f"{'long/' * 60}name.jpg",
]


class Page(HTMLParser):
    """The elements of a page, its text, and what its scripts hold."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.scripts, self.styles, self.policy, self._open = [], [], [], [], "", ""
        self.figures, self.ids = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self._open = tag if tag in ("script", "style") else ""
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag == "figure":
            self.figures.append([])
        elif self.figures:
            self.figures[-1].append(tag)
        if "id" in given:
            self.ids.append(given["id"])

    def handle_endtag(self, tag):
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data):
        {"script": self.scripts, "style": self.styles}.get(self._open, self.text).append(data)

    @property
    def data(self):
        return json.loads(self.scripts[0])


@pytest.fixture
def write(write_once):
    def run(*args, **kwargs):
        report, folder = write_once(*args, **kwargs)
        return report, folder / "report.html"

    return run


def words_of(text):
    return re.findall(r"[\w.,%$]+", text)


def test_the_page_says_every_word_of_the_pdf_but_the_captions_of_its_maps(write):
    _, path = write(60, 15, duplicates=3, corrupt={"bad.jpg": "truncated: 7 bytes missing"})
    page = Page(path.read_text(encoding="utf-8"))
    shown = set(words_of(" ".join(page.text)))
    pdf = "\n".join(reader.extract_text() for reader in PdfReader(path.with_suffix(".pdf")).pages)
    numbers = [word.strip(".,") for word in words_of(pdf) if re.search(r"\d", word)]
    missing = {number for number in numbers if not any(number in word for word in shown)}
    pages = {str(number) for number in range(1, 40)}
    assert len(numbers) > 150
    assert {number for number in missing if number not in pages} == set()


def test_only_its_own_script_and_style_may_run(write):
    _, path = write(8, 2)
    page = Page(path.read_text(encoding="utf-8"))
    policy = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    for kind, contents in (("script-src", page.scripts[1:]), ("style-src", page.styles)):
        (content,) = contents
        assert policy[kind] == f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert value.startswith(("data:image/", "#")), (tag, value)


def test_names_are_text_whatever_they_hold(write):
    names = [*HOSTILE, *(f"walk/{i:02}.jpg" for i in range(20))]
    _, path = write(len(names), 8, names=names, duplicates=2, corrupt={HOSTILE[0] + "x": HOSTILE[1]})
    _, plain = write(len(names), 8, duplicates=2, corrupt={"bad.jpg": "truncated"})
    one, other = (Page(where.read_text(encoding="utf-8")) for where in (path, plain))
    assert {tag for tag, _ in one.tags} == {tag for tag, _ in other.tags}
    assert {key for _, given in one.tags for key in given} == {key for _, given in other.tags for key in given}
    assert sum(tag == "script" for tag, _ in one.tags) == 2


def test_json_in_a_script_can_neither_end_it_nor_begin_a_comment():
    text = dump_safely(HOSTILE)
    assert json.loads(text) == HOSTILE
    assert not set("<>&\u2028\u2029") & set(text)


def test_the_map_has_the_points_of_report_json(write):
    report, path = write(60, 15)
    data = Page(path.read_text(encoding="utf-8")).data
    maps = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"]
    assert list(data["projections"]) == ["PCA", "UMAP 5", "UMAP 15", "UMAP 50"]
    expected = np.array(maps["pcaEmbeddingData"]["input2dEmbeddings"])
    packed = np.frombuffer(b64decode(data["projections"]["PCA"]), dtype="<u2").reshape(-1, 2).astype(float)
    scale = np.ptp(expected, axis=0).max() / np.ptp(packed, axis=0).max()
    np.testing.assert_allclose((packed - packed[0]) * scale, expected - expected[0], atol=2 * scale)
    assert data["selected"] == np.flatnonzero(maps["sample"]["selected"]).tolist()
    assert all(b64decode(jpeg).startswith(b"\xff\xd8") for jpeg in data["thumbnails"].values())


def test_the_map_of_many_images_is_bounded():
    n = 20_000
    points = np.random.default_rng(0).normal(size=(n, 2)).tolist()
    umap = {"input2dEmbeddings": points, "datapool2dEmbeddings": [], "reason": None}
    sample = {
        "filenames": [f"camera/{'x' * 200}/{i:06}.jpg" for i in range(n)],
        "selected": [i % 2 == 0 for i in range(n)],
        "nPreselectedDatapoolShown": 0,
    }
    maps = {"sample": sample, "pcaEmbeddingData": umap, "umapEmbeddingData": {"5": umap, "15": umap, "50": umap}}
    asked = []

    def thumbnail(name):
        asked.append(name)

    report = {"datasetAnalysis": {"embeddingInformation": {"scatterPlotData": maps}}}
    assert len(dump_safely(make_map_data(report, thumbnail))) < 2_500_000
    assert len(asked) <= MOST_THUMBNAILS


def test_every_figure_has_a_caption_and_every_section_an_anchor(write):
    _, path = write(60, 15)
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.figures) >= 4
    assert all("figcaption" in inside for inside in page.figures)
    anchors = [given["href"] for tag, given in page.tags if tag == "a"]
    assert len(anchors) >= 8
    assert all(anchor.removeprefix("#") in page.ids for anchor in anchors)


@pytest.mark.parametrize("n", [1, 2])
def test_a_report_of_hardly_any_image_is_whole(write, n):
    _, path = write(n, 1)
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.data["names"]) == n
    assert list(page.data["projections"]) == ["PCA"]


def test_equal_reports_are_equal_bytes(write):
    _, one = write(8, 2)
    _, other = write(8, 2, copy="again")
    report, again = (path.read_bytes() for path in (one, other))
    if report != again:  # UMAP's seconds are part of the report
        report, again = (re.sub(rb"took [^<]*besides", b"", content) for content in (report, again))
    assert report == again


def place_of(browser, data, projection, row):
    """Where the page draws a point: in the middle of the canvas, on one scale."""
    box = browser.ask("JSON.stringify(document.getElementById('map').getBoundingClientRect())")
    box = json.loads(box)
    x, y = np.frombuffer(b64decode(data["projections"][projection]), dtype="<u2").reshape(-1, 2)[row] / 65535
    side = 0.94 * min(box["width"], box["height"])
    return box["x"] + box["width"] / 2 + (x - 0.5) * side, box["y"] + box["height"] / 2 + (0.5 - y) * side


def loneliest(data, projection):
    """The point that is farthest from every other."""
    points = np.frombuffer(b64decode(data["projections"][projection]), dtype="<u2").reshape(-1, 2).astype(float)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return int(apart.min(axis=1).argmax())


def tip(browser):
    return browser.ask("document.getElementById('tip').innerText")


@pytest.mark.servers
class TestInABrowser:
    @pytest.fixture
    def page(self, write):
        names = [*HOSTILE, *(f"walk/{i:02}.jpg" for i in range(53))]
        _, path = write(60, 15, names=names, duplicates=2, corrupt={HOSTILE[0] + "x": HOSTILE[1]})
        return path

    def test_it_shows_what_lies_behind_a_point_and_is_never_wider_than_the_window(self, browser, page):
        data = Page(page.read_text(encoding="utf-8")).data
        for width, is_dark in ((1280, False), (360, True)):
            browser.open(page, width=width, is_dark=is_dark)
            assert browser.ask("document.documentElement.scrollWidth") <= width
            assert browser.ask("typeof hacked") == "undefined"
            check_point(browser, data, "PCA")
            browser.ask("document.querySelectorAll('.tools button')[2].click()")
            check_point(browser, data, "UMAP 15")
            asked = {event["request"]["url"].partition(":")[0] for event in browser.named("Network.requestWillBeSent")}
            assert asked <= {"file", "data"}
            assert browser.named("Runtime.exceptionThrown") == []
            assert browser.named("Log.entryAdded") == []

    def test_keys_go_from_point_to_point_and_layers_can_be_left_out(self, browser, page):
        data = Page(page.read_text(encoding="utf-8")).data
        browser.open(page)
        browser.ask("document.getElementById('map').focus()")
        browser.press("ArrowRight")
        assert " ".join(tip(browser).split()) == " ".join(f"{data['names'][data['selected'][0]]} selected".split())
        assert browser.ask("document.querySelector('#tip img').naturalWidth") > 0
        browser.press("Escape")
        assert browser.ask("document.getElementById('tip').hidden")
        browser.ask("[...document.querySelectorAll('.tools button')].slice(-2).forEach((one) => one.click())")
        row = loneliest(data, "PCA")
        browser.ask("document.getElementById('map').scrollIntoView({behavior: 'instant', block: 'center'})")
        browser.move(*place_of(browser, data, "PCA", row))
        assert browser.ask("document.getElementById('tip').hidden"), "no layer is left"


def check_point(browser, data, projection):
    row = loneliest(data, projection)
    browser.ask("document.getElementById('map').scrollIntoView({behavior: 'instant', block: 'center'})")
    browser.move(1, 1)
    browser.move(*place_of(browser, data, projection, row))
    decision = "selected" if row in data["selected"] else "removed"
    assert " ".join(tip(browser).split()) == " ".join(f"{data['names'][row]} {decision}".split())
