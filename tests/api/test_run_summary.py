"""The job's last word fits a termination message and reads back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_api import ExitCode, RunSummary, Stage
from selection_api.names import LONGEST_SUMMARY_BYTES, REASON_OF_EXIT
from selection_api.status import Counts, Outputs

SUMMARY = RunSummary(
    run_id="cats-1f2e3d4c",
    exit_code=ExitCode.DONE,
    reason="Complete",
    message="Selected 500 of 5000 images.",
    stage=Stage.COMPLETED,
    counts=Counts(input=5000, corrupt=3, duplicate=41, selected=500, removed=4456),
    outputs=Outputs(path="/data/.lightly/runs/cats-1f2e3d4c/", report_pdf="/data/report.pdf"),
)


def test_summary_reads_back():
    assert RunSummary.from_bytes(SUMMARY.to_bytes()) == SUMMARY


def test_wire_names_are_those_of_the_status():
    decoded = json.loads(SUMMARY.to_bytes())
    assert decoded["exitCode"] == 0
    assert decoded["outputs"]["reportPdf"] == "/data/report.pdf"


@given(st.text(max_size=6000))
def test_any_message_fits_and_the_rest_stays(message):
    content = SUMMARY.model_copy(update={"message": message}).to_bytes()
    assert len(content) <= LONGEST_SUMMARY_BYTES
    assert RunSummary.from_bytes(content).counts == SUMMARY.counts


@pytest.mark.parametrize("letter", ["x", "写", "😀", '"', "\n", "\x07"])
def test_long_message_is_cut_as_late_as_possible(letter):
    content = SUMMARY.model_copy(update={"message": letter * 9000}).to_bytes()
    assert LONGEST_SUMMARY_BYTES - 12 <= len(content) <= LONGEST_SUMMARY_BYTES
    assert RunSummary.from_bytes(content).message.startswith(letter * 100)


def test_outputs_that_fill_the_summary_give_way_to_the_message():
    outputs = Outputs.model_construct(path="p" * 5000)
    summary = RunSummary.from_bytes(SUMMARY.model_copy(update={"outputs": outputs}).to_bytes())
    assert (summary.outputs, summary.message) == (None, SUMMARY.message)


@pytest.mark.parametrize("exit_code", ExitCode)
def test_every_exit_code_has_its_reason(exit_code):
    summary = RunSummary.of_exit(exit_code, "why", stage=Stage.EMBEDDING)
    assert (summary.reason, summary.stage) == (REASON_OF_EXIT[exit_code], Stage.EMBEDDING)
    assert RunSummary.from_bytes(summary.to_bytes()) == summary


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"exitCode": 99}', b"\xff"])
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError):
        RunSummary.from_bytes(content)


def test_words_of_a_later_version_are_left_out():
    content = SUMMARY.to_bytes().replace(b'{"runId"', b'{"new": 1, "runId"')
    assert RunSummary.from_bytes(content) == SUMMARY
