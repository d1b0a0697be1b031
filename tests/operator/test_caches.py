"""The caches: newest version wins, listings repair what watches missed, runs of one name don't mix."""

from selection_operator.loop.caches import Caches
from selection_operator.loop.health import WatchLiveness, find_health_problems


def test_an_older_version_never_replaces_a_newer_one(play):
    caches = Caches()
    caches.runs.put(play.run(version="10"))
    assert not caches.runs.put(play.run(version="9"))
    assert caches.run(("team", "dashcam")).resource_version == "10"


def test_versions_compare_as_numbers(play):
    caches = Caches()
    caches.runs.put(play.run(version="9"))
    assert caches.runs.put(play.run(version="10"))


def test_a_listing_removes_what_a_watch_missed(play):
    caches = Caches()
    caches.jobs.put(play.job())
    caches.jobs.replace([], dict(caches.jobs.objects))
    assert caches.jobs.of(("team", "dashcam")) == []


def test_what_came_while_the_list_was_on_its_way_stays(play):
    caches = Caches()
    before = dict(caches.jobs.objects)
    caches.jobs.watch(play.job(), deleted=False)
    caches.jobs.replace([], before)
    assert len(caches.jobs.objects) == 1


def test_a_deleted_object_is_not_brought_back_by_an_older_listing(play):
    caches = Caches()
    before = dict(caches.jobs.objects)
    caches.jobs.watch(play.job(version="8"), deleted=True)
    caches.jobs.replace([play.job(version="7")], before)
    assert caches.jobs.objects == {}


def test_a_run_made_anew_doesn_t_take_over_the_former_one_s_job(play):
    caches = Caches()
    caches.jobs.put(play.job())
    anew = play.run(uid="00000000-aaaa-bbbb-cccc-000000000000", version="50")
    caches.runs.put(play.run())
    caches.runs.put(anew)
    assert caches.run(("team", "dashcam")) == anew
    assert caches.job_of(anew) is None
    assert caches.job_of(play.run()) is not None


def test_pods_of_another_job_are_not_the_run_s(play):
    caches = Caches()
    job = play.job(uid="another-job")
    caches.pods.put(play.pod(play.raw_pod()))
    assert caches.pods_of(job) == []
    assert [pod.name for pod in caches.pods_of(play.job())] == ["one"]


def listen(play, *, hears):
    caches, liveness = Caches(), WatchLiveness()
    indices = {"jobs": caches.jobs}
    ticks = []
    for version in ("7", "8", "9"):
        if hears:
            caches.jobs.watch(play.job(version=version), deleted=False)
        caches.jobs.replace([play.job(version=version)], dict(caches.jobs.objects))
        liveness.check(indices)
        ticks.append(liveness.stale)
    return ticks


def test_a_watch_is_stale_when_the_next_listing_still_knows_more(play):
    assert listen(play, hears=False) == [(), ("jobs",), ("jobs",)]
    assert listen(play, hears=True) == [(), (), ()]


def test_an_object_that_is_gone_makes_no_watch_stale(play):
    caches, liveness = Caches(), WatchLiveness()
    for listed in ([play.job()], []):
        caches.jobs.replace(listed, dict(caches.jobs.objects))
        liveness.check({"jobs": caches.jobs})
    assert liveness.stale == ()


def test_ailments_are_told_in_words():
    assert find_health_problems(0, True, WatchLiveness()) == []
    assert len(find_health_problems(301, False, WatchLiveness(stale=("pods",)))) == 3
