"""Runs that can't be: told at once with every problem, fixed in place, frozen once there is a Job."""

import subprocess
import sys

import pytest
import yaml
from testbed.lanes import conditions_of, held, make_run, message_of
from testbed.rest import ApiError
from testbed.waiting import wait_until

S3 = {"type": "S3", "resourcePath": "s3://bucket/in/", "region": "eu-central-1", "persistentVolumeClaim": None}


def check_invalid(lane, run, reason, *words):
    seen = lane.wait_for(run, reason, "Invalid")
    assert held(seen) == {"Stalled"}
    accepted = conditions_of(seen)["Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", reason)
    assert [word for word in words if word not in accepted["message"]] == []
    assert message_of(seen) == accepted["message"]
    assert "job" not in seen["status"]
    assert "completionTime" not in seen["status"]
    assert lane.jobs_of(seen) == []
    assert {event["type"] for event in lane.wait_for_event(run, reason)} == {"Warning"}
    return seen


def test_every_problem_is_told_at_once(lane):
    changes = {
        "workerConfig": {"stoping_condition": {"n_samples": 0.1}, "enable_trainning": True},
        "lightlyConfig": {"trainer": {"max_epoch": 3}},
    }
    words = ("Did you mean 'stopping_condition'?", "Did you mean 'enable_training'?", "Did you mean 'max_epochs'?")
    check_invalid(lane, lane.create(changes), "InvalidSpec", *words)


def test_an_option_of_a_later_version_is_not_supported(lane):
    changes = {"dataset": {"type": "VIDEOS"}, "workerConfig": {"pretagging": True}}
    check_invalid(lane, lane.create(changes), "NotSupported", "spec.workerConfig.pretagging", "VIDEOS")


def test_a_local_folder_without_a_claim_cannot_be_in_a_cluster(lane):
    changes = {"datasources": {"input": {"persistentVolumeClaim": None}}}
    check_invalid(lane, lane.create(changes), "InvalidSpec", "spec.datasources.input", "persistentVolumeClaim")


def test_a_manifest_beyond_what_a_pod_template_carries_is_too_large(lane):
    notes = {f"example.com/note-{n}": "x" * 60_000 for n in range(4)}
    run = lane.create({"podTemplate": {"annotations": notes}})
    check_invalid(lane, run, "TooLarge", "200")
    lane.edit(run, {"podTemplate": {"annotations": {f"example.com/note-{n}": None for n in (1, 2, 3)}}})
    assert lane.job_of(run)


def test_a_job_that_the_api_server_refuses_is_the_users_to_mend(lane):
    """The model leaves affinity open; the API server does not."""
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "gpu", "operator": "Maybe", "values": ["a"]}]}
    ]}}}  # fmt: skip
    run = lane.create({"podTemplate": {"affinity": affinity}})
    check_invalid(lane, run, "JobRefused", "Maybe")
    lane.edit(run, {"podTemplate": {"affinity": {"nodeAffinity": None}}})
    pod = lane.pod_of(run)
    lane.pods.run(pod)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, pod)


def test_a_job_whose_types_are_wrong_is_the_users_to_mend(lane):
    run = lane.create({"podTemplate": {"affinity": {"nodeAffinity": "yes"}}})
    check_invalid(lane, run, "JobRefused", "affinity")
    lane.edit(run, {"podTemplate": None})
    assert lane.job_of(run)


def test_an_invalid_run_is_fixed_in_place_and_starts(lane):
    run = lane.create({"workerConfig": {"n_sample": 3}})
    check_invalid(lane, run, "InvalidSpec", "n_sample")
    lane.edit(run, {"workerConfig": {"n_sampel": 4}})
    check_invalid(lane, run, "InvalidSpec", "n_sampel")
    lane.edit(run, {"workerConfig": {"n_sample": None, "n_sampel": None}})
    pod = lane.pod_of(run)
    lane.pods.run(pod)
    done = lane.finish(run, pod)
    assert held(done) == {"Accepted", "Complete", "Ready"}
    assert done["status"]["observedGeneration"] == 3


def test_an_invalid_run_that_was_suspended_stays_invalid_until_fixed(lane):
    run = lane.create({"suspend": True, "workerConfig": {"n_sample": 3}})
    check_invalid(lane, run, "InvalidSpec", "n_sample")
    lane.edit(run, {"workerConfig": {"n_sample": None}})
    lane.wait_for(run, "SuspendedByUser", "Suspended")


def test_more_gpus_than_the_limit_are_refused(lane):
    changes = {"resources": {"limits": {"nvidia.com/gpu": 1}}, "lightlyConfig": {"trainer": {"gpus": 2}}}
    check_invalid(lane, lane.create(changes), "InvalidSpec", "trainer.gpus")


@pytest.mark.parametrize("field", ["restartPolicy", "containers", "volumes", "hostNetwork", "securityContext"])
def test_pod_templates_are_restricted(lane, field):
    run = lane.create({"podTemplate": {field: []}})
    check_invalid(lane, run, "InvalidSpec", f"podTemplate.{field}")


MANIFESTS = {
    "right": {},
    "typo": {"workerConfig": {"enable_trainning": True}},
    "wrong type": {"workerConfig": {"stopping_condition": {"n_samples": "many"}}},
    "ambiguous": {"workerConfig": {"stopping_condition": {"n_samples": 1.0}}},
    "no selection": {"workerConfig": {"stopping_condition": None}},
    "training and embeddings": {"workerConfig": {"enable_training": True, "use_datapool": True}},
    "videos": {"dataset": {"type": "VIDEOS"}},
    "videos with pretagging": {"dataset": {"type": "VIDEOS"}, "workerConfig": {"pretagging": True}},
    "buckets": {"datasources": {"input": S3}},
    "system folder": {"datasources": {"input": {"resourcePath": "/etc/"}}},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_operator_and_selection_job_check_say_the_same(lane, tmp_path, name):
    manifest = make_run(f"check-{name.replace(' ', '-')}", MANIFESTS[name])
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(manifest))
    checked = subprocess.run(
        [sys.executable, "-m", "selection_job", "check", path], capture_output=True, text=True, check=False
    )
    run = lane.rest.create("selectionruns", lane.namespace, manifest)
    seen = lane.wait_for(run)
    accepted = conditions_of(seen)["Accepted"]
    assert (accepted["status"] == "True") == (checked.returncode == 0)
    problems = [line.strip() for line in checked.stderr.splitlines() if line.startswith("  ")]
    assert problems or checked.returncode == 0
    assert [line for line in problems if line not in accepted["message"]] == []


def test_a_run_that_lost_its_job_name_to_nobody_is_not_frozen(lane):
    """Freezing follows status.job; before that the spec may change."""
    run = lane.create({"suspend": True})
    lane.wait_for(run, "SuspendedByUser")
    lane.edit(run, {"workerConfig": {"stopping_condition": {"n_samples": 0.5}}})
    lane.edit(run, {"suspend": False})
    job = lane.job_of(run)
    assert '"n_samples":0.5' in job["spec"]["template"]["metadata"]["annotations"]["dataselection.io/manifest"]
    with pytest.raises(ApiError, match="the spec is frozen"):
        lane.edit(run, {"workerConfig": {"stopping_condition": {"n_samples": 0.6}}})


def test_a_fix_that_races_with_the_job_wins_or_is_refused_whole(lane):
    """Either the Job was made from the new spec, or the change was refused: never a Job of the old spec."""
    for n in range(10):
        run = lane.create({"backoffLimit": 1})
        wanted = 1
        try:
            lane.edit(run, {"backoffLimit": 2 + n})
            wanted = 2 + n
        except ApiError as error:
            assert "frozen" in error.message
        job = wait_until(lambda run=run: lane.jobs_of(run), 20)[0]
        assert job["spec"]["backoffLimit"] == wanted == lane.read(run)["spec"]["backoffLimit"]
