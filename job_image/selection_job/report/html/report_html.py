"""report.html: the report in one file for a browser, with a map that shows the images behind its points."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from selection_job.report.blocks.blocks import Heading, Level
from selection_job.report.html.map import MOST_THUMBNAILS, dump_safely, make_map_data
from selection_job.report.html.printing import print_page
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import drawable
from selection_job.report.sections.document import make_document
from selection_job.report.wording import noun_of

JsonObject = dict[str, Any]

_MAP = """<figure class="map">
<div class="tools" role="group" aria-label="Projection"></div>
<canvas id="map" tabindex="0" role="img" aria-label="Map of the {nouns}. Arrow keys go from point to point."></canvas>
<div id="tip" aria-live="polite" hidden></div>
<figcaption>Each point is one of the {nouns}: <span class="key selected"></span>selected
<span class="key removed"></span>removed{pool}. Hover, tap or use the arrow keys
to see a point's {noun}; the wheel zooms, dragging moves, a double click starts over. Up to {n} of the points have their
picture here, selected ones first.</figcaption>
</figure>"""

_POOL = ' <span class="key pool"></span>selected before'

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '{style_hash}'; \
script-src '{script_hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<nav aria-label="Sections"><ol>{links}</ol></nav>
<main>
{body}
</main>
<script type="application/json" id="map-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def write_report_html(path: Path, report: JsonObject, plots: Path, thumbnail: Thumbnail) -> None:
    """Write the page; equal reports, plots and thumbnails give equal bytes.

    The arguments are those of write_report_pdf. The page asks nothing of any server and says so to the browser: its
    policy allows its own script, its own style, and pictures inside the page.
    Some seconds, most of it the thumbnails; below 5 MB whatever the number of images.
    """
    data = make_map_data(report, thumbnail)
    noun, pool = noun_of(report), _POOL if data["nPool"] else ""
    maps = _MAP.format(noun=noun.singular, nouns=noun.plural, n=MOST_THUMBNAILS, pool=pool)
    document = make_document(report, plots, thumbnail)
    titles = [block.text for block in document if isinstance(block, Heading) and block.level == Level.SECTION]
    css, script = _read("report_page.css"), _read("report_page.js")
    dataset = report["generalInformation"]["datasetInformation"]["datasetName"]
    path.write_text(
        _PAGE.format(
            title=escape(f"Selection report: {drawable(dataset)}"),
            style_hash=_hash(css),
            script_hash=_hash(script),
            css=css,
            script=script,
            links="".join(_link(number, title) for number, title in enumerate(titles, start=1)),
            body=print_page(document, maps),
            data=dump_safely(data),
        ),
        encoding="utf-8",
    )


def _read(name: str) -> str:
    return (files("selection_job.report.html") / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


def _link(number: int, title: str) -> str:
    return f'<li><a href="#section-{number}">{escape(title)}</a></li>'
