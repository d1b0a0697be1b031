"""transformers' networks from timm's and open_clip's parts, by the fields of a config.json that were checked."""

from functools import partial
from typing import Any

from timm.layers import LayerNorm, SwiGLUPacked
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

Fields = dict[str, Any]
"""Of a config.json, completed by the defaults of its type."""


def build_vit(kind: str, fields: Fields) -> nn.Module:
    """Build a ViT, DINOv2 or SigLIP's image tower from the fields of its configuration."""
    width, hidden = fields["hidden_size"], fields["intermediate_size"]
    more: Fields = {"init_values": 1.0} if kind.startswith("dinov2") else {}
    if kind == "dinov2_with_registers":
        more |= {"reg_tokens": fields["num_register_tokens"], "no_embed_class": True}
    if kind == "siglip":
        more |= {"class_token": False, "global_pool": "map"}
    if kind.startswith("dinov2") and fields["use_swiglu_ffn"]:
        hidden = 2 * ((int(hidden * 2 / 3) + 7) // 8 * 8)
        more |= {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
    else:
        more |= {"act_layer": {"gelu_pytorch_tanh": "gelu_tanh"}.get(fields["hidden_act"], fields["hidden_act"])}
    network: nn.Module = VisionTransformer(
        img_size=fields["image_size"],
        patch_size=fields["patch_size"],
        embed_dim=width,
        depth=fields["num_hidden_layers"],
        num_heads=fields["num_attention_heads"],
        mlp_ratio=(hidden + 0.5) / width,
        norm_layer=partial(LayerNorm, eps=fields["layer_norm_eps"]),
        num_classes=0,
        **more,
    )
    return network


def build_dinov3(fields: Fields) -> nn.Module:
    """Build a DINOv3. Raises ValueError where its activation is none that timm's class has."""
    if fields["hidden_act"] != ("silu" if fields.get("use_gated_mlp") else "gelu"):
        raise ValueError("hidden_act is 'silu' with use_gated_mlp, and 'gelu' without")
    network: nn.Module = Eva(
        img_size=fields["image_size"],
        patch_size=fields["patch_size"],
        embed_dim=fields["hidden_size"],
        depth=fields["num_hidden_layers"],
        num_heads=fields["num_attention_heads"],
        mlp_ratio=(fields["intermediate_size"] + 0.5) / fields["hidden_size"],
        qkv_bias=True,
        init_values=1.0,
        rope_type="dinov3",
        rope_temperature=fields.get("rope_theta", 100.0),
        rope_rotate_half=True,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        num_reg_tokens=fields["num_register_tokens"],
        use_fc_norm=False,
        norm_layer=partial(LayerNorm, eps=fields["layer_norm_eps"]),
        dynamic_img_size=True,
        global_pool="token",
        num_classes=0,
        **({"swiglu_mlp": True, "swiglu_align_to": 8} if fields.get("use_gated_mlp") else {}),
    )
    return network


def as_open_clip_image(fields: Fields) -> Fields:
    """Return the arguments of open_clip's CLIPVisionCfg."""
    return {
        "image_size": fields["image_size"],
        "patch_size": fields["patch_size"],
        "width": fields["hidden_size"],
        "head_width": fields["hidden_size"] // fields["num_attention_heads"],
        "layers": fields["num_hidden_layers"],
        "mlp_ratio": (fields["intermediate_size"] + 0.5) / fields["hidden_size"],
        "norm_kwargs": {"eps": fields["layer_norm_eps"]},
    }


def as_open_clip_text(fields: Fields) -> Fields:
    """Return the arguments of open_clip's CLIPTextCfg."""
    return {
        "context_length": fields["max_position_embeddings"],
        "vocab_size": fields["vocab_size"],
        "width": fields["hidden_size"],
        "heads": fields["num_attention_heads"],
        "layers": fields["num_hidden_layers"],
        "mlp_ratio": (fields["intermediate_size"] + 0.5) / fields["hidden_size"],
        "norm_kwargs": {"eps": fields["layer_norm_eps"]},
    }


def is_quick(fields: Fields) -> bool:
    """Say whether the activation is QuickGELU, the one of OpenAI's models."""
    return bool(fields["hidden_act"] == "quick_gelu")
