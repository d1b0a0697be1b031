"""Converting: a pickle of weights on this machine becomes a safetensors file, which no code can hide in.

The pickle is read weights-only: tensors and plain containers, and nothing that could run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from selection_job.encoder.checkpoints import is_plain_tensor, load_plainly, unwrap_key
from selection_job.encoder.folders.folder_files import MOST_WEIGHT_BYTES, OPEN_CLIP_WEIGHTS, WEIGHTS, is_pickle
from selection_job.encoder.folders.tensor_files import MOST_PARAMETERS, MOST_TENSORS
from selection_job.errors import StorageRefused, StorageUnavailable, UnusableData

_OPEN_CLIP_PICKLE = "open_clip_pytorch_model.bin"
_INNER = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the weights, beside what only they need."""


def convert_encoder(folder: Path) -> Path:
    """Write model.safetensors, or open_clip_model.safetensors, of the pickle in a folder, and return its path.

    Raises UnusableData where there is no pickle or more than one, where it holds more than tensors, and where the file
    to write is there already.
    """
    pickle = _find_pickle(folder)
    target = folder / (OPEN_CLIP_WEIGHTS if pickle.name == _OPEN_CLIP_PICKLE else WEIGHTS)
    if target.exists():
        raise UnusableData(f"{target} is there already; {pickle.name} was left alone.")
    if pickle.stat().st_size > MOST_WEIGHT_BYTES:
        raise UnusableData(f"{pickle} has {pickle.stat().st_size:,} bytes; the limit is {MOST_WEIGHT_BYTES:,}.")
    tensors = _take_tensors(load_plainly(pickle, str(pickle)), pickle)
    part = target.with_name(f"{target.name}.part")
    try:
        save_file(tensors, part)
        part.rename(target)
    except PermissionError as error:
        raise StorageRefused(f"{target} can't be written: {error.strerror}.") from error
    except OSError as error:
        raise StorageUnavailable(f"{target} can't be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _find_pickle(folder: Path) -> Path:
    if not folder.is_dir():
        raise UnusableData(
            f"{folder} is no folder of this machine. Give the one with the pickle, such as ./dinov2-small."
        )
    pickles = sorted(path for path in folder.iterdir() if is_pickle(path.name) and path.is_file())
    if len(pickles) == 1:
        return pickles[0]
    if not pickles:
        raise UnusableData(f"{folder} has no *.bin, *.pt or *.pth: there is nothing to convert.")
    names = ", ".join(repr(path.name) for path in pickles[:5])
    raise UnusableData(f"{folder} has {len(pickles)} pickles: {names}. Leave the one that holds the weights.")


def _take_tensors(content: Any, pickle: Path) -> dict[str, Tensor]:
    """Return the weights by name, each with memory of its own; what hostile files claim is refused before that."""
    for key in _INNER:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise UnusableData(f"{pickle} does not hold tensors by their names.")
    found = {key: value for key, value in content.items() if is_plain_tensor(value)}
    if not found:
        raise UnusableData(f"{pickle} holds no tensors.")
    numbers = sum(tensor.numel() for tensor in found.values())
    if len(found) > MOST_TENSORS or numbers > MOST_PARAMETERS:
        raise UnusableData(
            f"{pickle} has {len(found):,} tensors with {numbers:,} numbers; the limits are {MOST_TENSORS:,} and "
            f"{MOST_PARAMETERS:,}."
        )
    for key, tensor in found.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UnusableData(f"{pickle}: {key!r} claims more numbers than it holds.")
    return {unwrap_key(key): tensor.detach().contiguous().clone() for key, tensor in found.items()}
