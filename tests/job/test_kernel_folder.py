"""Compiled kernels: where they are kept, and that an image's own are found where nothing else can be written."""

from pathlib import Path

import pytest

from selection_job.numeric import compiling


@pytest.fixture
def find_folder(monkeypatch, tmp_path):
    """Return a function (**environment) -> folder, as a fresh process would find it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def find(**environment):
        for key, value in environment.items():
            monkeypatch.setenv(key, str(value))
        return compiling.kernel_folder.__wrapped__()

    return find


def test_kernels_are_kept_in_numba_cache_dir_and_otherwise_in_the_users_cache(find_folder, tmp_path):
    assert find_folder().parent == tmp_path / "home/selection-operator"
    assert find_folder(NUMBA_CACHE_DIR=tmp_path / "numba").parent == tmp_path / "numba"


def test_a_folder_that_cannot_be_written_is_passed_over(find_folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert find_folder(NUMBA_CACHE_DIR=tmp_path / "file/below").parent == tmp_path / "home/selection-operator"


def test_kernels_that_an_image_ships_are_there_from_the_start(find_folder, tmp_path):
    shipped = find_folder(NUMBA_CACHE_DIR=tmp_path / "shipped")
    (shipped / "kernel.nbi").write_bytes(b"compiled")
    found = find_folder(NUMBA_CACHE_DIR=tmp_path / "empty", SELECTION_KERNELS=tmp_path / "shipped")
    assert found.parent == tmp_path / "empty"
    assert (found / "kernel.nbi").read_bytes() == b"compiled"


def test_kernels_of_other_sources_are_not_taken(find_folder, tmp_path, monkeypatch):
    before = find_folder()
    monkeypatch.setattr(compiling, "_hash_sources", lambda: "0" * 64)
    assert find_folder() != before
    assert Path(find_folder()).name == "kernels-" + "0" * 16
