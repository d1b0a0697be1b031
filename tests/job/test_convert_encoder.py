"""`selection-job convert-encoder FOLDER`: a pickle becomes safetensors, weights-only."""

import os

import pytest
import torch
from encoder_folders import CLIP_CONFIG, write_open_clip, write_timm
from safetensors.torch import load_file

from selection_job.__main__ import main
from selection_job.encoder.folders.loading import load_encoder_folder
from selection_job.stores.local.store import LocalStore


@pytest.fixture
def convert(tmp_path, capsys):
    """Run the command on tmp_path/encoder; return (exit code, what it said)."""

    def run():
        code = main(["convert-encoder", str(tmp_path / "encoder")], termination_message=tmp_path / "word")
        return code, "".join(capsys.readouterr())

    (tmp_path / "encoder").mkdir()
    return run


def _fingerprint(root):
    return load_encoder_folder(LocalStore(root), "encoder", root / "scratch").fingerprint


@pytest.mark.parametrize("wrap", [dict, lambda tensors: {"state_dict": tensors, "epoch": 3}], ids=["plain", "training"])
def test_the_converted_encoder_is_the_same(tmp_path, convert, wrap):
    folder = tmp_path / "encoder"
    write_timm(folder, "test_efficientnet")
    before = _fingerprint(tmp_path)
    torch.save(wrap(load_file(folder / "model.safetensors")), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    code, said = convert()
    assert code == 0
    assert said.startswith(f"Wrote {folder}/model.safetensors (")
    assert _fingerprint(tmp_path) == before
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "pytorch_model.bin"]
    code, said = convert()
    assert code == 3
    assert "is there already; pytorch_model.bin was left alone" in said


def test_open_clip_s_pickle_gets_open_clip_s_name(tmp_path, convert):
    folder = tmp_path / "encoder"
    network = write_open_clip(folder, CLIP_CONFIG)
    before = _fingerprint(tmp_path)
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "open_clip_pytorch_model.bin")
    assert convert()[0] == 0
    assert (folder / "open_clip_model.safetensors").is_file()
    assert _fingerprint(tmp_path) == before


def test_tensors_that_share_memory_are_written_each(tmp_path, convert):
    shared = torch.arange(6.0)
    torch.save({"a": shared, "b": shared.reshape(2, 3).T}, tmp_path / "encoder/x.pt")
    assert convert()[0] == 0
    written = load_file(tmp_path / "encoder/model.safetensors")
    assert torch.equal(written["b"], shared.reshape(2, 3).T)


class _Command:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_the_code_not_run(tmp_path, convert):
    torch.save({"a": torch.zeros(1), "b": _Command(tmp_path / "ran")}, tmp_path / "encoder/pytorch_model.bin")
    code, said = convert()
    assert code == 3
    assert "which could run code when loaded" in said
    assert not (tmp_path / "ran").exists()
    assert [path.name for path in (tmp_path / "encoder").iterdir()] == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "does not hold tensors by their names"),
        ({"a": 1}, "holds no tensors"),
        ({"a": torch.zeros(1).expand(10**6)}, "'a' claims more numbers than it holds"),
        ({"a": torch.zeros(1).expand(10**12)}, "1,000,000,000,000 numbers; the limits are 20,000 and 3,000,000,000"),
    ],
    ids=["list", "number", "expanded", "huge"],
)
def test_what_is_no_weights_is_refused(tmp_path, convert, content, reason):
    torch.save(content, tmp_path / "encoder/pytorch_model.bin")
    code, said = convert()
    assert (code, reason in said) == (3, True), said


def test_which_pickle_is_meant_is_not_guessed(tmp_path, convert):
    assert convert() == (
        3,
        f"selection-job: {tmp_path}/encoder has no *.bin, *.pt or *.pth: there is nothing to convert.\n",
    )
    for name in ("a.pt", "b.bin"):
        torch.save({"a": torch.zeros(1)}, tmp_path / "encoder" / name)
    assert "has 2 pickles: 'a.pt', 'b.bin'. Leave the one that holds the weights." in convert()[1]


def test_a_folder_that_is_not_there(tmp_path, convert):
    (tmp_path / "encoder").rmdir()
    assert convert()[0] == 3
