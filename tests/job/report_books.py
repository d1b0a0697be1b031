"""A run whose books can be audited: what went in, its tables, its lists, and its report in every form."""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pypdf

SETS = ("input", "selected", "random")
LISTS = {"selected": "sampled_filenames_excluding_datapool"}
UNSEEN = ("head", "nav", "script", "style")


@dataclass(frozen=True)
class Books:
    """A finished run over photos."""

    folder: Path
    summary: object
    photos: object
    values: dict[str, tuple[str, float]]
    """Scene and temperature of each readable image."""
    objects: dict[str, list[tuple[int, float, list[float]]]]
    """Class, score and probabilities of each object on each image that has a prediction."""

    @cached_property
    def report(self):
        return json.loads((self.folder / "report.json").read_bytes())

    @cached_property
    def forms(self):
        """The text of each form of the report without white space: tables row by row, cell by cell."""
        pdf = "".join(page.extract_text() for page in pypdf.PdfReader(self.folder / "report.pdf").pages)
        return {"report.pdf": squeeze(pdf), "report.html": squeeze(read_html(self.folder / "report.html"))}

    def table(self, name):
        with (self.folder / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def names(self, kind):
        path = self.folder / "filenames" / f"{LISTS.get(kind, f'{kind}_filenames')}.txt"
        return path.read_text(encoding="utf-8").splitlines()

    @cached_property
    def candidates(self):
        """Names of what could be chosen: it takes part and passes every THRESHOLD."""
        passing = {row["filename"] for row in self.table("selection") if row["decision"] != "filtered"}
        return [row["filenames"] for row in self.table("embeddings") if row["filenames"] in passing]

    @cached_property
    def unit_rows(self):
        rows = [row for row in self.table("embeddings") if row["filenames"] in set(self.candidates)]
        columns = [column for column in rows[0] if column.startswith("embedding_")]
        vectors = np.array([[float(row[column]) for column in columns] for row in rows])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @cached_property
    def sets(self):
        """Positions among the candidates: all, the selected, and a random choice drawn with the run's seed."""
        chosen = [row["filename"] for row in self.table("selection") if row["decision"] == "selected"]
        seed = self.report["generalInformation"]["runInformation"]["seed"]
        drawn = np.random.default_rng(seed).choice(len(self.candidates), len(chosen), replace=False)
        everything = np.arange(len(self.candidates))
        return dict(
            zip(SETS, (everything, np.array([self.candidates.index(name) for name in chosen]), drawn), strict=True)
        )

    def of_sets(self, of):
        """Return of(name) for the images of each set, as {set: array}."""
        return {which: np.array([of(self.candidates[row]) for row in rows]) for which, rows in self.sets.items()}

    def check_shown(self, *cells):
        """Fail unless each form of the report has these cells side by side."""
        wanted = squeeze("".join(map(str, cells)))
        for form, text in self.forms.items():
            assert wanted in text, f"{form} does not have {cells}"


def squeeze(text):
    return "".join(text.split())


class _Text(HTMLParser):
    """Collect what a reader sees of a page."""

    def __init__(self):
        super().__init__()
        self.seen, self._hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self._hidden += tag in UNSEEN

    def handle_endtag(self, tag):
        self._hidden -= tag in UNSEEN

    def handle_data(self, data):
        if not self._hidden:
            self.seen.append(data)


def read_html(path):
    parser = _Text()
    parser.feed(path.read_text(encoding="utf-8"))
    return "".join(parser.seen)
