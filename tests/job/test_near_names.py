"""What is said of names that are listed ones in another spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.catalog.near_names import explain_spelling

LISTED = ["cam/a.jpg", "cam/b.jpg", "cam/deep/C d.png", "ü.png", "other/b.jpg"]
URL = "s3://bucket/in/"
SPELLINGS = {
    "dot": lambda name: f"./{name}",
    "slash": lambda name: f"/{name}",
    "whole": lambda name: URL + name,
    "back slashes": lambda name: name.replace("/", "\\"),
    "windows": lambda name: "C:\\data\\in\\" + name.replace("/", "\\"),
    "blanks": lambda name: f"  {name}\t",
    "quotes": lambda name: f'"{name}"',
    "capitals": str.upper,
    "folder before": lambda name: f"data/{name}",
    "folder cut off": lambda name: name.rpartition("/")[2],
    "other ending": lambda name: name.rpartition(".")[0] + ".jpeg",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_another_spelling_is_told_by_an_example(spell):
    name = LISTED[2]
    said = explain_spelling([spell(name)], LISTED, URL)
    assert said == f"Write names as the input has them, letter by letter: {name!r} in place of {spell(name)!r}."


@pytest.mark.parametrize(
    "given", [["x.jpg"], ["x/b.jpg", "y/b.jpg"], ["cam/A.jpg", "x.jpg", "y.jpg"], [""], [], ["/"], ["."], ["b.jpg"]]
)
def test_what_is_no_listed_name_or_one_of_several_is_not_guessed(given):
    assert explain_spelling(given, LISTED, URL) == ""


@given(st.lists(st.text(max_size=12), max_size=4), st.lists(st.text(max_size=12), max_size=4))
def test_any_names_give_a_listed_one_or_nothing(given, listed):
    said = explain_spelling(given, listed, "/in/")
    assert said == "" or any(f"{name!r} in place of" in said for name in listed)
