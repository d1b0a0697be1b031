"""Compiling kernels with numba: one decorator, and a cache that notices a change in any of our kernels.

Numba's own cache looks at the file of the kernel alone, so a kernel that calls another file's would go on with its
old code. It also refuses to start where it can't write. Ours lies in a folder named after all of our sources, in
NUMBA_CACHE_DIR, the user's cache folder or the temporary one, whichever can be written first, and begins as a copy of
SELECTION_KERNELS, a folder that an image may ship: `python -m selection_job.numeric.compile_kernels FOLDER` fills it.
Compiled code is for one kind of processor. Where SELECTION_KERNELS is set it is a common one instead of the
machine's own, so that what an image ships fits the machines it runs on; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES overrule.
"""

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_COMMON_PROCESSORS = {  # by machine: name, and the features it promises. v3 costs 0 to 7% beside AVX-512
    "x86_64": ("x86-64-v3", ("avx2", "fma", "bmi2")),
    "aarch64": ("generic", ()),
}


def _choose_common_processor() -> None:
    """Compile for a common processor where an image ships kernels and this machine can run them."""
    name, features = _COMMON_PROCESSORS.get(platform.machine(), ("", ()))
    if not name or not os.environ.get("SELECTION_KERNELS") or "NUMBA_CPU_NAME" in os.environ:
        return
    own = llvmlite.binding.get_host_cpu_features()
    if all(own.get(feature, False) for feature in features):
        os.environ.update(NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="")
        numba.config.reload_config()


_choose_common_processor()

_COMMON = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_STRICT = {**_COMMON, "_nrt": False}
_FREE = {**_COMMON, "fastmath": {"reassoc", "contract", "nsz", "arcp"}}  # NaN and infinity keep their meaning


def compiled(kernel: Kernel) -> Kernel:
    """Return the kernel compiled at its first call and kept for later processes; sums are taken in the order written.

    No check of bounds, no interpreter lock, and no counting of references, which took up to half of the time: such a
    kernel can't make arrays or return them.
    """
    return _keep(kernel, numba.njit(**_STRICT)(kernel))


def compiled_fastmath(kernel: Kernel) -> Kernel:
    """Return the kernel compiled with sums in any order, which is faster: for what steers work, never for a result."""
    return _keep(kernel, numba.njit(**_FREE)(kernel))


def inner(kernel: Kernel) -> Kernel:
    """Return a kernel as compiled does that other kernels alone call; called from Python, it crashes.

    To unpack Python's arguments takes up to half of the time that compiling a short kernel takes.
    """
    return _keep(kernel, numba.njit(**_STRICT, no_cpython_wrapper=True)(kernel))


def inner_freely(kernel: Kernel) -> Kernel:
    """Return a kernel as compiled_fastmath does that other kernels alone call; called from Python, it crashes."""
    return _keep(kernel, numba.njit(**_FREE, no_cpython_wrapper=True)(kernel))


def _keep(kernel: Kernel, dispatcher: Any) -> Kernel:
    dispatcher._cache = _KernelCache(kernel)
    return cast(Kernel, dispatcher)


def is_kept(kernel: Callable[..., Any]) -> bool:
    """Say whether compiled code of the kernel is kept, for whatever types."""
    return bool(cast(Any, kernel)._cache._cache_file._load_index())


@functools.cache
def kernel_folder() -> Path:
    """Return the folder of compiled kernels, made if need be and filled from SELECTION_KERNELS."""
    name = f"kernels-{_hash_sources()[:16]}"
    for base in _list_bases():
        folder = base / name
        with contextlib.suppress(OSError):
            shipped = Path(os.environ.get("SELECTION_KERNELS") or "/nowhere", name)
            if shipped.is_dir() and not folder.exists():
                shutil.copytree(shipped, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    raise RuntimeError("no folder for compiled kernels can be written; set NUMBA_CACHE_DIR to one")


def _list_bases() -> list[Path]:
    given = os.environ.get("NUMBA_CACHE_DIR")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    temporary = Path(tempfile.gettempdir(), f"selection-operator-{os.getuid()}")
    return [*([Path(given)] if given else []), cache / "selection-operator", temporary]


@functools.cache
def _hash_sources() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Say to numba where a kernel is kept and what it was made from."""

    def __init__(self, kernel: Any, file: str) -> None:
        self._disambiguator = f"{Path(file).stem}-{kernel.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        return str(kernel_folder())

    def get_source_stamp(self) -> str:
        return _hash_sources()

    def get_disambiguator(self) -> str:
        return self._disambiguator

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _KernelImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _KernelCache(FunctionCache):  # type: ignore[misc]
    _impl_class = _KernelImpl
