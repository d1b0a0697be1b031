"""docs/troubleshooting.md and the reasons are held together."""

import re
from pathlib import Path

import pytest

from selection_api.names import Reason

PAGE = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## By status reason")[1].split("\n## ")[0]


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_its_sentence(reason):
    assert re.search(rf"^\| {reason} \| .+ \| .+ \|$|\*\*{reason}\*\*", SECTION, re.MULTILINE)


def test_no_row_names_a_reason_that_does_not_exist():
    rows = set(re.findall(r"^\| ([A-Z]\w+) \|", SECTION, re.MULTILINE))
    assert rows - set(Reason) == set()
