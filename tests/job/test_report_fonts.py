"""Names of any script are drawn or escaped: never lost, never able to turn the text around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.report.plots.fonts import JAPANESE, LATIN, drawable, font_of, shorten, split_by_font, wrap_name


@pytest.mark.parametrize(
    "name", ["plain.jpg", "Zürich – Ελλάδα – Москва.png", "東京タワー「夜」.jpg", "$x^2$ & <b>.jpg"]
)
def test_names_that_the_fonts_cover_stay_as_they_are(name):
    assert drawable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("שלום.png", r"\u05e9\u05dc\u05d5\u05dd.png"),
        ("😀.jpg", r"\U0001f600.jpg"),
        ("한.jpg", r"\ud55c.jpg"),
        ("\udc80.jpg", r"\udc80.jpg"),
        ("two\nlines\t.jpg", r"two\nlines\t.jpg"),
        ("cafe\u0301.jpg", "café.jpg"),
    ],
    ids=["override", "hebrew", "emoji", "hangul", "stray byte", "control", "decomposed"],
)
def test_what_can_not_be_drawn_is_escaped(name, shown):
    assert drawable(name) == shown


@given(st.text(max_size=40))
def test_every_letter_that_is_shown_has_a_font(name):
    assert all(font_of(letter) for letter in drawable(name))


def test_runs_have_the_font_that_covers_them():
    assert split_by_font("a日本b") == [(LATIN, "a"), (JAPANESE, "日本"), (LATIN, "b")]


@given(st.text("ab日", min_size=1, max_size=60), st.integers(3, 20))
def test_a_shortened_name_keeps_both_ends_within_its_limit(name, most):
    short = shorten(name, most)
    assert len(short) <= most
    assert (short[0], short[-1]) == (name[0], name[-1])


@pytest.mark.parametrize("name", ["x" * 1000, "日" * 1000, "a/b.jpg"])
def test_wrapped_names_keep_to_their_lines(name):
    lines = wrap_name(name, 42, 3).split("\n")
    assert len(lines) <= 3
    assert all(sum(2 if letter == "日" else 1 for letter in line) <= 42 for line in lines)
