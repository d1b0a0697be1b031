"""Encoder folders: tiny networks with random weights, written as the libraries' own tools write them to a hub."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from selection_job.encoder.folders.open_clip_import import open_clip

CLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "interpolation": "bicubic"},
}
"""OpenAI's form: open_clip's own ViT, CLIP's vocabulary, QuickGELU."""

TIMM_CLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 20,
        "custom_text": True,
        "vision_cfg": {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": 0.5, "std": 0.5, "interpolation": "bilinear", "resize_mode": "squash"},
}
"""The form of newer models: a tower of timm, and the text tower in a part of its own."""

SIGLIP_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "custom_text": True,
        "init_logit_bias": -10,
        "vision_cfg": {"image_size": 160, "timm_model_name": "test_vit2", "timm_pool": "map", "timm_proj": "none"},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 60,
            "hf_tokenizer_name": "timm/a-name-that-is-never-asked-for",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "width": 64,
            "heads": 2,
            "layers": 1,
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
            "act_kwargs": {"approximate": "tanh"},
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"},
}
"""SigLIP's form: texts in lower case without punctuation, padded, and split as tokenizer.json says."""

WORDS = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", "photo", "of", "car", "night", "road", "dog"]


def make_open_clip(config: dict[str, Any], *, seed: int = 0) -> Any:
    """Return open_clip's own network of a configuration, with random weights."""
    torch.manual_seed(seed)
    model = json.loads(json.dumps(config["model_cfg"]))
    kind = open_clip.CustomTextCLIP if model.pop("custom_text", False) else open_clip.CLIP
    return kind(**model).eval().requires_grad_(False)


def write_open_clip(folder: Path, config: dict[str, Any], *, seed: int = 0) -> Any:
    """Write a folder of open_clip's layout, and return the network."""
    network = make_open_clip(config, seed=seed)
    write_json(folder / "open_clip_config.json", config)
    write_tensors(folder / "open_clip_model.safetensors", network.state_dict())
    return network


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer.json of words that ends texts with </s>, and a configuration that pads with <pad>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"})


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file; tensors that share memory are written twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, path)


def write_timm(folder: Path, name: str, *, seed: int = 0, **pretrained: Any) -> Any:
    """Write a folder of timm's layout by timm itself, and return the network, which sorts into 1,000 classes.

    pretrained  entries of pretrained_cfg
    """
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(seed)
    network = timm.create_model(name).eval().requires_grad_(False)
    save_for_hf(network, folder, safe_serialization=True)
    if pretrained:
        config = json.loads((folder / "config.json").read_text())
        config["pretrained_cfg"].update(pretrained)
        write_json(folder / "config.json", config)
    return network
