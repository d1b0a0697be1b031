"""The inputs and manifests of the eight runs that record_digests.py makes: small, and the same bytes each time.

Every file gets one time of change, because a folder's versions of files are times and sizes.
"""

import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import yaml

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(TESTS), str(TESTS / "job"), str(TESTS / "cluster")]

CHANGED_AT = 1_760_000_000  # any second of the past
START = ".lightly/start.ckpt"
WORKER = {"num_processes": 1, "num_threads": 2, "n_example_images": 2}
MODEL = {"name": "resnet-9", "width": 0.125, "num_ftrs": 8, "out_dim": 16}
LIGHTLY = {
    "pre_trained": False,
    "model": MODEL,
    "collate": {"input_size": 32},
    "loader": {"batch_size": 8, "num_workers": 0},
    "trainer": {"gpus": 0, "max_epochs": 1},
}
DIVERSE = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}


def settle(folder):
    """Give every file in the folder the same time of change."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (CHANGED_AT, CHANGED_AT))


def put(folder, files):
    """Write files (name: bytes, text, or a JSON value)."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, bytes | str) else json.dumps(content, ensure_ascii=False)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def put_checkpoint(path):
    """Write a checkpoint of an untrained network, as lightly stores one."""
    import torch

    from selection_api.lightly_config import LightlyConfig
    from selection_job.encoder.architecture import build_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_model(LightlyConfig.model_validate({"model": MODEL}).model).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {f"model.{key}": value for key, value in weights.items()}}, path)


def make_manifest(name, folder, worker=None, *, dataset=None, selection=None, thumbnails=False, **lightly):
    """Return a manifest over folder/input with results in folder/lightly."""
    datasources = {key: {"type": "LOCAL", "resourcePath": f"{folder / key}/"} for key in ("input", "lightly")}
    if thumbnails:
        datasources["lightly"]["thumbnailSuffix"] = ".lightly/thumbnails/[filename]_thumb.[extension]"
    worker = {**WORKER, "checkpoint": START, **(worker or {})}
    worker = {key: value for key, value in worker.items() if value is not None}
    return {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "metadata": {"name": name},
        "spec": {
            "dataset": dataset or {"name": f"{name} data"},
            "datasources": datasources,
            "workerConfig": worker,
            "lightlyConfig": {**LIGHTLY, **lightly},
            **({"selectionConfig": selection} if selection else {}),
        },
    }


def put_photos(folder):
    """Write the photographs that most tests look at, and a checkpoint for them; return the names of all images."""
    from conftest import write_photos

    (folder / "input").mkdir(parents=True)
    photos = write_photos(folder / "input")
    put_checkpoint(folder / "lightly" / START)
    return sorted([*photos.readable, *photos.corrupt])


def prepare_quickstart(folder):
    """examples/quickstart.yaml with a tiny network, over a third of the demo's smallest dataset."""
    demo = runpy.run_path(str(ROOT / "examples/make_demo_dataset.py"))
    files = dict(sorted(demo["make_dataset"](demo["LEAST_IMAGES"], 0).items())[::3])
    put(folder / "input", files)
    put(folder / "lightly", {demo["RELEVANT_FILENAMES"]: demo["list_relevant"](files)})
    manifest = yaml.safe_load((ROOT / "examples/quickstart.yaml").read_text())
    for key in ("input", "lightly"):
        manifest["spec"]["datasources"][key]["resourcePath"] = f"{folder / key}/"
    manifest["spec"]["workerConfig"]["num_processes"] = 1
    manifest["spec"]["lightlyConfig"] |= {"model": MODEL, "loader": {"batch_size": 16, "num_workers": 0}}
    return manifest


def prepare_embeddings(folder):
    """A table with masked and selected rows, scores and a row of no image; coral; nothing is opened to select."""
    names = put_photos(folder)
    rng = np.random.default_rng(3)
    header = ["filenames", *(f"embedding_{i}" for i in range(6)), "masked", "selected", "labels", "al_score"]
    lines = [",".join(header)]
    for row, name in enumerate([*names[1:], "gone.jpg"]):
        vector = ",".join(f"{value:.7g}" for value in rng.normal(size=6).astype(np.float32))
        quoted = '"{}"'.format(name.replace('"', '""'))
        lines.append(f"{quoted},{vector},{int(row == 2)},{int(row in (5, 9))},0,{rng.random():.6g}")
    put(folder / "lightly", {".lightly/embeddings/mine.csv": "\n".join(lines) + "\n"})
    worker = {"checkpoint": None, "embeddings": "mine.csv", "method": "coral", "stopping_condition": {"n_samples": 9}}
    return make_manifest("embeddings", folder, worker, thumbnails=True)


def prepare_predictions(folder):
    """Two tasks with a broken and a missing file, metadata, tiles; BALANCE, THRESHOLD, WEIGHTS and DIVERSITY."""
    names, rng = put_photos(folder), np.random.default_rng(5)
    files = {"predictions/tasks.json": ["weather", "things"]}
    for task, kind in (("weather", "classification"), ("things", "object-detection")):
        categories = [{"id": i, "name": word} for i, word in enumerate(("sun", "rain", "snow"))]
        files[f"predictions/{task}/schema.json"] = {"task_type": kind, "categories": categories}
    key = {"name": "Lux", "path": "light.lux", "defaultValue": 0, "valueDataType": "NUMERIC_FLOAT"}
    place = {"name": "Place", "path": "place", "defaultValue": "nowhere", "valueDataType": "CATEGORICAL_STRING"}
    files["metadata/schema.json"] = [key, place]
    for row, name in enumerate(names):
        stem, shares = name.rpartition(".")[0], rng.dirichlet([1.5, 0.8, 0.4]).round(4)
        shares[0] = round(1 - shares[1] - shares[2], 4)
        one = {"category_id": int(shares.argmax()), "probabilities": shares.tolist(), "score": float(shares.max())}
        files[f"predictions/weather/{stem}.json"] = {"file_name": name, "predictions": [one]}
        boxes = [
            {"category_id": (row + i) % 3, "bbox": [4 + 9 * i, 6, 20, 30], "score": round(float(rng.random()), 3)}
            for i in range(row % 4)
        ]
        files[f"predictions/things/{stem}.json"] = {"file_name": name, "predictions": boxes}
        metadata = {"light": {"lux": round(float(rng.random()), 4)}, "place": ("town", "wood")[row % 2]}
        files[f"metadata/{stem}.json"] = {"file_name": name, "type": "image", "metadata": metadata}
    stems = [name.rpartition(".")[0] for name in names if name.startswith("walk")]
    files[f"predictions/weather/{stems[1]}.json"] = '{"predictions": [{"category_id": 3}]}'
    del files[f"predictions/things/{stems[2]}.json"]
    put(folder / "lightly/.lightly", files)
    tiles = {"type": "EMBEDDINGS", "task": "tiles"}
    entropy = {"type": "SCORES", "task": "weather", "score": "uncertainty_entropy"}
    classes = {"type": "PREDICTIONS", "task": "things", "name": "CLASS_DISTRIBUTION"}
    aim = {"type": "BALANCE", "distribution": "TARGET", "target": {"sun": 0.5, "snow": 0.3}, "strength": 2}
    lux, sharpness = ({"type": "METADATA", "key": key} for key in ("light.lux", "lightly.sharpness"))
    strategies = [
        DIVERSE,
        {"input": tiles, "strategy": {"type": "TYPICALITY", "num_nearest_neighbors": 3}},
        {"input": entropy, "strategy": {"type": "WEIGHTS"}},
        {"input": classes, "strategy": aim},
        {"input": {"type": "METADATA", "key": "place"}, "strategy": {"type": "BALANCE", "distribution": "UNIFORM"}},
        {"input": lux, "strategy": {"type": "THRESHOLD", "threshold": 0.2, "operation": "BIGGER_EQUAL"}},
        {"input": sharpness, "strategy": {"type": "THRESHOLD", "threshold": 0, "operation": "BIGGER"}},
    ]
    selection = {
        "n_samples": 9,
        "auto_tasks": [{"type": "TILING", "name": "tiles", "num_rows": 2, "num_cols": 2}],
        "strategies": strategies,
    }
    return make_manifest("predictions", folder, {"checkpoint": START}, selection=selection)


def prepare_objects(folder):
    """Street scenes: objects of predictions are chosen, written as files, and beside them a detector finds others."""
    from street_scenes import NAMES, make_scene

    (folder / "input").mkdir(parents=True)
    rng = np.random.default_rng(3)
    categories = [{"id": 10 * i, "name": name} for i, name in enumerate(NAMES)]
    files = {"tasks.json": ["street"]}
    files["street/schema.json"] = {"task_type": "object-detection", "categories": categories}
    for row in range(10):
        kinds = rng.choice(["car", "person", "train"], row % 4).tolist()
        picture, boxes = make_scene(rng, kinds)
        picture.save(folder / f"input/scene_{row}.png")
        found = zip(kinds, boxes.astype(int).tolist(), strict=False)
        objects = [
            {"category_id": 10 * NAMES.index(kind), "bbox": [x, y, x1 - x, y1 - y], "score": round(rng.random(), 3)}
            for kind, (x, y, x1, y1) in found
        ]
        files[f"street/scene_{row}.json"] = {"file_name": f"scene_{row}.png", "predictions": objects}
    put(folder / "lightly/.lightly/predictions", files)
    shutil.copy(folder / "input/scene_3.png", folder / "input/zz copy.png")
    put_checkpoint(folder / "lightly" / START)
    put_detector(folder / "lightly/.lightly/detector.pth")
    worker = {
        "object_level": {"task_name": "street", "padding": 0.2},
        "stopping_condition": {"n_samples": 7},
        "dump_dataset": True,
        "pretagging": True,
        "pretagging_debug": True,
        "pretagging_upload": True,
        "pretagging_config": {"checkpoint": ".lightly/detector.pth", "input_size": 96, "min_score": 0.8},
    }
    return make_manifest("objects", folder, worker)


def put_detector(path):
    """Write the weights of a detector that was never trained.

    What it finds means nothing, is of all classes, and is the same each time.
    """
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=8).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d) and module.groups > 1:
                module.weight *= module.groups**0.5  # what it is initialised with lets all numbers fade away
        head, seen = model.roi_heads.box_predictor, []
        hook = head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        model([torch.rand(3, 120, 160)])
        hook.remove()
        head.cls_score.weight.normal_(0, 4 / float(seen[0].std(0).norm()))
        head.cls_score.bias.copy_(-(head.cls_score.weight @ seen[0].mean(0)))
    torch.save(model.state_dict(), path)


def prepare_videos(folder):
    """Two videos and a damaged file: trained on, every second frame looked at, the chosen ones written as pictures."""
    from painted_videos import make_video

    videos = {
        "cam/a.mp4": make_video(24, numbers=range(24)),
        "cam/b-1.avi": make_video(15, "mpeg4", numbers=range(40, 55)),
        "broken.mp4": b"no video",
    }
    put(folder / "input", videos)
    (folder / "lightly").mkdir()
    worker = {"checkpoint": None, "enable_training": True, "stopping_condition": {"n_samples": 0.3}}
    dataset = {"name": "drives", "type": "VIDEOS", "everyNthFrame": 2}
    return make_manifest("videos", folder, worker, dataset=dataset, thumbnails=True)


def prepare_sequences(folder):
    """Pairs of neighbours in the folders of photographs."""
    put_photos(folder)
    worker = {"selected_sequence_length": 2, "stopping_condition": {"n_samples": 0.2}, "output_image_size": 24}
    return make_manifest("sequences", folder, {**worker, "dump_dataset": True, "output_image_format": "webp"})


def prepare_first_of_pool(folder):
    """The first run of a dataset, over two thirds of the photographs."""
    put_photos(folder / "all")
    (folder / "all/lightly").rename(folder / "lightly")
    for number in range(4):
        _move_walk(folder, number)
    return _make_pool_manifest("monday", folder)


def prepare_second_of_pool(folder):
    """The second run of that dataset, over more of them."""
    for number in range(4, 6):
        _move_walk(folder, number)
    return _make_pool_manifest("tuesday", folder)


def _move_walk(folder, number):
    target = folder / f"input/walk {number}"
    target.parent.mkdir(exist_ok=True)
    (folder / f"all/input/walk {number}").rename(target)


def _make_pool_manifest(name, folder):
    worker = {"use_datapool": True, "stopping_condition": {"n_samples": 5}}
    return make_manifest(name, folder, worker, dataset={"name": "cameras"})


def prepare_random(folder):
    """A random choice with a least distance, decoded fast, its images written."""
    put_photos(folder)
    stopping = {"n_samples": 0.4, "min_distance": 0.05}
    worker = {"method": "random", "stopping_condition": stopping, "decoder": "fast", "dump_dataset": True}
    return make_manifest("random", folder, worker, thumbnails=True, seed=7)


RUNS = {
    "quickstart": [prepare_quickstart],
    "embeddings": [prepare_embeddings],
    "predictions": [prepare_predictions],
    "objects": [prepare_objects],
    "videos": [prepare_videos],
    "sequences": [prepare_sequences],
    "datapool": [prepare_first_of_pool, prepare_second_of_pool],
    "random": [prepare_random],
}
"""What makes the folder of each run, and its manifest; of the datapool two that follow one another."""
