"""The blocks that both printers print from: text made safe once, a form of each block in each, nouns from the start."""

import re
from pathlib import Path

import pytest
from PIL import Image

from selection_job.manifest.noun import FRAME, IMAGE, OBJECT
from selection_job.report.blocks import blocks, parts
from selection_job.report.blocks.blocks import LINE_BREAK, Block, Level, Look, Run
from selection_job.report.html import printing
from selection_job.report.pdf import flowables, style
from selection_job.report.sections.document import make_document
from selection_job.report.wording import noun_of, plural

KINDS = set(Block.__subclasses__())


def test_each_block_has_a_form_on_paper_and_on_a_screen():
    assert set(flowables._PRINTERS) == KINDS
    assert set(printing._PRINTERS) | {blocks.Maps} == KINDS
    assert set(style.LOOKS) == set(Look)
    assert set(style.HEADINGS) == set(Level)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a<b>&amp;", "a<b>&amp;"),
        ("two  blanks", "two\u00a0 blanks"),
        (" outer ", "outer"),
        ("a\nb\u202e", r"a\nb\u202e"),
        ("x" * 30, f"{'x' * 5}…{'x' * 4}"),
        (7, "7"),
    ],
)
def test_any_text_is_made_fit_to_show_before_it_is_printed(text, shown):
    assert parts.shown(text, 10 if text == "x" * 30 else 100) == shown


def test_a_paragraph_is_printed_run_by_run():
    one = parts.say(parts.bold("<2>"), " of 3", LINE_BREAK, Run("small", size=7, is_muted=True), look=Look.CELL)
    assert printing.print_page([one], "") == '<p class="cell"><b>&lt;2&gt;</b> of 3<br><small>small</small></p>'
    style.register_fonts()
    (paragraph,) = flowables.lay_out([one])
    assert paragraph.getPlainText() == "<2> of 3small"
    assert paragraph.style is style.LOOKS[Look.CELL]


def test_a_row_of_one_cell_goes_over_the_whole_width():
    made = parts.table(["a", "b"], [[parts.paragraph("of both")], ["1", "2"]], [50, 50], numbers=1)
    page = printing.print_page([made], "")
    assert '<tr><td colspan="2"><p class="body">of both</p></td></tr>' in page
    assert '<td class="number"><p class="cell-number">2</p></td>' in page


def test_cells_of_a_grid_are_printed_row_by_row_and_the_last_may_be_short():
    grid = parts.picture_grid([parts.paragraph(text) for text in "abc"], 2)
    page = printing.print_page([grid], "")
    assert page.count('class="blocks" data-columns="2"') == 2
    assert page.count("<div><p") == 3
    style.register_fonts()
    (table,) = flowables.lay_out([grid])
    assert (len(table._cellvalues), [len(row) for row in table._cellvalues]) == (2, [2, 2])


def test_pictures_keep_their_shape(tmp_path):
    path = tmp_path / "plot.png"
    Image.new("RGB", (300, 100)).save(path)
    drawn = parts.plot(path, 60)
    assert (drawn.width, drawn.height) == (60, 20)
    fitted = parts.fit_picture(path.read_bytes(), 90, 10)
    assert (fitted.width, fitted.height) == pytest.approx((30, 10))


def test_sections_are_numbered_and_a_live_map_stands_for_the_drawn_ones():
    document = [parts.section("A & B"), blocks.Maps((parts.paragraph("drawn"),)), blocks.Space(3), parts.section("C")]
    page = printing.print_page(document, "<canvas>")
    assert page == '<h2 id="section-1">A &amp; B</h2>\n<canvas>\n<h2 id="section-2">C</h2>'


def test_nouns_come_in_their_forms():
    assert [noun.with_article for noun in (IMAGE, FRAME, OBJECT)] == ["an image", "a frame", "an object"]
    assert (plural(1, FRAME), plural(2345, FRAME), IMAGE.form(0)) == ("1 frame", "2,345 frames", "images")
    assert (noun_of({}), noun_of({"videoInformation": {}})) == (IMAGE, FRAME)


def list_texts(value):
    """Every text of blocks, in their order."""
    if isinstance(value, blocks.Heading | Run):
        yield value.text
    elif isinstance(value, Block):
        yield from list_texts(list(vars(value).values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from list_texts(one)


def test_a_report_of_frames_says_no_image_and_one_of_images_no_frame(make_report, monkeypatch):
    monkeypatch.setattr("selection_job.report.sections.analysis.plot", lambda path, width: blocks.Picture(path, 1, 1))
    monkeypatch.setattr("selection_job.report.blocks.parts.plot", lambda path, width: blocks.Picture(path, 1, 1))
    report = make_report(4, 1, duplicates=1)
    maps = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"]
    maps["umapEmbeddingData"]["15"]["reason"] = "too few"  # made below, with its own noun
    for other, noun in (("frame", IMAGE), ("image", FRAME)):
        if noun is FRAME:
            report |= {"videoInformation": VIDEOS}
            report["generalInformation"]["datasetInformation"]["videoLevelSizes"] = dict.fromkeys(SIZES, 1)
            for factor in report["annotationSavings"]["factors"]:
                factor["meaning"] = "told elsewhere"
        texts = list(list_texts(make_document(report, Path("plots"), lambda name: None)))
        is_name = re.compile(r"walk/|\w_\w")  # of a file or a setting
        said = [text for text in texts if other in text.lower() and not is_name.search(text)]
        assert [text for text in said if text not in FIXED and "as frames of one scene do" not in text] == []
        assert any(noun.plural in text for text in texts)


FIXED = ("Image classification",)
SIZES = ("nInput", "nCorrupt", "nSelected", "nRemoved", "nDuplicate")
VIDEOS = {
    "everyNthFrame": 2, "targetFps": None, "seconds": 3.0, "nFrames": 8, "nLookedAt": 8, "nWithoutSelected": 0,
    "selectedPerVideo": {"min": 3, "median": 3.0, "max": 3}, "videos": [], "otherVideos": {"nVideos": 0},
    "corruptVideos": {"total": 0, "kinds": {}, "videos": []}, "framesPerVideo": {"selected": [1]},
}  # fmt: skip
