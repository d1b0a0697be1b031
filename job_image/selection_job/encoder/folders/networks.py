"""Networks: built from a blueprint without memory first, compared with the file's shapes, and only then filled."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from selection_job.encoder.folders.blueprint import Blueprint
from selection_job.encoder.folders.config_rules import describe_key
from selection_job.encoder.folders.tensor_files import MOST_PARAMETERS, TensorFiles
from selection_job.encoder.folders.unusable_folder import UnusableFolder, explain_failure

_LISTED_MISMATCHES = 3
_COUNTER = "num_batches_tracked"
"""BatchNorm's count of batches, which no output depends on."""
_COMPUTED = ("relative_position_index", "relative_coords_table", "attn_mask", "position_ids", "rope.periods")
"""Ends of the names of what networks compute when they are built, and some once wrote into their files."""


def make_network(blueprint: Blueprint, tensors: TensorFiles) -> nn.Module:
    """Build the network with the file's weights: on the CPU, float32, in eval mode, without gradients.

    Raises UnusableFolder where it can't be built, where shapes or types differ, or where numbers are not finite.
    """
    with torch.device("meta"):
        outline = _build(blueprint)
    parameters = sum(parameter.numel() for parameter in outline.parameters())
    if parameters > MOST_PARAMETERS:
        raise UnusableFolder(
            f"{blueprint.architecture} would have {parameters:,} parameters; the limit is {MOST_PARAMETERS:,}"
        )
    expected = outline.state_dict()
    _compare(expected, _rename(blueprint, tensors.outline(blueprint.wanted), expected), blueprint, tensors.name)
    network = _build(blueprint)
    weights = _rename(blueprint, tensors.load(blueprint.wanted), expected)
    counters = {key: value for key, value in network.state_dict().items() if key.endswith(_COUNTER)}
    network.load_state_dict({**counters, **weights}, assign=True)
    return network.eval().requires_grad_(False)


def _build(blueprint: Blueprint) -> nn.Module:
    try:
        return blueprint.build()
    except Exception as error:
        raise UnusableFolder(
            f"{blueprint.architecture} can't be built as its configuration says: {explain_failure(error)}"
        ) from error


def _rename(blueprint: Blueprint, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the network's names, without what networks compute themselves."""
    try:
        renamed = blueprint.rename(tensors)
        beside = blueprint.heads
        return {
            key: value
            for key, value in renamed.items()
            if key in expected or not (key.endswith(_COMPUTED) or key.startswith(beside))
        }
    except (KeyError, RuntimeError, IndexError) as error:
        raise UnusableFolder(
            f"the weights do not fit {blueprint.architecture}: {explain_failure(error)} is missing or has another shape"
            f"{blueprint.advise(tensors)}"
        ) from None


def _compare(expected: dict[str, Tensor], found: dict[str, Tensor], blueprint: Blueprint, name: str) -> None:
    needed = {key: tensor for key, tensor in expected.items() if not key.endswith(_COUNTER) or key in found}
    mismatches = [
        f"{describe_key(key)} is {_shape(found, key)}, expected {_shape(needed, key) if key in needed else 'no such'}"
        for key in sorted(needed.keys() | found.keys())
        if _shape(found, key) != _shape(needed, key)
    ]
    if mismatches:
        shown = "; ".join(mismatches[:_LISTED_MISMATCHES])
        raise UnusableFolder(
            f"{name} does not fit {blueprint.architecture}: {shown} ({len(mismatches):,} of {len(needed):,} tensors "
            f"differ){blueprint.advise(found)}"
        )


def _shape(tensors: Mapping[str, Tensor], key: str) -> str:
    """Return a tensor's shape in words, with its type where that is not float32."""
    if key not in tensors:
        return "missing"
    tensor = tensors[key]
    shape = "x".join(map(str, tensor.shape)) or "a number"
    return shape if tensor.dtype == torch.float32 else f"{shape} of {str(tensor.dtype).removeprefix('torch.')}"
