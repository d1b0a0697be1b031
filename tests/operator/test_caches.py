"""The caches: the newest version wins, listings repair what watches missed."""

from selection_operator.loop.caches import Caches
from selection_operator.loop.health import WatchLiveness, find_health_problems
from selection_operator.views.custom_objects import Key
from selection_operator.views.resources import JOBS, RUNS

DASHCAM = Key("run", "team", "dashcam")


def hold():
    return Caches.holding([RUNS, JOBS])


def test_an_older_version_never_replaces_a_newer_one(play):
    caches = hold()
    caches[RUNS].put(play.run(version="10"))
    assert not caches[RUNS].put(play.run(version="9"))
    assert caches[RUNS].newest(DASHCAM).resource_version == "10"


def test_versions_compare_as_numbers(play):
    caches = hold()
    caches[RUNS].put(play.run(version="9"))
    assert caches[RUNS].put(play.run(version="10"))


def test_a_listing_removes_what_a_watch_missed(play):
    caches = hold()
    caches[JOBS].put(play.job())
    caches[JOBS].replace([], dict(caches[JOBS].objects))
    assert caches[JOBS].of(DASHCAM) == []


def test_what_came_while_the_list_was_on_its_way_stays(play):
    caches = hold()
    before = dict(caches[JOBS].objects)
    caches[JOBS].watch(play.job(), deleted=False)
    caches[JOBS].replace([], before)
    assert len(caches[JOBS].objects) == 1


def test_a_deleted_object_is_not_brought_back_by_an_older_listing(play):
    caches = hold()
    before = dict(caches[JOBS].objects)
    caches[JOBS].watch(play.job(version="8"), deleted=True)
    caches[JOBS].replace([play.job(version="7")], before)
    assert caches[JOBS].objects == {}


def test_of_two_runs_of_one_name_the_newer_counts(play):
    caches = hold()
    anew = play.run(uid="00000000-aaaa-bbbb-cccc-000000000000", version="50")
    caches[RUNS].put(anew)
    caches[RUNS].put(play.run())
    assert caches[RUNS].newest(DASHCAM) == anew


def listen(play, *, hears):
    caches, liveness = hold(), WatchLiveness()
    indices = {JOBS: caches[JOBS]}
    ticks = []
    for version in ("7", "8", "9"):
        if hears:
            caches[JOBS].watch(play.job(version=version), deleted=False)
        caches[JOBS].replace([play.job(version=version)], dict(caches[JOBS].objects))
        liveness.check(indices)
        ticks.append(liveness.stale)
    return ticks


def test_a_watch_is_stale_when_the_next_listing_still_knows_more(play):
    assert listen(play, hears=False) == [(), ("jobs",), ("jobs",)]
    assert listen(play, hears=True) == [(), (), ()]


def test_an_object_that_is_gone_makes_no_watch_stale(play):
    caches, liveness = hold(), WatchLiveness()
    for listed in ([play.job()], []):
        caches[JOBS].replace(listed, dict(caches[JOBS].objects))
        liveness.check({JOBS: caches[JOBS]})
    assert liveness.stale == ()


def test_ailments_are_told_in_words():
    assert find_health_problems(0, True, WatchLiveness()) == []
    assert len(find_health_problems(301, False, WatchLiveness(stale=("pods",)))) == 3
