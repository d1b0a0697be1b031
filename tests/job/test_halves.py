"""Does the encoder see anything? Halves of pictures that differ are chosen, embedded, matched, kept and told."""

import json
from hashlib import sha256
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from selection_api.lightly_config import LightlyConfig
from selection_job.catalog.half_match import HalfMatch, load_match, save_match
from selection_job.images.halves import cut_halves
from selection_job.images.preprocessing import Preprocessing
from selection_job.manifest.noun import IMAGE
from selection_job.reading import half_sample
from selection_job.reading.half_sample import HalfSample, allow
from selection_job.reading.images import ReadOptions, read_images
from selection_job.report.sections.encoder import make_encoder_section, note_blind_encoder
from selection_job.stages.half_matching import count_matches, match_halves

SMALL = Preprocessing(16)


def noise(seed, size=(40, 24)):
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size)


def digest(number):
    return sha256(str(number).encode()).digest()


def fill(sample, pictures):
    for number, picture in enumerate(pictures):
        wanted = sample.may_take(digest(number))
        sample.add(digest(number), cut_halves(picture, SMALL) if wanted else None)
    return sample


def test_halves_share_no_pixel_and_an_odd_column_is_in_neither():
    picture = Image.fromarray(np.repeat(np.arange(5, dtype=np.uint8)[None, :, None] * 50, 3, axis=2).repeat(4, axis=0))
    left, right = cut_halves(picture, SMALL).pixels
    assert set(np.unique(left)) <= set(range(51)) and set(np.unique(right)) <= set(range(150, 201))


def test_a_picture_of_one_column_has_no_halves():
    assert cut_halves(Image.new("RGB", (1, 9)), SMALL) is None


def test_near_copies_count_once():
    pictures = [noise(0), noise(0).point(lambda level: level * 0.8 + 9), noise(0).crop((1, 0, 40, 24)), noise(1)]
    assert len(fill(HalfSample(4), pictures)) == 2


def test_a_large_input_gives_one_in_a_hundred_within_bounds():
    assert [allow(n) for n in (10, 400, 12_000, 25_000, 10**6)] == [50, 50, 120, 250, 250]


def test_what_is_kept_has_the_lowest_hashes_whenever_workers_ask(monkeypatch):
    monkeypatch.setattr(half_sample, "LEAST_MOST", 5)
    pictures = [noise(seed) for seed in range(60)]
    eager = HalfSample(60)
    for number, picture in enumerate(pictures):  # workers that are far ahead ask before anything is known
        eager.add(digest(number), cut_halves(picture, SMALL))
    late = fill(HalfSample(60), pictures)
    lowest = sorted(range(60), key=digest)[:5]
    expected = np.concatenate([cut_halves(pictures[number], SMALL).pixels for number in lowest])
    for sample in (eager, late):
        np.testing.assert_array_equal(np.concatenate(list(sample.batches(4))), expected)


def test_few_halves_are_cut_of_a_long_walk_of_near_copies(monkeypatch):
    monkeypatch.setattr(half_sample, "LEAST_MOST", 5)
    sample, n_cut = HalfSample(500), 0
    halves = cut_halves(noise(0), SMALL)
    for number in range(500):
        wanted = sample.may_take(digest(number))
        n_cut += wanted
        sample.add(digest(number), halves if wanted else None)
    assert len(sample) == 1 and n_cut < 80


@pytest.mark.parametrize("num_threads", [1, 4])
def test_threads_do_not_change_which_halves_are_read(num_threads, tmp_path):
    from selection_job.stores.local.store import LocalStore

    for seed in range(30):
        noise(seed).save(tmp_path / f"{seed:02}.png")
    sample = HalfSample(30)
    options = ReadOptions(preprocessing=SMALL, num_threads=num_threads, wants_halves=sample.may_take)
    read = list(read_images(LocalStore(tmp_path), [f"{seed:02}.png" for seed in range(30)], options=options))
    for image in read:
        sample.add(image.sha256, image.halves)
    by_hash = sorted(range(30), key=lambda seed: read[seed].sha256)
    expected = np.concatenate([cut_halves(noise(seed), SMALL).pixels for seed in by_hash])
    np.testing.assert_array_equal(np.concatenate(list(sample.batches(16))), expected)


class Brightness(nn.Module):
    """Sees one number, the same for every picture."""

    def forward(self, pixels):
        return torch.ones(len(pixels), 2)


class Eyes(nn.Module):
    """Sees the stripe that runs through both halves, whatever the colours."""

    def forward(self, pixels):
        return (
            pixels.float().std(dim=3).mean(dim=2) - pixels.float().std(dim=3).mean(dim=(1, 2), keepdim=False)[:, None]
        )


def embedder(network):
    return SimpleNamespace(make_network=lambda _: network, source="test", dimensions=2)


@pytest.fixture
def context():
    return SimpleNamespace(spec=SimpleNamespace(lightly_config=LightlyConfig()), device=torch.device("cpu"))


def stripes(*rows):
    """Draw stripes at heights of their own; their left halves red, their right ones blue: colours tell nothing."""
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    for row in rows:
        pixels[row : row + 4, :16, 0], pixels[row : row + 4, 16:, 2] = 255, 255
    return Image.fromarray(pixels)


def test_an_encoder_that_sees_matches_and_one_that_does_not_is_low(context):
    pictures = [stripes(*rows) for rows in combinations(range(0, 32, 4), 2)]
    sample = fill(HalfSample(30), pictures)
    assert len(sample) >= 20
    seeing, blind = (match_halves(context, embedder(network), sample) for network in (Eyes(), Brightness()))
    assert seeing.n_matched > 0.7 * seeing.n_pictures and seeing.verdict == "FINE"
    assert blind.n_matched == 1 and blind.verdict == "LOW"


def test_ties_go_to_the_first_so_that_equal_vectors_match_once():
    assert count_matches(np.ones((20, 3), dtype=np.float32)) == 1
    assert count_matches(np.zeros((20, 3), dtype=np.float32)) == 1


@pytest.mark.parametrize(
    "match, verdict",
    [
        (HalfMatch(19, 19, 0), "TOO_FEW"),
        (HalfMatch(50, 3, 0), "LOW"),
        (HalfMatch(50, 20, 20), "LOW"),
        (HalfMatch(50, 21, 20), "FINE"),
        (HalfMatch(50, 38, 50), "FINE"),
        (HalfMatch(0, 0, 0), "TOO_FEW"),
    ],
)
def test_low_is_no_better_than_colours_or_luck(match, verdict):
    assert match.verdict == verdict


def test_a_stage_of_an_earlier_version_has_no_match_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "halves.json"
    assert load_match(path) is None
    save_match(HalfMatch(50, 20, 10), path)
    assert load_match(path) == HalfMatch(50, 20, 10)
    for content in ([], {"n_pictures": 1}, {"n_pictures": 1, "n_matched": 2, "n_by_colours": 0}):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"halves\.json"):
            load_match(path)


def words_of(match, source="trained", **report):
    encoder = {"source": source, **({} if match is None else {"halfMatch": match})}
    document = {
        "corruptImages": {"areChecked": True},
        "generalInformation": {"runInformation": {"encoder": encoder}},
        **report,
    }
    blocks = make_encoder_section(document)
    return " ".join(run.text for block in blocks for run in getattr(block, "runs", ()))


def told(verdict, n=50, k=20):
    return {"verdict": verdict, "nImages": n, "nMatched": k, "nMatchedByColors": 20, "share": k / n, "chance": 1 / n}


def test_the_report_warns_of_a_blind_encoder_and_names_ways_out():
    low = words_of(told("LOW"))
    assert "hardly tells these images apart" in low and "BUILT_IN" in low and "worth less to label than a random" in low
    assert "BUILT_IN" not in words_of(told("LOW"), source="built in")
    assert "hardly" not in words_of(told("FINE", k=40))
    assert "fewer than 20 tell nothing" in words_of(told("TOO_FEW", n=3))
    assert "earlier version" in words_of(None)
    assert words_of(None, corruptImages={"areChecked": False}) == ""


def test_a_note_tells_the_same_where_the_encoder_is_blind_and_nowhere_else():
    assert "hardly tells these images apart" in note_blind_encoder(HalfMatch(50, 3, 9), "trained", IMAGE)[0]
    assert (
        note_blind_encoder(HalfMatch(50, 30, 9), "trained", IMAGE) == note_blind_encoder(None, "trained", IMAGE) == []
    )


def test_a_run_tells_in_its_report_how_many_halves_match(make_manifest, photos, run_manifest):
    done = run_manifest(make_manifest(photos.folder))
    match = json.loads((done.folder / "report.json").read_bytes())["generalInformation"]["runInformation"]["encoder"][
        "halfMatch"
    ]
    assert 0 < match["nImages"] <= 50 and match["share"] == pytest.approx(match["nMatched"] / match["nImages"])
    assert match["verdict"] in ("TOO_FEW", "LOW", "FINE") and match["chance"] == pytest.approx(1 / match["nImages"])
