"""The interactive map of report.html: points, names and thumbnails as one piece of JSON."""

import io
import json
from base64 import b64encode
from typing import Any

import numpy as np
from PIL import Image

from selection_job.catalog.image_names import escape_name
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import shorten

JsonObject = dict[str, Any]

MOST_THUMBNAILS = 300
"""Some 2 kB each. Selected images come first, then others, evenly spread."""

_SIDE_PX = 88
_QUALITY = 70
_NAME_LENGTH = 60
_GRID = 65535


def make_map_data(report: JsonObject, thumbnail: Thumbnail) -> JsonObject:
    """Return projections as base64 of little-endian uint16 pairs, with names and decisions of the same points.

    Points are those of report.json, at most 20,000 and the pool's. Behind the input's points come those of the pool.
    """
    maps = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"]
    sample = maps["sample"]
    projections = {"PCA": maps["pcaEmbeddingData"]}
    projections |= {f"UMAP {k}": umap for k, umap in maps["umapEmbeddingData"].items() if umap["reason"] is None}
    return {
        "projections": {name: _pack(one) for name, one in projections.items()},
        "names": [shorten(escape_name(name), _NAME_LENGTH) for name in sample["filenames"]],
        "nPool": sample["nPreselectedDatapoolShown"],
        "selected": [row for row, is_selected in enumerate(sample["selected"]) if is_selected],
        "thumbnails": _make_thumbnails(sample, thumbnail),
    }


def _pack(projection: JsonObject) -> str:
    points = np.array([*projection["input2dEmbeddings"], *(projection["datapool2dEmbeddings"] or [])], dtype=np.float64)
    points = points.reshape(-1, 2)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.ones(2))
    extent = max(float((high - low).max()), 1e-12)  # one scale for both axes: distances stay true
    grid = np.round((points - (low + high) / 2) / extent * _GRID + _GRID / 2)
    return b64encode(np.clip(grid, 0, _GRID).astype("<u2").tobytes()).decode()


def _make_thumbnails(sample: JsonObject, thumbnail: Thumbnail) -> dict[str, str]:
    """Return rows and JPEGs in base64."""
    selected = [row for row, is_selected in enumerate(sample["selected"]) if is_selected]
    others = [row for row, is_selected in enumerate(sample["selected"]) if not is_selected]
    rows = [*_spread(selected, MOST_THUMBNAILS), *_spread(others, MOST_THUMBNAILS - len(selected))]
    found = ((row, thumbnail(sample["filenames"][row])) for row in rows)
    return {str(row): _shrink(jpeg) for row, jpeg in found if jpeg is not None}


def _spread(rows: list[int], most: int) -> list[int]:
    if len(rows) <= most:
        return rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, max(0, most)).astype(int).tolist()]


def _shrink(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg)) as image:
        image.thumbnail((_SIDE_PX, _SIDE_PX))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return b64encode(buffer.getvalue()).decode()


def dump_safely(value: object) -> str:
    """Return JSON that may stand inside a script element: no letter of it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
