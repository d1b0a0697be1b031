"""What a pod says of itself is clamped to what can be true."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_operator.runs.observation import Observed
from selection_operator.runs.situation import situation_of
from selection_operator.views.progress import read_progress


def test_progress_is_read():
    said = {"stage": "EMBEDDING", "done": 1299, "total": 5000, "counts": {"input": 5000, "corrupt": 3}}
    live = read_progress(json.dumps(said).encode())
    assert (live.stage, live.progress.done, live.progress.total, live.progress.percent) == ("EMBEDDING", 1299, 5000, 25)
    assert (live.counts.input, live.counts.corrupt, live.counts.selected) == (5000, 3, 0)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"stage": "DANCING"}', b"[" * 10_000, b'{"stage": []}']
)
def test_nonsense_says_nothing(content):
    assert read_progress(content) is None


@given(
    st.dictionaries(
        st.sampled_from(["done", "total", "counts"]),
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.dictionaries(
            st.sampled_from(["input", "selected", "x"]), st.floats() | st.integers() | st.text()),
    )
)  # fmt: skip
def test_whatever_is_said_becomes_something_that_can_be_true(said):
    live = read_progress(json.dumps({"stage": "EMBEDDING", **said}).encode())
    assert 0 <= live.progress.done <= live.progress.total <= 2**53
    assert 0 <= live.progress.percent <= 100
    if live.counts is not None:
        assert all(0 <= count < 2**31 for count in live.counts.model_dump().values())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("s3://b/ to answer LIST", "s3://b/ to answer LIST"),
        ("", ""),
        (None, ""),
        (5, ""),
        (["x"], ""),
        ("a\nb\x1b[31mc\u202e", "ab[31mc"),
        ("x" * 10_000, "x" * 300 + "…"),
    ],
    ids=["plain", "empty", "null", "number", "list", "unprintable", "long"],
)
def test_what_is_waited_for_is_one_line_of_bounded_length(said, words):
    assert read_progress(json.dumps({"stage": "INITIALIZING", "waiting": said}).encode()).waiting == words


def test_what_a_pod_waits_for_comes_into_the_status(play, settings):
    pods, job = [play.pod(play.running())], play.job()
    message = "The pod runs. It waits for s3://b/ to answer LIST."
    for said, expected in ((b'"s3://b/ to answer LIST"', message), (b'""', "The pod runs.")):
        live = read_progress(b'{"stage": "INITIALIZING", "waiting": %s}' % said)
        observed = Observed(now=play.NOW, job=job, pods=pods, live=live)
        assert situation_of(play.run(), observed, None).message == expected
