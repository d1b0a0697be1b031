"""docs/troubleshooting.md and the reasons are held together."""

import re
from pathlib import Path

import pytest

from selection_api.names import Reason
from selection_operator.runs.pending_reasons import why_no_pod, why_not_running

PAGE = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## By status reason")[1].split("\n## ")[0]


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_its_sentence(reason):
    assert re.search(rf"^\| {reason} \| .+ \| .+ \|$|\*\*{reason}\*\*", SECTION, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        '0/3 nodes are available: persistentvolumeclaim "data" not found. not found',
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    ],
)
def test_the_scheduler_s_words_are_in_the_row_of_the_reason_that_quotes_them(play, words):
    pod = play.pod(play.raw_pod(conditions=[play.condition("PodScheduled", "False", "Unschedulable", words)]))
    assert_told(why_not_running(pod, []), words)


@pytest.mark.parametrize(
    "words",
    [
        'pods "x-" is forbidden: error looking up service account team/robot: serviceaccount "robot" not found',
        'pods "x-" is forbidden: no PriorityClass with name urgent was found',
        'pods "x-" is forbidden: pod rejected: RuntimeClass "nvidia" not found',
        'pods "x-" is forbidden: failed quota: compute: must specify limits.cpu for: selection-job',
    ],
)
def test_admission_s_words_are_in_the_row_of_the_reason_that_quotes_them(play, words):
    assert_told(why_no_pod([play.event("FailedCreate", f"Error creating: {words}")]), words)


def assert_told(wait, words):
    """One of the quotes in the reason's row, read as a pattern, fits the cluster's words."""
    row = re.search(rf"^\| {wait.reason} \|.*$", SECTION, re.MULTILINE)[0]
    quotes = [re.escape(quoted.strip()).replace("…", ".*") for quoted in re.findall(r'"([^"]+)"', row)]
    assert words in wait.message
    assert any(re.search(quoted, words.replace('"', "")) for quoted in quotes)


def test_an_empty_phase_has_its_sentence():
    assert "**PHASE is empty**" in SECTION


def test_no_row_names_a_reason_that_does_not_exist():
    rows = set(re.findall(r"^\| ([A-Z]\w+) \|", SECTION, re.MULTILINE))
    assert rows - set(Reason) == set()
