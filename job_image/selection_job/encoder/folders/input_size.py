"""Input size: a network that was made for pictures of one size, made ready for another."""

import torch
from open_clip.transformer import VisionTransformer as ClipVisionTransformer
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from selection_job.encoder.folders.open_clip_import import open_clip
from selection_job.encoder.folders.unusable_folder import UnusableFolder, explain_failure

MOST_PLACES = 10_000
"""Patches of a picture: 1024 pixels in patches of 14 are 5,329."""


def set_input_size(network: nn.Module, size_px: int, *, own_px: int, antialias: bool = True) -> None:
    """Resample what the network learned about places, in the network itself; convolutions need nothing.

    own_px     what it was made for
    antialias  as Blueprint's tower says
    Raises UnusableFolder where the network takes no other size.
    """
    if size_px == own_px:
        return
    try:
        if isinstance(network, ClipVisionTransformer):
            _resample_clip(network, size_px)
        else:
            trunk = network.trunk if isinstance(network, open_clip.timm_model.TimmModel) else network
            _resample_timm(trunk, size_px, antialias)
    except Exception as error:
        raise UnusableFolder(
            f"the network is made for {own_px} pixels and can't take spec.workerConfig.encoder_config.input_size "
            f"{size_px}: {explain_failure(error)}"
        ) from error


def _resample_timm(network: nn.Module, size_px: int, antialias: bool) -> None:
    resize = getattr(network, "set_input_size", None)
    if not callable(resize):
        return
    places = getattr(network, "pos_embed", None)
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    resize((size_px, size_px))
    if antialias or places is None or grid is None:
        return
    assert isinstance(network, VisionTransformer)
    prefix = 0 if network.no_embed_class else network.num_prefix_tokens
    resampled = resample_abs_pos_embed(
        places, list(network.patch_embed.grid_size), old_size=list(grid), num_prefix_tokens=prefix, antialias=False
    )
    network.pos_embed = nn.Parameter(resampled, requires_grad=False)


def _resample_clip(network: ClipVisionTransformer, size_px: int) -> None:
    patch_px = network.patch_size[0]
    if size_px % patch_px:
        raise ValueError(f"expected a multiple of {patch_px}, the edge of a patch")
    grid = (size_px // patch_px, size_px // patch_px)
    places = resample_abs_pos_embed(
        network.positional_embedding[None], list(grid), old_size=list(network.grid_size), num_prefix_tokens=1
    )
    network.positional_embedding = nn.Parameter(places[0].contiguous(), requires_grad=False)
    network.image_size, network.grid_size = (size_px, size_px), grid


def _count_places(network: nn.Module) -> int:
    """Return how many patches a transformer sees; attention takes the square of it. 0 where there are none."""
    trunk = network.trunk if isinstance(network, open_clip.timm_model.TimmModel) else network
    grid = getattr(trunk, "grid_size", None) or getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
    return int(grid[0] * grid[1]) if isinstance(grid, tuple) and len(grid) == 2 else 0


def measure_output(network: nn.Module, size_px: int) -> int:
    """Return d of the (1, d) that the network makes of a grey picture; num_features is not it for every family.

    Raises UnusableFolder where it makes something else, or fails at this size.
    """
    if (places := _count_places(network)) > MOST_PLACES:
        raise UnusableFolder(
            f"the network would see {places:,} patches of each picture of {size_px} pixels; the limit is "
            f"{MOST_PLACES:,}. Set spec.workerConfig.encoder_config.input_size smaller"
        )
    try:
        with torch.inference_mode():
            output = network(torch.zeros(1, 3, size_px, size_px))
    except Exception as error:
        raise UnusableFolder(
            f"the network fails with pictures of {size_px} pixels: {explain_failure(error)}. Another size is set with "
            "spec.workerConfig.encoder_config.input_size"
        ) from error
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else ()
    if len(shape) != 2 or shape[1] == 0 or not bool(torch.isfinite(output).all()):
        raise UnusableFolder("the network does not make one vector of finite numbers of a picture")
    return shape[1]
