"""Values in checkpoints that people bring and nobody here needs: NumPy scalars, paths, an argparse.Namespace.

torch.load(weights_only=True) refuses a file for any class that it does not know, wherever in the file it stands. The
names below are read as ForeignValue in place of the real class, so nothing of NumPy or argparse runs on what a
hostile file says: whatever is asked of a ForeignValue, it takes and forgets.
"""

from collections.abc import Callable
from typing import Any, Self

_NAMES = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{maker}" for core in ("core", "_core") for maker in ("scalar", "_reconstruct")),
    *(
        f"{module}.{kind}"
        for module in ("pathlib", "pathlib._local")
        for kind in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
    ),
    "datetime.datetime",
    "datetime.timedelta",
)


class ForeignValue:
    """What stands in for such a value: it keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Self:
        """Take any arguments, those of the class that it stands for."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [(ForeignValue, name) for name in _NAMES]
"""As torch.serialization.safe_globals takes them."""
