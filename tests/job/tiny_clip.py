"""A CLIP of 2 million weights, trained in seconds on pictures of coloured shapes by day and at night.

A picture has a colour, a shape and a light; a caption names them. After a hundred steps the two towers know colours and
light. The folder is in open_clip's layout. One torch thread: two on a busy machine wait for one another.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from selection_job.encoder.folders.open_clip_import import open_clip

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (230, 220, 50),
    "purple": (160, 60, 200),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross")
LIGHTS = {"by day": (170, 200, 225), "at night": (18, 18, 30)}
TEMPLATES = ("a {} {}{}", "a photo of a {} {}{}", "a picture of a {} {}{}", "there is a {} {}{}")
SIZE_PX = 32

MODEL = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": SIZE_PX,
        "timm_model_name": "test_resnet",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
}
PREPROCESSING = {
    "size": SIZE_PX,
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "squash",
    "fill_color": 0,
}


def draw(colour, shape, light, rng):
    """Return a picture (32, 32, 3) uint8 of a coloured shape on a bright or dark ground, with noise."""
    picture = Image.new("RGB", (SIZE_PX, SIZE_PX), LIGHTS[light])
    pen = ImageDraw.Draw(picture)
    r = int(rng.integers(7, 12))
    x, y = (int(place) for place in rng.integers(r, SIZE_PX - r, 2))
    ink = COLOURS[colour]
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=ink)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=ink)
    else:
        pen.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=ink)
        pen.rectangle((x - r // 3, y - r, x + r // 3, y + r), fill=ink)
    noisy = np.asarray(picture, dtype=np.float32) + rng.normal(0, 10, (SIZE_PX, SIZE_PX, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def train_tiny_clip(folder, *, steps=100, seed=0):
    """Train on one thread, and write the folder in open_clip's layout; some 15 seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make_model()
            _train(model.train(), steps, np.random.default_rng(seed))
    finally:
        torch.set_num_threads(threads)
    return write_folder(model.eval(), folder)


def make_model():
    """Return open_clip's network of MODEL, with random weights."""
    return open_clip.CLIP(**json.loads(json.dumps(MODEL)))


def write_folder(model, folder):
    """Write a model of MODEL's shape as a hub folder and return it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESSING}
    (Path(folder) / "open_clip_config.json").write_text(json.dumps(config))
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, str(Path(folder) / "open_clip_model.safetensors"))
    return Path(folder)


def _train(model, steps, rng):
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    decayed = [p for name, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim >= 2 and "embedding" not in name)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=2e-3,
        betas=(0.9, 0.98),
    )
    for step in range(steps):
        rate = 2e-3 * min(1.0, (step + 1) / min(50, steps // 2)) * 0.5 * (1 + np.cos(np.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        pictures, captions, fits = _make_batch(rng, 128)
        images = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        seen = model.encode_image(images, normalize=True)
        read = model.encode_text(tokenizer(captions), normalize=True)
        logits = model.logit_scale.exp() * seen @ read.T
        loss = (cross_entropy(logits, _share(fits)) + cross_entropy(logits.T, _share(fits.T))) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _share(fits):
    return fits / fits.sum(dim=1, keepdim=True)


def _make_batch(rng, n):
    """Return pictures, captions, and (n, n) which caption fits which picture, whoever wrote it."""
    scenes, told = [], []
    for _ in range(n):
        scene = (rng.choice(list(COLOURS)), rng.choice(SHAPES), rng.choice(list(LIGHTS)))
        light = "" if rng.random() < 0.2 else scene[2]
        scenes.append(scene)
        told.append((scene[0], scene[1], light))
    pictures = np.stack([draw(*scene, rng) for scene in scenes])
    captions = [
        TEMPLATES[rng.integers(len(TEMPLATES))].format(colour, shape, f" {light}" if light else "")
        for colour, shape, light in told
    ]
    fits = [
        [float(c == colour and s == shape and light in ("", seen)) for c, s, light in told]
        for colour, shape, seen in scenes
    ]
    return pictures, captions, torch.tensor(fits)
