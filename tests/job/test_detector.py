"""The detector: what torchvision's own forward finds, out of checkpoints that are what they claim."""

import pickle
import threading
import zipfile
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import street_scenes
import torch
from PIL import Image
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn, fasterrcnn_resnet50_fpn

from selection_job.detector.detecting import _batches, _propose, detect_objects
from selection_job.detector.detector import CATEGORIES
from selection_job.detector.loading import load_detector
from selection_job.encoder.zoo import Zoo
from selection_job.errors import StorageUnavailable, UnusableData
from selection_job.stores.cloud.retrying import RetryPolicy

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")
trained = pytest.mark.slow  # where the cache has no detector yet, one is trained
HEAD = "roi_heads.box_predictor.cls_score"


@pytest.fixture(scope="module")
def detector():
    return load_detector(street_scenes.find_detector(), key="a.pth")


@pytest.fixture(scope="module")
def pictures(detector):
    random = np.random.default_rng(1)
    scenes = [street_scenes.make_scene(random, ["car", "person", "train"][: i + 1])[0] for i in range(3)]
    return [np.array(scene.resize(detector.fit(*scene.size), Image.Resampling.BILINEAR)) for scene in scenes]


@trained
def test_the_objects_are_those_that_torchvision_finds(detector, pictures):
    assert (detector.shortest_px, detector.longest_px) == (320, 640)
    found = list(detect_objects(detector, pictures, device=CPU, min_score=0.0))
    for picture, ours in zip(pictures, found, strict=True):
        height, width = picture.shape[:2]
        with torch.inference_mode():
            (theirs,) = detector.model([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
        corners = np.concatenate([ours.boxes[:, :2], ours.boxes[:, :2] + ours.boxes[:, 2:]], axis=1)
        np.testing.assert_allclose(corners * [width, height, width, height], theirs["boxes"].numpy(), atol=1e-3)
        np.testing.assert_allclose(ours.scores, theirs["scores"].numpy(), atol=1e-6)
        assert (ours.category_index + 1).tolist() == theirs["labels"].tolist()


@trained
def test_probabilities_are_those_of_the_seven_categories_and_add_up_to_one(detector, pictures):
    (found,) = detect_objects(detector, pictures[2:], device=CPU, min_score=0.5)
    assert found.probabilities.shape == (len(found.scores), 7)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-6)
    assert found.probabilities.argmax(axis=1).tolist() == found.category_index.tolist()
    assert (found.probabilities.max(axis=1) >= found.scores - 1e-6).all()


@trained
def test_doubtful_objects_are_left_out_and_the_others_stay_as_they_are(detector, pictures):
    (everything,) = detect_objects(detector, pictures[2:], device=CPU, min_score=0.0)
    (sure,) = detect_objects(detector, pictures[2:], device=CPU, min_score=0.7)
    kept = everything.scores >= 0.7
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(sure.boxes, everything.boxes[kept])


@trained
def test_a_picture_gives_the_same_in_a_batch_and_alone(detector, pictures):
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        together = _propose(detector.model, pixels)
        alone = [_propose(detector.model, pixels[i : i + 1])[0] for i in range(len(pixels))]
    for (boxes, shares), (own_boxes, own_shares) in zip(together, alone, strict=True):
        torch.testing.assert_close(boxes, own_boxes, atol=1e-2, rtol=1e-4)
        torch.testing.assert_close(shares, own_shares, atol=1e-4, rtol=1e-4)


def test_a_gpu_takes_pictures_of_one_size_together_and_no_more_than_fit():
    gpu = torch.device("cuda")
    small, large = np.zeros((320, 427, 3), np.uint8), np.zeros((800, 1333, 3), np.uint8)
    sizes = [len(batch) for batch in _batches([*[small] * 40, *[large] * 9, small], gpu)]
    assert sizes == [31, 9, 4, 4, 1, 1]
    assert [len(batch) for batch in _batches([small] * 3, CPU)] == [1, 1, 1]


@trained
def test_torchvision_does_not_compile_a_roi_align_of_its_own(detector, pictures):
    seen = []
    pool = detector.model.roi_heads.box_roi_pool
    hook = pool.register_forward_hook(lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    list(detect_objects(detector, pictures[:1], device=CPU, min_score=0.5))
    hook.remove()
    assert seen == [False]


@trained
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (5000, 2), (33, 31)])
def test_pictures_of_any_shape_are_looked_at(detector, size):
    width, height = detector.fit(*size)
    assert max(width, height) <= 640
    (found,) = detect_objects(detector, [np.full((height, width, 3), 128, np.uint8)], device=CPU, min_score=0.1)
    assert np.isfinite(found.boxes).all()


@trained
def test_a_smaller_input_size_changes_the_longest_edge_too():
    detector = load_detector(street_scenes.find_detector(), key="a.pth", shortest_px=160)
    assert detector.fit(160, 120) == (213, 160)
    assert detector.fit(1000, 100) == (320, 32)


@pytest.fixture(scope="module")
def coco_weights():
    """A ResNet-50 of 91 classes that takes everything for the class whose bias is raised."""
    torch.manual_seed(0)
    return fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91).state_dict()


COCO = {"bicycle": 2, "bus": 6, "car": 3, "motorcycle": 4, "person": 1, "train": 7, "truck": 8, "airplane": 5}


@trained
def test_the_classes_of_coco_are_told_apart_and_other_ones_left_out(coco_weights, tmp_path):
    torch.save(coco_weights, tmp_path / "coco.pth")
    detector = load_detector(tmp_path / "coco.pth", key="coco.pth", shortest_px=64)
    assert (detector.shortest_px, detector.longest_px, detector.source) == (64, 107, "checkpoint coco.pth")
    predictor = detector.model.roi_heads.box_predictor.cls_score
    predictor.weight.zero_()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for name, label in COCO.items():
        predictor.bias.zero_()
        predictor.bias[label] = 10
        (found,) = detect_objects(detector, [picture], device=CPU, min_score=0.5)
        assert {CATEGORIES[i].name for i in found.category_index} == {name} - {"airplane"}


@pytest.fixture
def server():
    """Serves what is in its `files`."""
    files = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in files else 404)
            self.end_headers()
            self.wfile.write(files.pop(self.path, b""))  # once

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.files, http.url = files, f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield http
    http.shutdown()
    http.server_close()


def test_torchvisions_weights_are_fetched_once_and_checked_by_the_hash_in_their_name(server, tmp_path, coco_weights):
    torch.save(coco_weights, tmp_path / "coco.pth")
    content = (tmp_path / "coco.pth").read_bytes()
    path = f"/fasterrcnn_resnet50_fpn_coco-{sha256(content).hexdigest()[:8]}.pth"
    server.files[path] = content
    zoo = Zoo(folder=tmp_path / "cache")
    fetched = [load_detector(None, zoo=zoo, url=server.url + path) for _ in range(2)]
    assert fetched[0].fingerprint == fetched[1].fingerprint
    assert fetched[0].source == "torchvision FasterRCNN_ResNet50_FPN_Weights.COCO_V1"
    server.files["/a-00000000.pth"] = b"something else"
    with pytest.raises(UnusableData, match="SHA-256 is not the one in its name"):
        load_detector(None, zoo=zoo, url=f"{server.url}/a-00000000.pth")


def test_without_a_network_the_ways_that_remain_are_named(tmp_path):
    zoo = Zoo(folder=tmp_path, retry_policy=RetryPolicy(attempts=1))
    with pytest.raises(StorageUnavailable) as caught:
        load_detector(None, zoo=zoo, url="http://127.0.0.1:1/fasterrcnn-258fb6c6.pth")
    for words in (
        "can't be reached",
        "spec.workerConfig.pretagging_config.checkpoint",
        "put the file fasterrcnn-258fb6c6.pth",
        "put that file into torch's hub cache",
        str(tmp_path),
        "set pretagging to false",
    ):
        assert words in str(caught.value)


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=8).state_dict()


def test_what_wraps_a_detector_is_taken_off_its_keys(weights, tmp_path):
    wrapped = {f"module.{key}": tensor for key, tensor in weights.items()}
    for name, content in (("plain", weights), ("wrapped", {"state_dict": wrapped})):
        torch.save(content, tmp_path / name)
    plain, parallel = (load_detector(tmp_path / name, key=name) for name in ("plain", "wrapped"))
    assert plain.fingerprint == parallel.fingerprint


def without(weights, key):
    return {name: value for name, value in weights.items() if name != key}


FC = "roi_heads.box_head.fc"
NORM = "backbone.body.0.1.running_var"
BROKEN = {
    "no dictionary": (lambda w: [1, 2], "is not that of a Faster R-CNN"),
    "a number": (lambda w: 7, "is not that of a Faster R-CNN"),
    "an encoder": (lambda w: {"state_dict": {"backbone.0.weight": torch.zeros(1)}}, "is not that of a Faster R-CNN"),
    "21 classes": (lambda w: {**w, f"{HEAD}.weight": torch.zeros(21, 1024)}, "has 21 classes"),
    "a head of one number": (lambda w: {**w, f"{HEAD}.weight": torch.tensor(1.0)}, "has 0 classes"),
    "a missing tensor": (lambda w: without(w, "rpn.head.cls_logits.bias"), "'rpn.head.cls_logits.bias' is missing"),
    "another shape": (lambda w: {**w, NORM: torch.ones(3)}, r"running_var' is \(3,\), expected \(16,\)"),
    "a tensor too many": (lambda w: {**w, "extra": torch.ones(3)}, "'extra' is .*expected nothing"),
    "a claim of 10^13 numbers": (lambda w: {**w, NORM: torch.zeros(1).expand(10**13)}, "another network"),
    "a sparse tensor": (lambda w: {**w, NORM: torch.ones(16).to_sparse()}, "expected a dense tensor"),
    "a word": (lambda w: {**w, "epoch": "seven"}, "'epoch' is a str, expected a dense tensor"),
    "a key that is no name": (lambda w: {**w, 7: torch.ones(1)}, "'7' is a Tensor, expected a dense"),
    "not a number": (lambda w: {**w, NORM: torch.full((16,), float("nan"))}, "finite"),
    "overflow of float32": (lambda w: {**w, NORM: torch.full((16,), 1e300, dtype=torch.float64)}, "finite"),
    "overflow of what is computed": (
        lambda w: {**w, f"{FC}6.bias": torch.full((1024,), 3e38), f"{FC}7.weight": torch.full((1024, 1024), 3e38)},
        "finite",
    ),
    "a negative variance": (lambda w: {**w, NORM: torch.full((16,), -1.0)}, "finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_checkpoint_of_something_else_is_refused_with_a_reason(case, weights, tmp_path):
    change, words = BROKEN[case]
    torch.save(change(weights), tmp_path / "a.pth")
    with pytest.raises(UnusableData, match=words):
        load_detector(tmp_path / "a.pth", key="my/a.pth")


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a checkpoint ran')",)


def test_a_checkpoint_with_code_in_it_is_refused_and_the_code_does_not_run(tmp_path):
    torch.save({"model": {f"{HEAD}.weight": Bomb()}}, tmp_path / "a.pth")
    with pytest.raises(UnusableData, match=r"holds a Python object.*could run code"):
        load_detector(tmp_path / "a.pth", key="a.pth")
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UnusableData, match=r"Checkpoint .a\.pth"):
        load_detector(tmp_path / "a.pth", key="a.pth")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\3\4" + bytes(100), bytes(1000)], ids=repr)
def test_a_file_that_is_no_checkpoint_is_refused(content, tmp_path):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UnusableData, match=r"Checkpoint 'a.pth' can't be read"):
        load_detector(tmp_path / "a.pth", key="a.pth")


def test_a_compressed_checkpoint_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**7))
    with pytest.raises(UnusableData, match="compressed"):
        load_detector(tmp_path / "a.pth", key="a.pth")


def test_wrapped_weights_of_other_precision_are_the_same_detector(weights, tmp_path):
    torch.save(weights, tmp_path / "plain.pth")
    torch.save({"model": {k: v.double() for k, v in weights.items()}, "epoch": 3}, tmp_path / "wrapped.pth")
    plain, wrapped = (load_detector(tmp_path / f"{name}.pth", key="a") for name in ("plain", "wrapped"))
    assert plain.fingerprint == wrapped.fingerprint
    torch.save({**weights, f"{HEAD}.bias": weights[f"{HEAD}.bias"] + 1}, tmp_path / "other.pth")
    assert load_detector(tmp_path / "other.pth", key="a").fingerprint != plain.fingerprint
