"""Who writes a status: the operator whose name it carries, until it falls silent; by a clock that the test turns."""

import itertools

import pytest

from selection_operator.kind import Create, Decision
from selection_operator.loop.ownership import LONGEST_PATIENCE_SECONDS, PATIENCE_SECONDS, Ownership
from selection_operator.settings import InvalidSettings, read_settings
from selection_operator.views.resources import JOBS

US, THEM = "all/operator", "team-a/operator"
OTHER_STATUS, ACTION, NOTHING = Decision({"phase": "Running"}), Decision(None, (Create(JOBS, {}),)), Decision()


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ownership(clock):
    return Ownership(US, clock)


@pytest.mark.parametrize(
    ("written_by", "decision", "in_substance", "waits"),
    [
        ("", OTHER_STATUS, True, False),
        ("", OTHER_STATUS, False, False),
        ("", ACTION, True, False),
        (US, OTHER_STATUS, True, False),
        (US, OTHER_STATUS, False, False),
        (US, ACTION, True, False),
        (THEM, OTHER_STATUS, True, True),
        (THEM, OTHER_STATUS, False, True),
        (THEM, ACTION, True, True),
        (THEM, NOTHING, True, False),
    ],
)
def test_what_another_operator_wrote_is_waited_with(play, ownership, written_by, decision, in_substance, waits):
    run = play.run(status={"phase": "Pending", "operator": written_by})
    assert (ownership.seconds_to_wait(run, decision, in_substance=in_substance) > 0) == waits


@pytest.mark.parametrize("decision", [OTHER_STATUS, ACTION])
def test_a_silent_operator_s_run_is_taken_over_after_a_minute(play, ownership, clock, decision):
    run = play.run(status={"phase": "Pending", "operator": THEM})
    assert ownership.seconds_to_wait(run, decision, in_substance=True) == PATIENCE_SECONDS
    clock.now += PATIENCE_SECONDS - 1
    assert ownership.seconds_to_wait(run, decision, in_substance=True) == 1
    clock.now += 1
    assert ownership.seconds_to_wait(run, decision, in_substance=True) == 0


def test_an_operator_that_writes_now_and_then_keeps_its_run(play, ownership, clock):
    for version in range(5, 50):
        run = play.run(status={"phase": "Pending", "operator": THEM}, version=str(version))
        assert ownership.seconds_to_wait(run, OTHER_STATUS, in_substance=True) == PATIENCE_SECONDS
        clock.now += PATIENCE_SECONDS - 1


def test_other_words_alone_are_never_written_over(play, ownership, clock):
    """Another version may put it differently, or have heard more of the pod."""
    run = play.run(status={"phase": "Running", "operator": THEM})
    for _ in range(10):
        assert ownership.seconds_to_wait(run, OTHER_STATUS, in_substance=False) > 0
        clock.now += LONGEST_PATIENCE_SECONDS


def test_words_of_an_operator_of_our_own_name_are_left_alone_for_a_while(play, ownership, clock):
    ours = play.run(status={"phase": "Running", "operator": US})
    ownership.agree(ours)
    assert ownership.seconds_to_wait(ours, OTHER_STATUS, in_substance=False) == 0
    its = play.run(status={"phase": "Running", "operator": US, "progress": {"done": 3}}, version="6")
    assert ownership.seconds_to_wait(its, OTHER_STATUS, in_substance=True) == 0
    assert ownership.seconds_to_wait(its, OTHER_STATUS, in_substance=False) == PATIENCE_SECONDS
    clock.now += PATIENCE_SECONDS
    assert ownership.seconds_to_wait(its, OTHER_STATUS, in_substance=False) == 0


def test_two_that_never_agree_write_ever_more_rarely(play, clock):
    """Two versions of the operator find different reasons for one wait: some dozens of writes a day, not one a pass."""
    operators = {name: Ownership(name, clock) for name in (US, THEM)}
    run, writes = play.run(status={"operator": US, "phase": US}), []
    operators[US].agree(run)
    for _ in range(24 * 360):
        for name, one in operators.items():
            if run.operator == name:
                one.agree(run)
            elif one.seconds_to_wait(run, OTHER_STATUS, in_substance=True) == 0:
                run = play.run(status={"operator": name, "phase": name}, version=str(6 + len(writes)))
                one.agree(run)
                writes.append(clock.now)
        clock.now += 10
    pauses = [after - before for before, after in itertools.pairwise(writes)]
    assert all(after > before - 20 for before, after in itertools.pairwise(pauses))
    assert len(writes) < 40


def test_a_run_that_is_made_anew_under_its_name_is_nobody_s(play, ownership):
    run = play.run(status={"phase": "Pending", "operator": THEM})
    assert ownership.seconds_to_wait(run, OTHER_STATUS, in_substance=True) > 0
    ownership.forget(run.key)
    assert ownership.seconds_to_wait(play.run(uid="new"), OTHER_STATUS, in_substance=True) == 0


def test_operators_of_different_namespaces_have_different_names_without_being_told():
    def identity(namespaces, **more):
        return read_settings({"SELECTION_JOB_IMAGE": "a", "SELECTION_WATCH_NAMESPACES": namespaces, **more}).identity

    assert identity("") == "selection-operator"
    assert identity("a,b") == identity("b, a")
    assert len({identity(""), identity("a"), identity("b"), identity("a,b")}) == 4
    assert identity("a", SELECTION_IDENTITY="ns/name") == "ns/name"
    with pytest.raises(InvalidSettings, match="SELECTION_IDENTITY has 321 characters"):
        identity("a", SELECTION_IDENTITY="x" * 321)
