"""Loading an encoder from its folder: which layout it is, its image tower, and its text tower where texts are asked.

Nothing of the folder is executed, nothing is fetched from elsewhere, and no memory is taken before sizes are checked.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from selection_job.encoder.encoder import Encoder, fingerprint_weights
from selection_job.encoder.folders.blueprint import FolderPlan
from selection_job.encoder.folders.folder_files import (
    CONFIG,
    INDEX,
    OPEN_CLIP_CONFIG,
    OPEN_CLIP_WEIGHTS,
    WEIGHTS,
    FolderFiles,
    list_folder,
)
from selection_job.encoder.folders.input_size import measure_output, set_input_size
from selection_job.encoder.folders.networks import make_network
from selection_job.encoder.folders.open_clip_layout import plan_open_clip
from selection_job.encoder.folders.tensor_files import TensorFiles, read_tensor_files
from selection_job.encoder.folders.timm_layout import plan_timm
from selection_job.encoder.folders.transformers_layout import plan_transformers
from selection_job.encoder.folders.unusable_folder import UnusableFolder, name_folder
from selection_job.encoder.pixel_network import PixelNetwork
from selection_job.encoder.text_tower import TextTower, TokenTextTower
from selection_job.images.preprocessing import Preprocessing, Resize
from selection_job.stores.store import Store

FOLDERS_OWN = -1
"""As an input size: the folder's own."""
_LARGEST_SCALE = 1e6
_LAYOUTS = (
    "Expected open_clip_config.json (open_clip), or config.json with 'architecture' (timm) or a known 'model_type' "
    "(transformers), and the weights as *.safetensors"
)


@dataclass(frozen=True)
class _Opened:
    plan: FolderPlan
    tensors: TensorFiles


def load_encoder_folder(
    store: Store, key: str, scratch: Path, *, input_size_px: int = FOLDERS_OWN, resize: Resize | None = None
) -> Encoder:
    """Load the image tower of a folder; for a CLIP its vectors lie in the space that texts share.

    key     of the folder in the store
    resize  None for what the folder says

    Raises UnusableData with the folder, the file and the key that is wrong.
    """
    files = list_folder(store, key, scratch)
    with name_folder(files.url):
        return _load_image(_open(files), input_size_px, resize, source=f"encoder {files.key}")


def load_text_tower(
    store: Store,
    key: str,
    scratch: Path,
    *,
    input_size_px: int = FOLDERS_OWN,
    resize: Resize | None = None,
    image_fingerprint: str = "",
) -> TextTower:
    """Load the text tower of a folder.

    image_fingerprint  of the encoder from the same folder; '' to load that as well, to learn it

    Raises UnusableData where the folder has none, as well as load_encoder_folder does.
    """
    files = list_folder(store, key, scratch)
    with name_folder(files.url):
        opened = _open(files)
        if opened.plan.text is None:
            raise UnusableFolder(opened.plan.no_text)
        fingerprint = image_fingerprint or _load_image(opened, input_size_px, resize, source="").fingerprint
        return _load_text(opened, fingerprint, files.url)


def _open(files: FolderFiles) -> _Opened:
    if OPEN_CLIP_CONFIG not in files and CONFIG not in files:
        raise UnusableFolder(f"holds no configuration of a network. {files.describe()}. {_LAYOUTS}")
    weights = OPEN_CLIP_WEIGHTS if OPEN_CLIP_CONFIG in files and OPEN_CLIP_WEIGHTS in files else WEIGHTS
    if weights not in files and INDEX not in files:
        raise UnusableFolder(_explain_no_weights(files))
    tensors = read_tensor_files(files, weights)
    return _Opened(_read_plan(files, tensors), tensors)


def _read_plan(files: FolderFiles, tensors: TensorFiles) -> FolderPlan:
    """Read the configuration that belongs to the weights: a repository may hold several forms side by side."""
    is_clip = any(name.startswith("visual.") for name in tensors.entries)
    if OPEN_CLIP_CONFIG in files and (is_clip or CONFIG not in files):
        return plan_open_clip(files)
    config = files.read_object(CONFIG)
    if "architecture" in config:
        return plan_timm(config)
    if "model_type" in config:
        return plan_transformers(config, files, tensors)
    raise UnusableFolder(f"{CONFIG} has neither 'architecture' nor 'model_type'. {_LAYOUTS}")


def _explain_no_weights(files: FolderFiles) -> str:
    if files.pickles:
        return (
            f"has {files.pickles[0]!r} and no *.safetensors. A pickle can hold code; take the repository's "
            "model.safetensors, or convert it: selection-job convert-encoder FOLDER"
        )
    return f"has no weights: expected {WEIGHTS}, or {INDEX} and its files. {files.describe()}"


def _load_image(opened: _Opened, input_size_px: int, resize: Resize | None, *, source: str) -> Encoder:
    tower = opened.plan.image
    size_px = tower.preprocessing.size_px if input_size_px == FOLDERS_OWN else input_size_px
    network = make_network(tower.blueprint, opened.tensors)
    set_input_size(network, size_px, own_px=tower.made_px, antialias=tower.antialias)
    preprocessing = _choose_preprocessing(tower.preprocessing, size_px, resize)
    kind = f"{tower.blueprint.identity} {preprocessing} {tower.mean} {tower.std}"
    return Encoder(
        model=network,
        make_network=partial(PixelNetwork, network, mean=tower.mean, std=tower.std),
        preprocessing=preprocessing,
        dimensions=measure_output(network, size_px),
        fingerprint=fingerprint_weights(kind, network.state_dict()),
        source=source,
        name=tower.blueprint.architecture,
        licence=tower.licence,
        notes=tower.notes,
    )


def _choose_preprocessing(own: Preprocessing, size_px: int, resize: Resize | None) -> Preprocessing:
    if resize in (None, own.resize):
        return replace(own, size_px=size_px)
    return Preprocessing(size_px, resize=resize, interpolation=own.interpolation)


def _load_text(opened: _Opened, image_fingerprint: str, url: str) -> TextTower:
    plan = opened.plan.text
    assert plan is not None
    tokens = plan.make_tokens()

    def make_tokens(texts: Sequence[str]) -> Tensor:
        with name_folder(url):
            return tokens.make(texts)

    network = make_network(plan.blueprint, opened.tensors)
    fingerprint = fingerprint_weights(f"{plan.blueprint.identity} {tokens.fingerprint}", network.state_dict())
    return TokenTextTower(
        network,
        make_tokens,
        scale=_read_scale(opened.tensors, "logit_scale"),
        fingerprint=fingerprint,
        image_fingerprint=image_fingerprint,
    )


def _read_scale(tensors: TensorFiles, key: str) -> float:
    """Return exp of the model's logit_scale."""
    entry = tensors.entries.get(key)
    if entry is None or math.prod(entry.shape) != 1:
        raise UnusableFolder(f"{tensors.name}: {key}, the scale between cosines and probabilities, is not one number")
    scale = float(tensors.load(lambda name: name == key)[key].exp().reshape(()))
    if not 0 < scale <= _LARGEST_SCALE:
        raise UnusableFolder(f"{tensors.name}: {key} gives a scale of {scale:g}, expected at most {_LARGEST_SCALE:g}")
    return scale
