"""Street scenes: generated pictures of cars, persons and trains with the boxes they lie in, and a detector of them."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from testbed.cache import digest, make_once

WIDTH, HEIGHT = 160, 120
NAMES = ("bicycle", "bus", "car", "motorcycle", "person", "train", "truck")
SHAPES = {  # width, height, colour, how it is drawn
    "car": ((40, 60), (24, 34), (40, 70, 200), "rectangle"),
    "person": ((20, 30), (46, 70), (200, 60, 50), "ellipse"),
    "train": ((80, 120), (30, 44), (40, 160, 60), "rectangle"),
}
INPUT_SIZE = 192
"""Shortest edge, in pixels, that the detector is trained for."""
ITERATIONS, BATCH = 300, 3


def make_scene(random, categories):
    """Return an RGB picture of a road with one shape for each category, and their boxes x0, y0, x1, y1 (k, 4)."""
    picture = _make_road(random)
    draw = ImageDraw.Draw(picture)
    boxes = []
    for category in categories:
        box = _place(random, SHAPES[category], boxes)
        colour = tuple(np.clip(np.array(SHAPES[category][2]) + random.integers(-25, 25, 3), 0, 255).tolist())
        getattr(draw, SHAPES[category][3])(box, fill=colour, outline=(20, 20, 20))
        boxes.append(box)
    return picture.filter(ImageFilter.GaussianBlur(0.6)), np.array(boxes, dtype=np.float32).reshape(-1, 4)


def _make_road(random):
    """Return a picture of sky, ground, and a grey road with a broken white line."""
    sky, ground = random.integers(90, 200, (2, 3))
    grey = int(random.integers(90, 150))
    horizon, middle = int(random.integers(30, 50)), int(random.integers(60, 100))
    picture = Image.new("RGB", (WIDTH, HEIGHT), tuple(sky.tolist()))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, horizon, WIDTH, HEIGHT), fill=tuple(ground.tolist()))
    draw.polygon([(middle - 8, horizon), (middle + 8, horizon), (WIDTH, HEIGHT), (0, HEIGHT)], fill=(grey,) * 3)
    for top in range(horizon + 10, HEIGHT, 22):
        draw.line([(middle, top), (middle, top + 8)], fill=(230, 230, 230), width=2)
    noisy = np.asarray(picture) + random.normal(0, 6, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _place(random, shape, others):
    """Find a place that overlaps the other boxes little."""
    for _ in range(30):
        width, height = random.integers(*shape[0]), random.integers(*shape[1])
        x0, y0 = random.integers(2, WIDTH - width - 2), random.integers(2, HEIGHT - height - 2)
        box = [int(x0), int(y0), int(x0 + width), int(y0 + height)]
        if all(_overlap(box, other) < 0.1 for other in others):
            break
    return box


def _overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller


def train_detector():
    """Return the state_dict of a fasterrcnn_mobilenet_v3_large_320_fpn that was trained on scenes, on one thread."""
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    few = {"rpn_pre_nms_top_n_train": 300, "rpn_post_nms_top_n_train": 100, "box_batch_size_per_image": 64}
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two cost five times as much
    with torch.random.fork_rng():
        torch.manual_seed(0)
        random = np.random.default_rng(0)
        model = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, num_classes=1 + len(NAMES), **few
        ).train()
        model.transform._skip_resize = True
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=ITERATIONS)
        for _ in range(ITERATIONS):
            images, targets = zip(*(_make_example(random) for _ in range(BATCH)), strict=True)
            loss = sum(model(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    torch.set_num_threads(n_threads)
    return model.state_dict()


def _make_example(random):
    import torch

    categories = random.choice(list(SHAPES), random.integers(1, 4)).tolist()
    picture, boxes = make_scene(random, categories)
    scale = INPUT_SIZE / HEIGHT
    small = picture.resize((round(WIDTH * scale), INPUT_SIZE), Image.Resampling.BILINEAR)
    image = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
    labels = torch.tensor([NAMES.index(name) + 1 for name in categories])
    return image, {"boxes": torch.from_numpy(boxes * scale), "labels": labels}


def find_detector():
    """Return the path of a trained detector's checkpoint; it is trained once for each version of this file."""
    key = digest(Path(__file__).read_bytes(), *map(version, ("torch", "torchvision", "numpy", "pillow")))
    return make_once("detectors", "streets", key, _make) / "detector.pth"


def _make(folder):
    import torch  # long to import, and not needed where the detector is there

    print("Training a detector of street scenes (once) …", file=sys.stderr, flush=True)
    torch.save(train_detector(), folder / "detector.pth")
