"""Blueprint: what a folder says about its network, in one form for every layout, before any memory is taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from selection_job.encoder.folders.text_tokens import TokenMaker
from selection_job.images.preprocessing import Preprocessing

Rename = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""From tensors as the file names them to the network's; it works on the meta device as well."""


@dataclass(frozen=True)
class Blueprint:
    """One tower: how it is built, and which tensors of the file become its weights."""

    architecture: str
    """What it is called in messages and in the report."""
    identity: str
    """All that decides over its output beside weights and input."""
    build: Callable[[], nn.Module]
    """Makes the network with any weights; called on the meta device first."""
    wanted: Callable[[str], bool]
    """Whether a tensor of the file belongs to this tower."""
    rename: Rename
    heads: tuple[str, ...] = ()
    """How the names begin of what the file may have beside the network."""
    advise: Callable[[Mapping[str, Tensor]], str] = lambda _: ""
    """A sentence on what the tensors look like, where they do not fit."""


@dataclass(frozen=True)
class ImageTower:
    """The tower that embeds images, and how images are made ready for it."""

    blueprint: Blueprint
    preprocessing: Preprocessing
    """Its size is that of the folder's preprocessing."""
    made_px: int
    """The size that the tensors were made for."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    antialias: bool = True
    """Whether what was learned about places is smoothed where it is resampled to fewer."""
    licence: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextTowerPlan:
    """The tower that embeds texts."""

    blueprint: Blueprint
    """Takes token ids (b, context) int64 and gives (b, d)."""
    make_tokens: Callable[[], TokenMaker]


@dataclass(frozen=True)
class FolderPlan:
    """What a folder's configuration says."""

    image: ImageTower
    text: TextTowerPlan | None
    no_text: str = ""
    """Why texts can't be embedded, where they can't."""
