"""report.pdf and report.html as their readers see them: four runs, each page rendered and measured."""

import json
import re

import numpy as np
import pytest
from pdf_pages import read_pages
from video_inputs import make_video_input

from selection_job.report.writing import write_report

MARGIN, FOOTER, TOP = 55, 24, 47  # points; letters reach a little beyond their line
ORANGE_BAND = 12
BODY = 50
PLOT_WIDTH = 350
CAPTION_GAP, CAPTION_HEIGHT, NEAR = 6, 7.6, 30
LEAST_USED = 0.3

pytestmark = pytest.mark.slow


def write_images(folder, make_report_input):
    names = [f"walk/{'long_folder_name_' * (i % 5)}frame_{i:03}.jpg" for i in range(40)]
    corrupt = {"bad.jpg": "truncated: 7 bytes missing"}
    return write_report(folder, **make_report_input(40, 10, names=names, duplicates=3, corrupt=corrupt))


def write_videos(folder, make_report_input):
    lengths = {f"cam {i % 3}/{'long_folder_' * (i % 4)}drive_{i:02}.mp4": 12 + 2 * i for i in range(45)}
    corrupt = {(next(iter(lengths)), 3)}
    broken = {
        "nothing.mov": "can't be opened: no header",
        "日本語/東京タワーから見た車の流れ.mp4": "no stream of video",
    }
    pool = ["cam 0/earlier-07-mp4.png", "cam 0/earlier-09-mp4.png"]
    given = make_video_input(
        make_report_input, lengths, 80, corrupt=corrupt, broken=broken, every_nth=3, pool=pool, duplicates=4
    )
    return write_report(folder, **given)


def write_one_image(folder, make_report_input):
    return write_report(folder, **make_report_input(1, 1))


@pytest.fixture(params=["images", "videos with a pool", "predictions with BALANCE", "one image"])
def printed(request, tmp_path, make_report_input, run_prediction_example):
    """The report of a run, and the folder with its PDF and its page."""
    if request.param == "predictions with BALANCE":
        done = run_prediction_example("object-detection", drawn=True)
        return json.loads((done.folder / "report.json").read_bytes()), done.folder
    write = {"images": write_images, "videos with a pool": write_videos, "one image": write_one_image}
    return write[request.param](tmp_path / "report", make_report_input), tmp_path / "report"


@pytest.mark.servers
def test_no_page_overflows_overlaps_or_lacks_a_caption_and_the_first_answers_five_questions(printed, browser):
    """Page one tells a stranger, in words:

    1. How many images, or frames of how many videos, came in?
    2. How many of them are worth labelling, and which share is that?
    3. What became of the others: removed, exact copies, corrupt?
    4. Is that better than a random choice of as many, and in what?
    5. Which are to be labelled first?
    """
    report, folder = printed
    pages = read_pages(folder / "report.pdf")
    for page in pages:
        check_margins(page)
        check_overlaps(page)
        check_captions(page)
        assert page.has_own_fonts
    check_fullness(pages)
    check_questions(pages[0].text, len(pages[0].pictures), report)
    for width in (1280, 360):
        browser.open(folder / "report.html", width=width)
        check_screen(browser, width)
    words, n_pictures = browser.ask(FIRST_SCREEN)
    check_questions(" ".join(words.split()), n_pictures, report)


FIRST_SCREEN = """(() => {
  const first = [...document.querySelector("main").children];
  const cover = first.slice(0, first.findIndex((one) => one.tagName === "H2"));
  const pictures = cover.flatMap((one) => [...one.querySelectorAll("img")]);
  return [cover.map((one) => one.innerText).join(" "), pictures.length];
})()"""

TOO_WIDE = """[...document.querySelectorAll("main *")].filter((one) => !one.closest(".scrolled") &&
  one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 99))"""

OVERLAPPING = """(() => {
  const blocks = [...document.querySelectorAll("main > *")].filter((one) => one.getBoundingClientRect().height);
  return blocks.slice(1).filter((one, i) =>
    one.getBoundingClientRect().top < blocks[i].getBoundingClientRect().bottom - 1).length;
})()"""

BLIND = """[...document.images].filter((one) => !one.complete || !one.naturalWidth).length"""

SILENT = (
    """[...document.querySelectorAll("figure")].filter((one) => !one.querySelector("figcaption").innerText).length"""
)


def check_screen(browser, width):
    """Nothing is wider than the window, covers another, lacks its caption, or is a picture that can't be shown."""
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(TOO_WIDE) == []
    assert browser.ask(OVERLAPPING) == browser.ask(BLIND) == browser.ask(SILENT) == 0
    assert browser.named("Runtime.exceptionThrown") == browser.named("Log.entryAdded") == []


def check_margins(page):
    for box in page.texts:
        assert box.left >= MARGIN, box
        assert box.right <= page.width - MARGIN, box
        assert box.bottom >= FOOTER, box
        assert box.top <= page.height - TOP, box
    for box in page.pictures:
        assert MARGIN - 1 <= box.left <= box.right <= page.width - MARGIN + 1
        assert box.bottom >= BODY
    margins = np.concatenate([page.pixels[ORANGE_BAND:, : MARGIN - 4], page.pixels[ORANGE_BAND:, 4 - MARGIN :]], axis=1)
    assert (margins == 255).all(), "something is drawn beside the text"


def check_overlaps(page):
    boxes = page.texts + page.pictures
    clashes = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if a.overlaps(b)]
    assert clashes == []


def check_captions(page):
    """A plot has its caption right below, a small picture text beside it, or beside the grid that it is part of."""
    small = [box for box in page.pictures if box.width < PLOT_WIDTH]
    for plot in page.pictures:
        below = [text for text in page.texts if 0 <= plot.bottom - text.top <= CAPTION_GAP]
        has_caption = any(text.top - text.bottom <= CAPTION_HEIGHT for text in below)
        assert plot in small or has_caption, f"a plot without a caption: {plot}"
    told = [box for box in small if any(min(box.shares(text)) > -NEAR for text in page.texts)]
    while reached := [box for box in small if box not in told and any(min(box.shares(one)) > -NEAR for one in told)]:
        told += reached
    assert len(told) == len(small), "a picture without words near it"


def check_fullness(pages):
    for number, page in enumerate(pages[:-1], 1):
        low = min(box.bottom for box in page.texts + page.pictures if box.bottom > BODY)
        assert low < (1 - LEAST_USED) * page.height, f"page {number} is nearly empty"


def check_questions(text, n_pictures, report):
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    n, k = sizes["nInput"], sizes["nSelected"]
    noun = "frame" if "videoInformation" in report else "image"
    assert re.search(rf"{k} of {n:,} {noun}s?( \(\d+(\.\d)?%\))? (is|are) worth labelling", text)
    if noun == "frame":
        videos = report["generalInformation"]["datasetInformation"]["videoLevelSizes"]
        assert f"come from {videos['nInput']} videos" in text
        assert f"The selected ones come from {videos['nSelected']} videos" in text
        assert "image" not in text
    for words in ("selected for labelling", "removed: ", "exact copies of another", "corrupt: can't be used"):
        assert words in text
    assert {f"{sizes[key]:,}" for key in ("nInput", "nSelected", "nDuplicate", "nCorrupt")} <= set(text.split())
    assert "Compared with a random choice of the same size" in text
    assert re.search(r"\d selected [\d.]+ random", text) or f"Every usable {noun} was kept" in text
    assert re.search(rf"The (first {noun}s|{noun}) to label", text)
    assert n_pictures == min(k, 16)
