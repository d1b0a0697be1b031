"""The demo's dataset holds what it claims, and making it again changes nothing."""

import importlib.util
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from selection_job.catalog.listing import list_images
from selection_job.images.decoding import CorruptImage, decode_rgb
from selection_job.stores.local.store import LocalStore

SCRIPT = Path(__file__).parents[2] / "examples" / "make_demo_dataset.py"
N_IMAGES = 150


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_demo_dataset", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(script):
    return script.make_dataset(N_IMAGES, 0)


@pytest.fixture
def make(script, tmp_path):
    def run(*arguments):
        folders = ["--input", str(tmp_path / "input"), "--output", str(tmp_path / "output")]
        return script.main([*folders, "--images", str(N_IMAGES), *arguments])

    return run


def snapshot(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def is_readable(content):
    try:
        decode_rgb(content)
    except CorruptImage:
        return False
    return True


def test_every_file_but_the_broken_ones_can_be_decoded(script, files):
    readable = {name for name, content in files.items() if is_readable(content)}
    assert len(readable) == N_IMAGES
    assert {name for name in files if name not in readable} == {name for name in files if name.startswith("broken/")}
    assert len(files) - len(readable) == script.N_BROKEN


def test_exact_copies_are_as_many_as_claimed_and_no_others(script, files):
    digests = Counter(sha256(content).digest() for content in files.values() if content)
    assert len(files) - list(files.values()).count(b"") - len(digests) == script.N_COPIES
    assert max(digests.values()) == 2


def test_names_with_japanese_letters_blanks_and_markup_are_among_them(files):
    names = "\n".join(files)
    assert all(part in names for part in ("東京", " ", "&", "<", "'", "%", ".PNG"))


def test_images_are_small_photographs_of_200_to_640_px(files):
    sizes = [decode_rgb(files[name]).size for name in files if name.startswith(("photos/", "walks/"))]
    assert all(200 <= max(size) <= 640 for size in sizes)
    assert len(set(sizes)) > 20


def test_neighbours_on_a_walk_look_more_alike_than_its_ends(files):
    def look(frame):
        image = decode_rgb(files[f"walks/motorcycle/frame_{frame:04}.jpg"]).convert("L").resize((64, 64))
        return image.tobytes()

    def difference(one, other):
        return sum(abs(a - b) for a, b in zip(look(one), look(other), strict=True))

    assert difference(0, 1) < difference(0, 11)


def test_the_same_seed_makes_the_same_bytes_and_another_seed_other_ones(script, files):
    assert script.make_dataset(N_IMAGES, 0) == files
    assert script.make_dataset(N_IMAGES, 1) != files


def test_making_it_again_leaves_every_file_untouched(make, tmp_path):
    assert make() == 0
    before = snapshot(tmp_path)
    assert make() == 0
    assert snapshot(tmp_path) == before


def test_a_changed_file_is_made_anew_and_a_foreign_one_stays(make, tmp_path):
    make()
    changed, foreign = tmp_path / "input" / "broken" / "empty.jpg", tmp_path / "input" / "mine.jpg"
    changed.write_bytes(b"no longer empty")
    foreign.write_bytes(b"mine")
    make()
    assert changed.read_bytes() == b""
    assert foreign.read_bytes() == b"mine"


def test_the_relevant_filenames_file_takes_everything_but_the_scans(make, script, tmp_path):
    make()
    listing = list_images(
        LocalStore(tmp_path / "input"),
        LocalStore(tmp_path / "output"),
        relevant_filenames_file=script.RELEVANT_FILENAMES,
    )
    assert len(listing.names) == N_IMAGES + script.N_BROKEN - script.N_SCANS
    assert not any(name.startswith("scans/") for name in listing.names)
    assert any("IMG_9999" in note for note in listing.notes)


def test_too_few_images_are_refused_with_the_least_number(make, script, capsys):
    assert make("--images", "5") == 2
    assert str(script.LEAST_IMAGES) in capsys.readouterr().err
