"""Make tests/compat/v0_1: what a user of version 0.1 has. It is run once, on 0.1's own checkout, and kept for good.

python tests/compat/make_v0_1.py

stopped/    a run over images, stopped after training and embedding: .stages/ holds the parts checking, pretagging,
            training (with last.ckpt) and embedding (with crops of tiles). published/ is what 0.1 made of it later.
videos/     the same over videos: training on frames, and their embeddings
pool/       the datapool of a dataset after two runs, and what 0.1's third one selected
finished/   the whole output tree of a finished run
runs/       custom resources with their status as 0.1's operator writes it, in every state, with Job and pods
chart/      values of the chart, each key of 0.1 set to something else than its default, and what 0.1 made of them

Everything but runs/ and chart/ holds input/, lightly/ and the manifest's spec. Versions of local files are their times
of change, and those are part of the stages' and the pool's fingerprints and of the report's inputFingerprint: whoever
uses the fixtures gives each input the time CHANGED_AT. Paths are part of no fingerprint: the manifests have a uid, from
which the name of the run's folder follows. The report, config/ and the termination message name the folder /v0_1.
"""

import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGET = HERE / "v0_1"
sys.path[:0] = [str(HERE), *(str(ROOT / "tests" / name) for name in ("", "job", "cluster"))]
UID = "0badcafe-0001-4000-8000-000000000001"
TINY = {"name": "resnet-9", "width": 0.03125, "num_ftrs": 4, "out_dim": 4}
WORKER = {"num_processes": 1, "num_threads": 1, "n_example_images": 0}
LIGHTLY = {
    "pre_trained": False,
    "model": TINY,
    "collate": {"input_size": 16},
    "loader": {"batch_size": 4, "num_workers": 0},
    "trainer": {"gpus": 0, "max_epochs": 1},
}
KEPT = ("filenames/*.txt", "data/*.csv", "data/*.json")


def make_spec(worker, **spec):
    """Return a spec without datasources, which lie elsewhere each time."""
    return {"workerConfig": {**WORKER, **worker}, "lightlyConfig": LIGHTLY, **spec}


STOPPED = make_spec(
    {"enable_training": True, "pretagging": True, "pretagging_config": {"checkpoint": ".lightly/detector.pth"}},
    selectionConfig={
        "n_samples": 4,
        "auto_tasks": [{"type": "TILING", "name": "tiles", "num_rows": 1, "num_cols": 2}],
        "strategies": [
            {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
            {"input": {"type": "EMBEDDINGS", "task": "tiles"}, "strategy": {"type": "DIVERSITY"}},
            {"input": {"type": "METADATA", "key": "lightly.sharpness"}, "strategy": {"type": "WEIGHTS"}},
        ],
    },
)
VIDEOS = make_spec(
    {"enable_training": True, "stopping_condition": {"n_samples": 4}},
    dataset={"type": "VIDEOS", "name": "drives", "everyNthFrame": 2},
)
POOL = make_spec(
    {"checkpoint": ".lightly/start.ckpt", "use_datapool": True, "stopping_condition": {"n_samples": 3}},
    dataset={"name": "cameras"},
)
FINISHED = make_spec({"checkpoint": ".lightly/start.ckpt", "method": "random", "stopping_condition": {"n_samples": 2}})


def run(name, spec, folder, scratch, *, uid=UID, until=None):
    """Run a manifest over folder/input; return the run's folder. until: the stage that is not entered any more."""
    from frozen_time import FrozenTime
    from selection_job.progress import Progress
    from selection_job.workplace import set_up

    from selection_api import parse_manifest
    from selection_job.errors import Stopped
    from selection_job.pipeline import run_pipeline

    class StoppingProgress(Progress):
        def stage(self, stage):
            if stage == until:
                raise Stopped("Stopped by SIGTERM.")
            return super().stage(stage)

    datasources = {key: {"type": "LOCAL", "resourcePath": str(folder / key)} for key in ("input", "lightly")}
    manifest = {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": name, "namespace": "team", "uid": uid},
        "spec": {"datasources": datasources, **spec},
    }
    work = Path(tempfile.mkdtemp(dir=scratch))
    clocks = FrozenTime()
    place = set_up(parse_manifest(manifest), work, StoppingProgress(quiet=True), now=lambda: clocks.now(None))
    try:
        run_pipeline(place)
    except Stopped:
        assert until
    (folder / "spec.json").write_text(json.dumps(spec, indent=1) + "\n")
    return Path(place.target.url) / place.run_key


def put_images(folder, n, first=0):
    """Write n small pictures, the same each time; all have one time of change."""
    from conftest import as_bytes, draw_picture
    from small_inputs import put, settle

    put(folder, {f"cam {i % 2}/{i:02}.jpg": as_bytes(draw_picture(i, 0, 40)) for i in range(first, first + n)})
    settle(folder)


def put_start(folder):
    """Write a checkpoint."""
    import small_inputs

    small_inputs.MODEL = TINY
    small_inputs.put_checkpoint(folder / "lightly" / small_inputs.START)
    small_inputs.settle(folder)


def put_even_detector(path):
    """Write a detector without any randomness: it takes every proposal for a car."""
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=8)
    weights = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    for key in weights:
        if key.endswith("running_var"):
            weights[key] += 1
    weights["roi_heads.box_predictor.cls_score.bias"][3] = 6
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path)


def keep(source, target, patterns=("**/*",)):
    """Copy files."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern) if path.is_file()}):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)


def make_stopped(scratch):
    """Make stopped/ and videos/."""
    from painted_videos import make_video
    from small_inputs import put, settle

    from selection_api import Stage

    images, videos = scratch / "stopped", scratch / "videos"
    put_images(images / "input", 10)
    shutil.copy(images / "input/cam 0/00.jpg", images / "input/cam 1/copy.jpg")
    put(images / "input", {"cam 0/broken.jpg": b"no picture"})
    put_even_detector(images / "lightly/.lightly/detector.pth")
    size = {"size": (64, 48)}
    other = make_video(9, "mpeg4", numbers=range(40, 49), **size)
    put(videos / "input", {"a.mp4": make_video(12, **size), "b.avi": other, "broken.mp4": b"no video"})
    (videos / "lightly").mkdir()
    for folder, spec in ((images, STOPPED), (videos, VIDEOS)):
        settle(folder)
        run_folder = run(folder.name, spec, folder, scratch, until=Stage.SAMPLING)
        assert not (run_folder / "report.json").exists()
        keep(folder, TARGET / folder.name, ("input/**/*", "spec.json", "lightly/**/.stages/**/*"))
        for path in folder.glob("lightly/.lightly/*.pth"):  # 80 MB of zeros
            (TARGET / path.relative_to(scratch)).with_suffix(".pth.xz").write_bytes(lzma.compress(path.read_bytes()))
        keep(run(folder.name, spec, folder, scratch), TARGET / folder.name / "published", KEPT)


def make_pool(scratch):
    """Make pool/."""
    folder = scratch / "pool"
    put_start(folder)
    for number, (day, n) in enumerate((("monday", 6), ("tuesday", 10), ("wednesday", 14))):
        put_images(folder / "input", n)
        if day == "wednesday":
            keep(folder / "lightly", TARGET / "pool/lightly", (".lightly/datapool/**/*", ".lightly/start.ckpt"))
        run_folder = run(day, POOL, folder, scratch, uid=f"{number}{UID[1:]}")
    keep(folder, TARGET / "pool", ("input/**/*", "spec.json"))
    keep(run_folder, TARGET / "pool/published", KEPT)


def make_finished(scratch):
    """Make finished/, in the folder that its report names."""
    folder = Path("/v0_1")
    put_images(folder / "input", 3)
    put_start(folder)
    run("finished", FINISHED, folder, scratch)
    keep(folder, TARGET / "finished", ("input/**/*", "lightly/**/*", "spec.json"))
    shutil.rmtree(folder)


def play_runs():
    """Return {state: (run, Job, pods)}: raw objects, the run with the status that 0.1's operator gives it."""
    from selection_operator.reconcile import decide
    from selection_operator.situation import Trouble

    from selection_operator.settings import Settings
    from selection_operator.views import view_run

    play, settings = load(ROOT / "tests/operator/conftest.py"), Settings(job_image="example.org/selection-job:0.1.0")
    counts = {"input": 30, "corrupt": 1, "duplicate": 2, "selected": 5, "removed": 22}
    outputs = {"path": "/data/.lightly/runs/dashcam-1f2e3d4c/", "reportJson": "/data/x/report.json"}
    done = play.word("COMPLETED") | {"exitCode": 0, "message": "", "counts": counts, "outputs": outputs}
    lost = [play.condition("DisruptionTarget", reason="PreemptionByScheduler")]
    ours = {"dataselection.io/suspended-by": "selection-operator"}
    few = "0/3 nodes are available: 3 Insufficient cpu."
    nowhere = play.raw_pod(conditions=[play.condition("PodScheduled", "False", "Unschedulable", few)])
    refused = play.ended(3, word=play.word("LOADING_DATASET") | {"exitCode": 3, "message": "no image"})
    killed = play.ended(137, reason="OOMKilled", word=play.word("EMBEDDING"))
    no_more = [play.condition("Failed", reason="BackoffLimitExceeded", at=5)]
    too_late = [play.condition("Failed", reason="DeadlineExceeded")]
    by_policy = [play.condition("Failed", reason="PodFailurePolicy", at=5)]
    cases = {
        "new": ({}, None, []),
        "pending": ({}, {}, [play.raw_pod()]),
        "unschedulable": ({}, {}, [nowhere]),
        "queued": ({}, {"suspend": True}, []),
        "suspended": ({"suspend": True}, None, []),
        "suspended-while-running": ({"suspend": True}, {"suspend": True, "annotations": ours}, []),
        "running": ({}, {}, [play.running()]),
        "retrying": ({}, {}, [play.ended(75, word=play.word("EMBEDDING"))]),
        "disrupted": ({}, {"created": 200}, [play.raw_pod("p0", phase="Failed", created=100, conditions=lost)]),
        "complete": (
            {"ttlSecondsAfterFinished": 86400},
            {"conditions": [play.condition("Complete", at=5)]},
            [play.ended(0, word=done)],
        ),
        "failed": ({}, {"conditions": by_policy}, [refused]),
        "out-of-memory": ({}, {"conditions": no_more}, [killed]),
        "deadline": ({"activeDeadlineSeconds": 60}, {"conditions": too_late, "activeDeadlineSeconds": 60}, []),
        "invalid": ({"workerConfig": {"stoping_condition": {}}}, None, []),
        "job-refused": ({}, None, []),
    }
    states = {}
    for state, (spec, job_options, pods) in cases.items():
        run_object, job = play.raw_run(spec), job_options if job_options is None else play.raw_job(**job_options)
        passes = [play.observed(), play.observed(job, pods)]
        if state == "job-refused":
            passes[1] = play.observed(trouble=Trouble(422, "affinity: Required value"))
        for seen in passes:
            decision = decide(view_run(run_object), seen, settings)
            run_object = {**run_object, "status": decision.status or run_object["status"]}
        states[state] = (run_object, job, pods)
    return states


def make_runs():
    """Write runs/."""
    import yaml

    (TARGET / "runs").mkdir(parents=True)
    for state, (run_object, job, pods) in play_runs().items():
        kinds = [run_object, *([{"apiVersion": "batch/v1", "kind": "Job", **job}] if job else [])]
        kinds += [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in pods]
        text = yaml.safe_dump_all(json.loads(json.dumps(kinds)), sort_keys=False)
        (TARGET / "runs" / f"{state}.yaml").write_text(text)


def make_chart():
    """Write the names of the objects that 0.1's chart makes of chart/values.yaml, which was written by hand."""
    import yaml

    chart = ROOT / "helm/selection-operator"
    values = TARGET / "chart/values.yaml"
    ours = set(list_keys(yaml.safe_load(values.read_text())))
    for key in list_keys(yaml.safe_load((chart / "values.yaml").read_text())):
        assert key in ours or any(own.startswith(f"{key}.") for own in ours), key
    helm = [os.environ.get("HELM", "helm"), "template", "release", str(chart), "--namespace", "installed"]
    helm += ["--kube-version", "1.31.0"]
    done = subprocess.run([*helm, "--values", str(values)], check=True, capture_output=True, text=True)
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    names = sorted(f"{each['kind']} {each['metadata']['name']}" for each in objects)
    (TARGET / "chart/objects.txt").write_text("\n".join(names) + "\n")


def list_keys(values, path=""):
    """Yield the paths of all keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from list_keys(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def load(path):
    """Import a file by its path: several are called conftest."""
    import importlib.util

    specification = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def main():
    """Make all of it anew; chart/values.yaml stays."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("stopped", "videos", "pool", "finished", "runs"):
        shutil.rmtree(TARGET / name, ignore_errors=True)
    make_runs()
    with tempfile.TemporaryDirectory() as scratch:
        make_stopped(Path(scratch))
        make_pool(Path(scratch))
        make_finished(Path(scratch))
    if shutil.which(os.environ.get("HELM", "helm")):
        make_chart()


if __name__ == "__main__":
    main()
