"""Mutated folders: an encoder's files with something wrong in them, drawn by a seed."""

import json
import random
import shutil
import time
from pathlib import Path

from encoder_folders import write_open_clip, write_timm, write_tokenizer

from selection_job.encoder.folders.loading import load_encoder_folder, load_text_tower
from selection_job.errors import JobError
from selection_job.stores.local.store import LocalStore

TINY_CLIP = {
    "model_cfg": {
        "embed_dim": 24,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {
            "context_length": 8,
            "vocab_size": 60,
            "hf_tokenizer_name": "x/y",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 16,
            "heads": 2,
            "layers": 1,
            "pool_type": "last",
        },
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "interpolation": "bicubic"},
}
ODD = [
    *(None, True, -1, 0, 3, 1e6, 10**9, 10**30, 0.5, 1e-9, "", "x", "../..", "hf-hub:a/b", "\u0000", "a" * 5000),
    *([], [1, 2], [[[]]], {}, {"a": {"b": []}}),
]
WRITTEN = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b'"\\ud800"',
    b"9" * 400,
    b"[" * 100,
    b"\xff\xfe",
    b"{}",
    b'"x":',
    b"\x00",
]


def write_originals(root: Path) -> list[Path]:
    """Write a folder of each form that is mutated, and return them."""
    clip, timm = root / "clip", root / "timm"
    write_open_clip(clip, TINY_CLIP)
    write_tokenizer(clip)
    write_timm(timm, "test_efficientnet")
    return [clip, timm, *_write_transformers(root)]


def _write_transformers(root: Path) -> list[Path]:
    try:
        import transformers
    except ModuleNotFoundError:
        return []
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    image = {**sizes, "image_size": 32, "patch_size": 8}
    text = {**sizes, "max_position_embeddings": 8, "vocab_size": 60, "bos_token_id": 0, "eos_token_id": 1}
    siglip = transformers.SiglipConfig(text_config=text, vision_config=image)
    transformers.SiglipModel(siglip).save_pretrained(root / "siglip")
    write_tokenizer(root / "siglip")
    settings = {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (root / "siglip/preprocessor_config.json").write_text(json.dumps(settings))
    return [root / "siglip"]


def mutate(original: Path, folder: Path, seed: int) -> str:
    """Copy a folder and change one of its files; return what was done."""
    draw = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    path = draw.choice(sorted(folder.iterdir()))
    if path.suffix == ".json":
        done = draw.choice([_change_value, _change_value, _rename_key, _damage_text, _damage_bytes])(path, draw)
    else:
        done = draw.choice([_change_header, _change_header, _damage_bytes, _change_numbers])(path, draw)
    return f"{path.name}: {done}"


def try_folder(root: Path, key: str) -> tuple[str, float]:
    """Load both towers and embed a text; return the sentence that it ends with, or '', and the processor's seconds."""
    store, start = LocalStore(root), time.process_time()
    try:
        load_encoder_folder(store, key, root / "scratch")
        if (root / key / "tokenizer.json").exists():
            load_text_tower(store, key, root / "scratch", image_fingerprint="0").embed(["a photo of a car", "dog!"])
        sentence = ""
    except JobError as error:
        sentence = str(error)
    finally:
        shutil.rmtree(root / "scratch", ignore_errors=True)
    return sentence, time.process_time() - start


def _places(value, path=()):
    """Return the path of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*path, key) for key, _ in inner] + [each for key, below in inner for each in _places(below, (*path, key))]


def _parent(document, path):
    for part in path[:-1]:
        document = document[part]
    return document


def _change(document, draw):
    path = draw.choice(_places(document))
    value = draw.choice(ODD)
    _parent(document, path)[path[-1]] = value
    return f"{path} = {repr(value)[:40]}"


def _change_value(path, draw):
    document = json.loads(path.read_text())
    done = _change(document, draw)
    path.write_text(json.dumps(document))
    return done


def _rename_key(path, draw):
    document = json.loads(path.read_text())
    place = draw.choice([place for place in _places(document) if isinstance(place[-1], str)])
    parent = _parent(document, place)
    value = parent.pop(place[-1])
    if draw.random() < 0.5:
        parent[draw.choice(["auto_map", "trust_remote_code", "model_type", "architecture", "x"])] = value
    path.write_text(json.dumps(document))
    return f"{place} gone"


def _damage_text(path, draw):
    content = path.read_bytes()
    at, written = draw.randrange(len(content)), draw.choice(WRITTEN)
    path.write_bytes(content[:at] + written + content[at + draw.choice([0, 1, 5]) :])
    return f"{written[:20]!r} at {at}"


def _damage_bytes(path, draw):
    content = bytearray(path.read_bytes())
    if draw.random() < 0.4:
        path.write_bytes(content[: draw.randrange(len(content))])
        return "cut off"
    for _ in range(draw.choice([1, 10, 1000])):
        content[draw.randrange(min(len(content), draw.choice([8, 64, 4000, len(content)])))] = draw.randrange(256)
    path.write_bytes(content)
    return "bytes changed"


def _change_header(path, draw):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    done = _change(header, draw)
    if draw.random() < 0.2:
        header |= {f"more.{n}": {"dtype": "F32", "shape": [0, 10**12], "data_offsets": [0, 0]} for n in range(30_000)}
        done += " and 30,000 empty tensors"
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return done


def _change_numbers(path, draw):
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    at = start + draw.randrange((len(content) - start) // 4) * 4
    content[at : at + 4] = draw.choice([b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f"])
    path.write_bytes(content)
    return f"a number at {at}"
