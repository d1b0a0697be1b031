"""Checkpoints: read without running anything in them, matched to the network, written so that lightly-embed reads them.

A bucket is hostile: a checkpoint is a pickle, and a pickle can run code. Everything here loads with weights_only=True,
which knows tensors and plain containers, and the few classes that foreign_values.py has stand-ins for.
"""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selection_job.encoder.architecture import SimCLR, describe_weights
from selection_job.encoder.foreign_values import STAND_INS
from selection_job.errors import StorageUnavailable, UnusableData

_OURS = "selection_operator"
_HEAD = "projection_head."
_WRAPPERS = frozenset({"module", "_orig_mod"})
"""Parts of keys that DataParallel and torch.compile put in."""
_LISTED_MISMATCHES = 3


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds, in this version's names."""

    name: str
    """How the user knows the file; messages use it."""
    weights: dict[str, Tensor]
    """backbone.* and projection_head.*, on the CPU. The head may be missing: embeddings come from the backbone."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What write_checkpoint was given; {} in a checkpoint of lightly's."""

    @property
    def has_head(self) -> bool:
        """Whether a projection head is there, which only training needs."""
        return any(key.startswith(_HEAD) for key in self.weights)


def read_checkpoint(path: Path, *, name: str = "") -> Checkpoint:
    """Read a checkpoint of ours, of lightly-ssl-train or of lightly's model zoo, or a bare state_dict.

    Raises UnusableData where the file is missing, is no checkpoint, holds code, or holds numbers that are not finite.
    """
    name = name or str(path)
    content = load_plainly(path, name)
    if _is_state_dict(content):
        content = {"state_dict": content}
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        found = f"the keys {sorted(map(str, content))[:5]}" if isinstance(content, dict) else type(content).__name__
        raise UnusableData(
            f"Checkpoint {name!r} has no 'state_dict': it holds {found}. "
            "Expected a checkpoint of lightly-ssl-train or of an earlier run (lightly_epoch_N.ckpt)."
        )
    weights = _rename(content["state_dict"], name)
    settings = content.get(_OURS)
    return Checkpoint(name, weights, settings if isinstance(settings, dict) else {})


def _is_state_dict(content: object) -> bool:
    """Say whether it is what torch.save(model.state_dict(), file) writes: tensors by the modules that they are in."""
    return (
        isinstance(content, dict)
        and all(isinstance(value, Tensor) for value in content.values())
        and any("." in key for key in content if isinstance(key, str))
    )


def apply_checkpoint(checkpoint: Checkpoint, model: SimCLR) -> None:
    """Put the checkpoint's weights into the model; a projection head that is not there stays as it was built.

    Raises UnusableData where the network is another one, with the first keys and shapes that differ and what
    lightlyConfig.model has to say to fit.
    """
    built = model.state_dict()
    expected = {key: tensor for key, tensor in built.items() if checkpoint.has_head or not key.startswith(_HEAD)}
    mismatches = [
        f"{key} is {_shape(checkpoint.weights, key)}, expected {_shape(expected, key)}"
        for key in sorted(expected.keys() | checkpoint.weights.keys())
        if _shape(expected, key) != _shape(checkpoint.weights, key)
    ]
    if mismatches:
        shown = "; ".join(mismatches[:_LISTED_MISMATCHES])
        raise UnusableData(
            f"Checkpoint {checkpoint.name!r} does not fit spec.lightlyConfig.model: {shown} "
            f"(tensors that differ: {len(mismatches)}; it has {len(expected)}). {_advise(checkpoint.weights, expected)}"
        )
    # only now: a hostile tensor can claim 10^12 numbers in a file of 4 bytes
    for key, tensor in checkpoint.weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UnusableData(
                f"Checkpoint {checkpoint.name!r}: {key} is not finite everywhere; its training diverged."
            )
    model.load_state_dict({**built, **checkpoint.weights})


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], *, settings: Mapping[str, Any]) -> None:
    """Write a checkpoint that lightly-embed 1.6 loads; readers see the old file or the new one, never a part.

    weights   the model's state_dict, backbone.* and projection_head.*, on any device
    settings  plain values and tensors for ourselves, given back by read_checkpoint

    Raises StorageUnavailable where the disk is full.
    """
    content = {
        "state_dict": {f"model.{key}": tensor.detach().cpu().contiguous() for key, tensor in weights.items()},
        _OURS: dict(settings),
    }
    # Through memory: torch names the archive after the file it writes to, and two equal runs should write equal files.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(buffer.getbuffer())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageUnavailable(f"Checkpoint {path} can't be written: {error.strerror or error}.") from error


def load_plainly(path: Path, name: str) -> Any:
    """Return what torch.save wrote, where that is tensors and plain containers; name is how the user knows the file.

    Raises UnusableData where the file is missing, is no checkpoint, is compressed or holds code.
    """
    try:
        _refuse_compressed(path, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's remarks on odd files; what is wrong is said below
            with torch.serialization.safe_globals(STAND_INS):
                return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnusableData(f"Checkpoint {name!r} does not exist.") from None
    except UnusableData:
        raise
    except pickle.UnpicklingError as error:
        raise UnusableData(_explain_unpickling(error, name)) from error
    except Exception as error:  # whatever a hostile or damaged file makes torch raise
        reason = str(error).partition("\n")[0]
        raise UnusableData(
            f"Checkpoint {name!r} can't be read: it is damaged or no checkpoint ({type(error).__name__}: {reason})."
        ) from error


def _explain_unpickling(error: pickle.UnpicklingError, name: str) -> str:
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign is None:
        return f"Checkpoint {name!r} can't be read: it is damaged or no checkpoint."
    return (
        f"Checkpoint {name!r} is refused: besides tensors and plain values it holds a Python object, {foreign[1]}, "
        "which could run code when loaded. Save it again with torch.save({'state_dict': model.state_dict()}, file)."
    )


def _refuse_compressed(path: Path, name: str) -> None:
    """Refuse a zip that unpacks to more than its own size: torch never compresses, a zip bomb does."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    if unpacked_bytes > path.stat().st_size:
        raise UnusableData(f"Checkpoint {name!r} is refused: it is compressed, which torch.save never does.")


def _rename(state_dict: Mapping[Any, Any], name: str) -> dict[str, Tensor]:
    """Give old and prefixed keys their names of today, as lightly's own loader does."""
    unwrapped = {key: unwrap_key(key) for key in state_dict if isinstance(key, str)}
    is_prefixed = any(key.startswith("model.") for key in unwrapped.values())
    weights: dict[str, Any] = {}
    for key, plain in unwrapped.items():
        if is_prefixed and not plain.startswith("model."):
            continue  # beside the model a Lightning checkpoint may hold the loss's buffers
        renamed = _rename_key(plain.removeprefix("model."))
        if renamed in weights:
            raise UnusableData(
                f"Checkpoint {name!r} has {renamed} twice, once as {key}: save one of the networks alone."
            )
        weights[renamed] = state_dict[key]
    for key, tensor in weights.items():
        if not is_plain_tensor(tensor):
            raise UnusableData(f"Checkpoint {name!r}: {key} is a {type(tensor).__name__}, expected a dense tensor.")
    return weights


def is_plain_tensor(value: Any) -> bool:
    """Say whether it is a dense tensor of real numbers on the CPU."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
    )


def unwrap_key(key: str) -> str:
    """Return the key without what wrapping a module puts into it.

    >>> unwrap_key("module.model.backbone.0.weight"), unwrap_key("model.module.backbone._orig_mod.0.weight")
    ('model.backbone.0.weight', 'model.backbone.0.weight')
    """
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _rename_key(key: str) -> str:
    parts = ["backbone" if part == "features" else part for part in key.split(".")]
    if parts[0] in ("projection_head", "prediction_head") and "layers" not in parts:
        parts.insert(1, "layers")
    return ".".join(parts)


def _shape(weights: Mapping[str, Tensor], key: str) -> str:
    return "x".join(map(str, weights[key].shape)) or "a number" if key in weights else "missing"


def _advise(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    found = describe_weights(weights)
    if not found:
        return "It is not a network of lightly's command line; train one, or name another checkpoint."
    asked = describe_weights(expected)
    return f"It holds {found}; the manifest asks for {asked}. Set spec.lightlyConfig.model to what it holds."
