"""Renaming: tensors as transformers writes them, under the names and in the shapes of timm and open_clip.

Everything here works on the meta device too, so that shapes are compared before memory is taken.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_OUTER = ("dinov2_with_registers.", "dinov2.", "vit.", "model.")
"""What models with a head of their own put before the names of the network."""
_HEADS = ("classifier.", "pooler.", "decode_head.", "auxiliary_head.", "embeddings.mask_token", "mask_token")
"""What is no part of the vectors: heads, and what only training uses."""
_VIT = (
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.register_tokens", "reg_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.(?:projection\.)?(weight|bias)", r"patch_embed.proj.\1"),
    (r"(?:encoder\.)?layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.([qkvo])_proj\.", r".attn.\1_proj."),
    (r"\.layer_scale([12])\.lambda1", r".ls\1.gamma"),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
)
_EVA = (
    (r"\.ls([12])\.gamma", r".gamma_\1"),
    (r"\.attn\.o_proj\.", ".attn.proj."),
    (r"\.mlp\.gate_proj\.", ".mlp.fc1_g."),
)
_CLIP = (
    (r"^(?:vision_model|text_model)\.", ""),
    (r"^embeddings\.class_embedding", "class_embedding"),
    (r"^embeddings\.patch_embedding\.", "conv1."),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^embeddings\.token_embedding\.", "token_embedding."),
    (r"^pre_layrnorm\.", "ln_pre."),
    (r"^post_layernorm\.", "ln_post."),
    (r"^final_layer_norm\.", "ln_final."),
    (r"^encoder\.layers\.(\d+)\.", r"transformer.resblocks.\1."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.self_attn\.", ".attn."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"^head\.", "text_projection."),
)
_SIGLIP_IMAGE = (
    (r"^vision_model\.", ""),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight", "pos_embed"),
    (r"^encoder\.layers\.(\d+)\.", r"blocks.\1."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.", ".attn."),
    (r"^post_layernorm\.", "norm."),
    (r"^head\.probe", "attn_pool.latent"),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.attention\.", "attn_pool."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
)
_QKV = re.compile(r"(.*\.attn)\.(?:query|q_proj)\.(weight|bias)")


def is_of_vit(name: str) -> bool:
    """Say whether a tensor of DINOv2, DINOv3 or ViT decides over its vectors."""
    return not _strip(name).startswith(_HEADS)


def rename_vit(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename ViT and DINOv2 for timm's VisionTransformer."""
    return _join_qkv(_substitute(_stripped(tensors), _VIT))


def rename_registers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename DINOv2 with registers: timm adds the class token's place to the token itself."""
    renamed = rename_vit(tensors)
    places = renamed["pos_embed"]
    renamed["cls_token"] = renamed["cls_token"] + places[:, :1]
    renamed["pos_embed"] = places[:, 1:].clone()
    return renamed


def rename_dinov3(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename DINOv3 for timm's Eva, which has no bias of the keys."""
    found = _substitute(_substitute(_stripped(tensors), _VIT), _EVA)
    gated = any(".mlp.fc1_g." in name for name in found)
    mlp = ((r"\.mlp\.up_proj\.", ".mlp.fc1_x." if gated else ".mlp.fc1."), (r"\.mlp\.down_proj\.", ".mlp.fc2."))
    renamed: dict[str, Tensor] = {}
    for name, tensor in _substitute(found, mlp).items():
        if name.endswith(".attn.q_proj.weight"):
            start = name.removesuffix("q_proj.weight")
            parts = [found[f"{start}{part}_proj.weight"] for part in "qkv"]
            renamed[f"{start}qkv.weight"] = torch.cat(parts)
        elif name.endswith((".attn.q_proj.bias", ".attn.v_proj.bias")):
            renamed[name.replace("_proj.bias", "_bias")] = tensor
        elif not name.endswith((".attn.k_proj.weight", ".attn.v_proj.weight")):
            renamed[name] = tensor
    return renamed


def rename_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a tower of CLIP, or SigLIP's text tower, for open_clip's."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in _join_qkv(_substitute(tensors, _CLIP)).items():
        if name == "visual_projection.weight":
            renamed["proj"] = tensor.T.contiguous()
        elif name == "text_projection.weight" and name in tensors:  # CLIP's; SigLIP's has a bias and stays as it is
            renamed["text_projection"] = tensor.T.contiguous()
        else:
            renamed[re.sub(r"\.attn\.qkv\.", ".attn.in_proj_", name)] = tensor
    return renamed


def rename_siglip_image(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename SigLIP's image tower for timm's VisionTransformer with attention pooling."""
    renamed = _join_qkv(_substitute(tensors, _SIGLIP_IMAGE))
    renamed["pos_embed"] = renamed["pos_embed"][None]
    for end in ("weight", "bias"):
        joined = renamed.pop(f"attn_pool.in_proj_{end}")
        width = joined.shape[0] // 3
        renamed[f"attn_pool.q.{end}"] = joined[:width].clone()
        renamed[f"attn_pool.kv.{end}"] = joined[width:].clone()
    return renamed


def _stripped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_strip(name): tensor for name, tensor in tensors.items()}


def _strip(name: str) -> str:
    for outer in _OUTER:
        name = name.removeprefix(outer)
    return name


def _substitute(tensors: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901 -- rules follow one another
        renamed[name] = tensor
    return renamed


def _join_qkv(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join queries, keys and values, which timm and open_clip keep in one tensor."""
    renamed = dict(tensors)
    for name in tensors:
        match = _QKV.fullmatch(name)
        if match is None:
            continue
        start, end = match.groups()
        parts = ("query", "key", "value") if ".query." in name else ("q_proj", "k_proj", "v_proj")
        renamed[f"{start}.qkv.{end}"] = torch.cat([renamed.pop(f"{start}.{part}.{end}") for part in parts])
    return renamed
