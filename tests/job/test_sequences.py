"""Sequences of frames: how they are cut, chosen by their means and given back as frames."""

import csv
import dataclasses
import json

import jsonschema
import numpy as np
import pypdf
import pytest
from choosing import choose_images, choose_sequences
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.utils.io import load_embeddings
from painted_videos import make_video
from test_datapool import NAMES, VECTORS, Dataset
from test_selecting_pool import BY_LIGHT, DIVERSE, EVEN, HEAVY, entry, gather, make_catalog, make_sources, make_spec

from selection_job.catalog.frame_names import name_frame
from selection_job.catalog.frames import NO_FRAMES, Frames
from selection_job.errors import UnusableData
from selection_job.manifest.noun import IMAGE
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.numeric.farthest_first import farthest_first
from selection_job.pipeline import run_pipeline
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.publishing import publishing
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.measures.choice_metrics import describe_sequence_level
from selection_job.report.measures.strategy_effects import describe_strategies
from selection_job.report.report_json import read_schema
from selection_job.results.tables.sequence_information import write_sequence_information
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.selection import PASSED
from selection_job.selection.sequence_sources import average_rows
from selection_job.selection.sequences import cut_sequences
from selection_job.selection.vectors import normalize_rows


def images(names, corrupt=(), pool=()):
    """A catalog of images by name, some of which were corrupt, and of the datapool's behind them."""
    catalog = dataclasses.replace(make_catalog(len(names) + len(pool), len(pool)), names=[*names, *pool])
    return dataclasses.replace(catalog, corrupt=dict.fromkeys(corrupt, "truncated"))


def frames(lengths, corrupt=(), pool=(), step=1):
    """A catalog of every step-th frame of videos with so many; corrupt and pool are pairs of video and index."""
    videos = [f"cam-{row}/日本-1.MP4" for row in range(len(lengths))]
    gone = {*corrupt, *pool}
    found = [(v, i) for v, n in enumerate(lengths) for i in range(0, n, step) if (v, i) not in gone]
    named = {pair: name_frame(videos[pair[0]], pair[1], lengths[pair[0]]) for pair in [*found, *gone]}
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    pts = np.where(columns[:, 1] == 1, -1, columns[:, 1] * 512)
    seconds = np.where(columns[:, 1] == 1, np.nan, columns[:, 1] / 25)
    source = Frames(
        videos, np.array(lengths, dtype=np.int64), columns[:, 0].astype(np.int32), columns[:, 1], pts, seconds, {}
    )
    names = [[named[pair] for pair in pairs] for pairs in (found, corrupt, pool)]
    return dataclasses.replace(images(*names), frames=source)


def cut_by_hand(track, length):
    """The same by a plain loop over one video: 'ok', 'corrupt' and 'pool' in their order, each with its row."""
    whole, left_over, broken = [], [], []
    stretch = []
    for kind, row in [*track, ("pool", None)]:
        if kind == "pool":
            for start in range(0, len(stretch), length):
                part = stretch[start : start + length]
                usable = [own for one, own in part if one == "ok"]
                (left_over if len(part) < length else whole if len(usable) == length else broken).append(usable)
            stretch = []
        else:
            stretch.append((kind, row))
    return whole, [row for part in left_over for row in part], [row for part in broken for row in part]


KINDS = st.lists(st.sampled_from(["ok", "ok", "ok", "ok", "corrupt", "pool"]), max_size=40)


@pytest.mark.parametrize("are_videos", [False, True])
@settings(max_examples=60, deadline=None)
@given(tracks=st.lists(KINDS, max_size=4), length=st.integers(2, 5))
def test_every_video_and_folder_is_cut_as_a_plain_loop_cuts_it(are_videos, tracks, length):
    if are_videos:
        places = {(v, i): kind for v, track in enumerate(tracks) for i, kind in enumerate(track)}
        of = {kind: [pair for pair, own in places.items() if own == kind] for kind in ("ok", "corrupt", "pool")}
        catalog = frames([len(track) for track in tracks], of["corrupt"], of["pool"])
    else:  # folders within folders: the names of one are torn apart by those of the others
        folders = ["", "a/", "a/01/", "b/"]
        places = {(v, i): kind for v, track in enumerate(tracks) for i, kind in enumerate(track)}
        named = {pair: f"{folders[pair[0]]}{pair[1]:02}.jpg" for pair in places}
        of = {kind: [pair for pair, own in places.items() if own == kind] for kind in ("ok", "corrupt", "pool")}
        of["ok"].sort(key=named.__getitem__)
        catalog = images(*([named[pair] for pair in of[kind]] for kind in ("ok", "corrupt", "pool")))
    rows = {pair: row for row, pair in enumerate(of["ok"])}
    expected = [], [], []
    for v, track in enumerate(tracks):
        own = [(kind, rows.get((v, i))) for i, kind in enumerate(track)]
        for column, found in zip(expected, cut_by_hand(own, length), strict=True):
            column.extend(found)
    sequences = cut_sequences(catalog, length)
    assert sequences.rows.tolist() == sorted(expected[0])
    assert sequences.left_over.tolist() == sorted(expected[1])
    assert sequences.broken.tolist() == sorted(expected[2])


def test_sequences_are_numbered_by_name_where_folders_lie_within_folders():
    names = ["a/00.jpg", "a/01.jpg", "a/01/00.jpg", "a/01/01.jpg", "a/02.jpg", "a/03.jpg"]
    assert cut_sequences(images(names), 2).rows.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_frames_numbered_without_leading_zeros_are_told():
    names = sorted(f"walk/frame_{i}.jp2" for i in range(12))
    selection, _ = select(images(names), VECTORS[:12], 4)
    (note,) = [note for note in selection.notes if "leading zeros" in note]
    assert "so 'walk/frame_11.jp2' comes before 'walk/frame_2.jp2'" in note
    padded = sorted([f"walk/frame_{i:02}.jp2" for i in range(12)])
    assert not any("leading zeros" in note for note in select(images(padded), VECTORS[:12], 4)[0].notes)


def test_frames_that_were_sampled_follow_one_another():
    catalog = frames([30], corrupt=[(0, 12)], step=3)
    sequences = cut_sequences(catalog, 2)
    assert catalog.frames.indices[sequences.rows].tolist() == [[0, 3], [6, 9], [18, 21], [24, 27]]
    assert catalog.frames.indices[sequences.broken].tolist() == [15]


def select(catalog, vectors, amount, length=4, sources=None, **worker):
    """Select by the older form where the amount is no selectionConfig."""
    worker = {"selected_sequence_length": length, **worker}
    config = amount if isinstance(amount, dict) else None
    if config is None:
        worker["stopping_condition"] = {"n_samples": amount, **worker.get("stopping_condition", {})}
    spec = make_spec(worker, config)
    return choose_sequences(catalog, vectors, spec, sources or GatheredSources(len(catalog.names)))


def grid(n_sequences, seed=0, length=4, d=3):
    """A folder of whole sequences, with vectors that differ within each."""
    n = n_sequences * length
    return make_catalog(n), np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize("normalize", [False, True])
def test_sequences_are_chosen_by_the_mean_of_their_frames_and_given_back_whole(normalize):
    catalog, vectors = grid(50)
    selection, chosen = select(catalog, vectors, 28, normalize_embeddings=normalize)
    means = vectors.reshape(50, 4, 3).mean(axis=1)
    picks, radii = farthest_first(normalize_rows(means) if normalize else means, 7)
    assert selection.selected.reshape(7, 4).tolist() == [[4 * pick + i for i in range(4)] for pick in picks.tolist()]
    assert chosen.selection.radii.tolist() == pytest.approx(radii.tolist(), rel=1e-5)
    assert selection.distances.reshape(7, 4)[1:] == pytest.approx(np.tile(radii[:-1, None], 4), rel=1e-5)
    assert np.isnan(selection.radii).all()
    assert sorted([*selection.selected, *selection.removed]) == selection.candidates.tolist() == list(range(200))
    own = normalize_rows(vectors) if normalize else vectors
    every = np.linalg.norm(own[selection.removed][:, None] - own[selection.selected], axis=2)
    assert selection.nearest_distance == pytest.approx(every.min(axis=1), rel=1e-5)
    assert selection.nearest_selected.tolist() == selection.selected[every.argmin(axis=1)].tolist()


def test_means_do_not_depend_on_how_many_are_taken_at_once(monkeypatch):
    _, vectors = grid(9, d=5)
    rows = np.random.default_rng(1).permutation(36).reshape(9, 4)
    monkeypatch.setattr("selection_job.selection.sequence_sources._BLOCK_NUMBERS", 50)
    assert average_rows(vectors, rows) == pytest.approx(vectors[rows].mean(axis=1), abs=1e-6)


AMOUNTS = [(8, 8), (0.5, 20), (0.1, 4), (0.23, 12), ("100%", 40), (400, 40)]


@pytest.mark.parametrize(("amount", "expected"), AMOUNTS)
def test_a_share_is_rounded_up_to_whole_sequences(amount, expected):
    selection, _ = select(*grid(10), amount)
    assert len(selection.selected) == expected
    config = {"proportion_samples": amount} if isinstance(amount, float) else {"n_samples": expected}
    again, _ = select(*grid(10), {**config, "strategies": [DIVERSE]})
    assert again.selected.tolist() == selection.selected.tolist()


def test_more_than_there_is_takes_every_whole_sequence_and_says_so():
    selection, _ = select(images([f"{i:02}.jpg" for i in range(10)]), VECTORS[:10], 12)
    assert sorted(selection.selected.tolist()) == list(range(8))
    assert "3 sequences were asked for and 2 are there: all of them are kept." in selection.notes


def test_min_distance_holds_between_the_means():
    catalog, vectors = grid(40)
    means = vectors.reshape(40, 4, 3).mean(axis=1)
    for method in ("coreset", "random"):
        selection, chosen = select(
            catalog, vectors, -1, method=method, normalize_embeddings=False, stopping_condition={"min_distance": 0.7}
        )
        own = means[chosen.selection.selected]
        gaps = np.linalg.norm(own[:, None] - own, axis=2)[~np.eye(len(own), dtype=bool)]
        assert gaps.min() >= 0.7
        assert 4 * len(own) == len(selection.selected) < 160


def test_what_is_in_no_sequence_is_filtered_with_its_reason_and_counted():
    catalog = images([f"{i:02}.jpg" for i in range(11) if i != 5], corrupt=["05.jpg"])
    selection, _ = select(catalog, VECTORS[:10], 4)
    reasons = {
        catalog.names[row]: selection.thresholds[cause].name
        for row, cause in zip(selection.removed.tolist(), selection.filtered_by.tolist(), strict=True)
        if cause != PASSED
    }
    rest, broken = "in a whole sequence", "in a sequence without a corrupt frame"
    assert reasons == {
        **dict.fromkeys(["08.jpg", "09.jpg", "10.jpg"], rest), **dict.fromkeys(["04.jpg", "06.jpg", "07.jpg"], broken)
    }  # fmt: skip
    assert selection.selected.tolist() == [0, 1, 2, 3]
    assert selection.sequences.tolist() == [[0, 1, 2, 3]]
    assert selection.notes[:3] == [
        "Sequences of 4 frames: 1 of 1 were selected.",
        "Frames in no sequence, because fewer than 4 in a row were left: 3.",
        "Frames in no sequence, because another frame of it is corrupt: 3.",
    ]


def test_without_any_whole_sequence_the_error_says_where_the_frames_went():
    with pytest.raises(UnusableData, match=r"selected_sequence_length: there is no sequence of 4 .* left: 3\."):
        select(images(["a/1.jpg", "a/2.jpg", "b/1.jpg"]), VECTORS[:3], 4)
    with pytest.raises(
        UnusableData, match=r"no sequence of 4 frames\. Earlier runs have selected every readable frame"
    ):
        select(images([], pool=["a/1.jpg", "a/2.jpg"]), VECTORS[:2], 4)


def test_only_whole_copies_of_a_sequence_are_duplicates():
    standing = [0, 0, 2, 3, 0, 0, 2, 3, 0, 0, 3, 2, 12, 12, 12, 12]  # sequence 1 copies 0; 2 has another order
    catalog = make_catalog(16, duplicate_of=standing)
    selection, _ = select(catalog, VECTORS[:16], 100)
    assert selection.candidates.tolist() == [0, 1, 2, 3, *range(8, 16)]
    assert selection.sequences.tolist() == [[0, 1, 2, 3], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert selection.notes[0].endswith("1 are exact copies of another.")
    everything, _ = select(catalog, VECTORS[:16], 100, remove_exact_duplicates=False)
    assert len(everything.selected) == 16


def test_a_sequence_of_which_earlier_runs_selected_every_frame_is_a_duplicate():
    catalog = make_catalog(10, 2, duplicate_of=[8, 9, 8, 8, 8, 9, 6, 7, 8, 9])
    selection, _ = select(catalog, VECTORS[:10], 100)
    assert selection.candidates.tolist() == [4, 5, 6, 7]


def test_frames_that_earlier_runs_selected_count_each_by_itself():
    catalog, vectors = grid(30)
    pooled = dataclasses.replace(make_catalog(123, 3), names=[*catalog.names, "x/1.jpg", "x/2.jpg", "x/3.jpg"])
    pool = np.random.default_rng(5).normal(size=(3, 3)).astype(np.float32)
    every = np.concatenate([vectors, pool])
    selection, chosen = select(pooled, every, 20, normalize_embeddings=False)
    means = np.concatenate([vectors.reshape(30, 4, 3).mean(axis=1), pool])
    picks, _ = farthest_first(means, 5, preselected=np.arange(30, 33))
    assert chosen.selection.selected.tolist() == picks.tolist()
    assert selection.preselected.tolist() == [120, 121, 122]
    assert set(selection.nearest_selected) & {120, 121, 122}


@pytest.mark.parametrize("are_videos", [False, True])
def test_what_earlier_runs_selected_is_called_what_it_is(are_videos):
    catalog = frames([9], pool=[(0, 8)]) if are_videos else images([f"{i}.jpg" for i in range(8)], pool=["8.jpg"])
    selection, _ = select(catalog, VECTORS[:9], 4)
    nouns = "frames" if are_videos else "images"
    assert f"1 {nouns.removesuffix('s')} that was selected before was taken into account." in selection.notes


def gather_means(values, rows):
    """What strategies should see of sequences, by plain numpy: means of numbers, sums of classes and words."""
    s, length = rows.shape
    of_images = np.repeat(np.arange(s), length)
    task = TaskPredictions(
        "t", "object-detection", (Category(0, "a"), Category(1, "b")), np.ones(s, bool), of_images,
        values["t"][rows.reshape(-1)], np.ones(s * length, np.float32),
    )  # fmt: skip
    numbers = MetadataColumn("m", numbers=values["m"].numbers[rows].mean(axis=1))
    return GatheredSources(s, tasks={"t": task}, columns={"m": numbers})


COUNT = {"type": "PREDICTIONS", "task": "t", "name": "CATEGORY_COUNT", "categories": ["b"]}
NEAR = entry("SIMILARITY", {"type": "EMBEDDINGS", "dataset_id": "a" * 24, "tag_name": "queries"})
BY_CHANCE = entry("WEIGHTS", {"type": "RANDOM", "random_seed": 3})
SETS = ("input", "selected", "random")
NO_DISTANCES = dict.fromkeys(SETS)
MIXES = {
    "coreset": [DIVERSE],
    "random": [BY_CHANCE],
    "weights": [HEAVY],
    "weights and chance": [HEAVY, BY_CHANCE],
    "typicality": [entry("TYPICALITY", num_nearest_neighbors=3), DIVERSE],
    "similarity": [NEAR, DIVERSE],
    "balance of classes": [DIVERSE, HEAVY, EVEN],
    "threshold": [DIVERSE, entry("THRESHOLD", {"type": "METADATA", "key": "m"}, threshold=0.45, operation="BIGGER")],
    "turned round": [entry("DIVERSITY", strength=-1), HEAVY],
}


@pytest.mark.parametrize("mix", MIXES)
def test_every_strategy_chooses_sequences_as_images_that_are_their_means(mix):
    n, length, k = 300, 5, 7
    rng = np.random.default_rng(11)
    vectors, values = rng.normal(size=(n, 3)).astype(np.float32), make_sources(rng, n)
    queries = {("a" * 24, "queries"): rng.normal(size=(4, 3)).astype(np.float32)}
    rows = np.arange(n).reshape(-1, length)
    sources = dataclasses.replace(gather(values, np.arange(n)), queries=queries)
    config = {"n_samples": k * length, "strategies": MIXES[mix]}
    selection, chosen = select(make_catalog(n), vectors, config, length, sources, normalize_embeddings=False)
    expected = choose_images(
        make_catalog(len(rows)),
        vectors[rows].mean(axis=1),
        make_spec({}, {**config, "n_samples": k}),
        dataclasses.replace(gather_means(values, rows), queries=queries),
    )
    assert selection.selected.tolist() == rows[expected.selected].reshape(-1).tolist()
    assert selection.method == expected.method
    assert np.allclose(selection.contributions, np.repeat(expected.contributions, length, axis=0), rtol=1e-4)
    for record, own in zip((*selection.thresholds, *selection.rankings), (*expected.thresholds, *expected.rankings),
                           strict=True):  # fmt: skip
        assert record.name == own.name
        assert own.values is None or np.allclose(record.values, np.repeat(own.values, length), rtol=1e-5)
    filtered = set((selection.removed[selection.filtered_by != PASSED] // length).tolist())
    assert filtered == set(expected.removed[expected.filtered_by != PASSED].tolist())
    described = describe_sequence_level(chosen, normalize=False, seed=1).strategies
    of_images = describe_strategies(
        expected, make_candidates(chosen.vectors, expected, normalize=False, seed=1), NO_DISTANCES, IMAGE
    )
    for one, other in zip(described, of_images, strict=True):
        assert one.name == other.name
        if "distance" not in one.measure:
            assert [getattr(one, key) for key in SETS] == pytest.approx([getattr(other, key) for key in SETS], rel=1e-5)


def test_words_of_all_frames_count_in_a_balance_and_the_pools_once_each():
    words = ["day"] * 4 + ["day", "night", "night", "night"] + ["dusk"] * 4 + ["dusk", "night"]
    columns = {"w": MetadataColumn("w", labels=words)}
    catalog = make_catalog(14, 2)
    aim = {"distribution": "TARGET", "target": {"day": 0.6, "night": 0.4}}
    config = {"n_samples": 4, "strategies": [{**BY_LIGHT, "strategy": {"type": "BALANCE", **aim}}]}
    selection, chosen = select(catalog, VECTORS[:14], config, sources=GatheredSources(14, columns=columns))
    (record,) = chosen.selection.rankings
    assert record.classes == ("day", "night")
    assert record.shares.tolist() == [[4, 0], [1, 3], [0, 0]]
    assert selection.selected.tolist() == [0, 1, 2, 3]  # with the pool's night 4 to 1, beside 1 to 4


def test_a_count_of_objects_is_that_of_a_frame_on_average_for_thresholds():
    tasks = {"t": TaskPredictions(
        "t", "object-detection", (Category(0, "a"), Category(1, "b")), np.ones(9, bool), np.array([0, 0, 1, 4]),
        np.array([1, 1, 1, 1]), np.ones(4, np.float32),
    )}  # fmt: skip
    many = entry("THRESHOLD", COUNT, threshold=0.75, operation="BIGGER_EQUAL")
    selection, _ = select(
        make_catalog(9), VECTORS[:9], {"n_samples": 8, "strategies": [many]}, sources=GatheredSources(9, tasks=tasks)
    )
    assert selection.selected.tolist() == [0, 1, 2, 3]
    rest, by_count = selection.thresholds
    assert rest.passes.tolist() == [True] * 8 + [False]
    assert by_count.values[:8].tolist() == [0.75] * 4 + [0.25] * 4
    assert by_count.passes.tolist() == [True] * 4 + [False] * 5
    assert np.isnan(by_count.values[8])
    assert selection.filtered_by.tolist() == [1, 1, 1, 1, 0]


def test_a_sequence_with_a_frame_without_a_value_has_none():
    columns = {"m": MetadataColumn("m", numbers=np.array([1, 1, 1, np.nan, 1, 1, 1, 1.0]))}
    with pytest.raises(UnusableData, match=r"each sequence of 4 frames is chosen as if .* 1 image has no value"):
        select(make_catalog(8), VECTORS[:8], {"n_samples": 4, "strategies": [HEAVY]},
               sources=GatheredSources(8, columns=columns))  # fmt: skip


def test_the_random_choice_beside_the_selection_is_one_of_whole_sequences():
    catalog = images([f"{i:02}.jpg" for i in range(40) if i != 10], corrupt=["10.jpg"])
    selection, _ = select(catalog, VECTORS[:39], 12)
    pool = make_candidates(VECTORS[:39], selection, normalize=True, seed=4)
    drawn = pool.catalog_rows[pool.random].reshape(3, 4)
    known = {tuple(rows) for rows in selection.sequences.tolist()}
    assert {tuple(rows) for rows in drawn.tolist()} <= known


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_sequence_information_names_the_place_of_each_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("selection_job.results.tables.sequence_information._BLOCK", 6)
    catalog = frames([9, 8])
    selection, _ = select(catalog, VECTORS[:17], 12)
    path = tmp_path / "data" / "sequence_information.json"
    assert write_sequence_information(path, catalog, selection)
    written = read_json(path)
    assert len(written) == 3
    first = written[0]
    assert first["video_name"] == "cam-0/日本-1.MP4"
    assert first["frame_names"] == [f"cam-0/日本-1-{i}-MP4.png" for i in range(4)]
    assert first["frame_indices"] == [0, 1, 2, 3]
    assert first["frame_timestamps_pts"] == [0, None, 1024, 1536]
    assert first["frame_timestamps_sec"] == [0.0, None, 0.08, 0.12]
    assert [name for one in written for name in one["frame_names"]] == [catalog.names[i] for i in selection.selected]


def test_the_timestamp_before_0_is_one_in_the_sequence_information(tmp_path):
    catalog = frames([5])
    places = dataclasses.replace(catalog.frames, pts=np.arange(-2, 3), seconds=np.arange(-2, 3) / 90_000)
    selection, _ = select(catalog, VECTORS[:5], 4)
    write_sequence_information(tmp_path / "a.json", dataclasses.replace(catalog, frames=places), selection)
    (only,) = read_json(tmp_path / "a.json")
    assert only["frame_timestamps_pts"] == [-2, -1, 0, 1]


def test_single_frames_are_sequences_of_one_and_single_images_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr("selection_job.results.tables.sequence_information._BLOCK", 2)
    catalog = frames([5])
    spec = make_spec({"stopping_condition": {"n_samples": 3}})
    selection = choose_images(catalog, VECTORS[:5], spec, GatheredSources(5))
    assert write_sequence_information(tmp_path / "a.json", catalog, selection)
    assert [one["frame_indices"] for one in read_json(tmp_path / "a.json")] == [[i] for i in selection.selected]
    assert not write_sequence_information(
        tmp_path / "b.json", dataclasses.replace(catalog, frames=NO_FRAMES), selection
    )
    assert not (tmp_path / "b.json").exists()


def test_names_of_images_survive_in_the_sequence_information(tmp_path):
    odd = sorted(["a\nb.jpg", 'quote".jpg', "日本.jpg", "stray\udcff.jpg"])
    selection, _ = select(images(odd), VECTORS[:4], 4)
    write_sequence_information(tmp_path / "a.json", images(odd), selection)
    assert read_json(tmp_path / "a.json") == {"filenames": odd}


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_whole_run_writes_sequences_into_every_file_and_the_report(tmp_path):
    dataset = Dataset(tmp_path)
    dataset.add(NAMES[:38])
    selected, folder = dataset.run("seq", 0.25, selected_sequence_length=4, use_datapool=False)
    means = VECTORS[:36].reshape(9, 4, -1).mean(axis=1)
    picks, _ = farthest_first(means, 3)  # a quarter of 38 is 9, rounded up to 12
    assert selected == [NAMES[4 * pick + i] for pick in picks.tolist() for i in range(4)]
    assert read_json(folder / "data/sequence_information.json") == {"filenames": selected}
    table = rows_of(folder / "data/selection.csv")
    assert [row["filename"] for row in table[:12]] == selected
    assert [row["sequence"] for row in table[:12]] == [str(pick + 1) for pick in picks.tolist() for _ in range(4)]
    assert [row["rank"] for row in table[:12]] == [str(i) for i in range(1, 13)]
    rest = {row["filename"]: row for row in table[12:]}
    assert (rest[NAMES[37]]["decision"], rest[NAMES[37]]["sequence"]) == ("filtered", "")
    assert rest[NAMES[37]]["filtered_by"] == "in a whole sequence"
    report = read_json(folder / "report.json")
    jsonschema.validate(report, read_schema())
    level = report["sequenceInformation"]
    assert (level["length"], level["nSequences"], level["nSelected"]) == (4, 9, 3)
    assert level["leftOut"] == {"nFramesInRests": 2, "nFramesBesideCorrupt": 0}
    reach = np.linalg.norm(means[:, None] - means[picks], axis=2).min(axis=1)
    assert level["coverRadius"] == pytest.approx(reach.max(), rel=1e-5)
    apart = np.linalg.norm(means[picks][:, None] - means[picks], axis=2) + np.diag([np.inf] * 3)
    assert level["strategies"][0]["selected"] == pytest.approx(apart.min(axis=1).mean(), rel=1e-5)
    assert report["selectionInformation"]["sequenceLength"] == 4
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    assert (sizes["nSelected"], sizes["nRemoved"], sizes["nDuplicate"]) == (12, 26, 0)
    text = " ".join(" ".join(page.extract_text().split()) for page in pypdf.PdfReader(folder / "report.pdf").pages)
    assert "into sequences of 4 frames. It chose 3 of 9 sequences" in text
    assert "Frames in no sequence, because fewer than 4 in a row were left: 2." in text


@pytest.mark.slow
def test_runs_over_a_datapool_keep_away_from_the_frames_of_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "_write_report", lambda *_: {})
    dataset = Dataset(tmp_path)
    dataset.add(NAMES[:20])
    first, _ = dataset.run("monday", 8, selected_sequence_length=4)
    dataset.add(NAMES[20:])
    second, _ = dataset.run("tuesday", 8, selected_sequence_length=4)
    before = VECTORS[[NAMES.index(name) for name in first]]
    means = np.concatenate([VECTORS[20:].reshape(5, 4, -1).mean(axis=1), before])
    picks, _ = farthest_first(means, 2, preselected=np.arange(5, 13))
    assert second == [NAMES[20 + 4 * pick + i] for pick in picks.tolist() for i in range(4)]
    everything, _ = dataset.run("again", 80, selected_sequence_length=4, datasource={"process_all": True})
    assert sorted(everything) == sorted({*NAMES} - {*first, *second})


@pytest.mark.slow
def test_a_run_without_a_whole_sequence_ends_with_its_reason(tmp_path):
    dataset = Dataset(tmp_path)
    dataset.add(NAMES[:3])
    with pytest.raises(UnusableData, match="there is no sequence of 4 frames"):
        run_pipeline(dataset.set_up("short", 4, selected_sequence_length=4, use_datapool=False))


@pytest.mark.slow
def test_clips_of_videos_are_selected_by_the_means_of_their_frames(tmp_path, make_manifest, run_manifest, monkeypatch):
    monkeypatch.setattr(publishing, "_write_report", lambda *_: {})
    for number, name in enumerate(["a.mp4", "cam/b.mp4"]):
        path = tmp_path / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_video(30, numbers=range(40 * number, 40 * number + 30)))
    worker = {"selected_sequence_length": 4, "stopping_condition": {"n_samples": 8}, "normalize_embeddings": False}
    dataset = {"type": "VIDEOS", "everyNthFrame": 2}
    done = run_manifest(make_manifest(tmp_path / "input", dataset=dataset, workerConfig=worker))
    vectors, _, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    whole = np.array([row for start in (0, 15) for row in range(start, start + 12)]).reshape(6, 4)  # 3 frames are left
    picks, _ = farthest_first(np.array(vectors, dtype=np.float32)[whole].mean(axis=1), 2)
    assert done.selected == [names[row] for row in whole[picks].reshape(-1).tolist()]
    written = read_json(done.folder / "data/sequence_information.json")
    assert [name for one in written for name in one["frame_names"]] == done.selected
    for one in written:
        assert np.diff(one["frame_indices"]).tolist() == [2, 2, 2]
        assert np.diff(one["frame_timestamps_sec"]) == pytest.approx([2 / 30] * 3, abs=1e-3)
    counts = done.summary.counts
    assert (counts.input, counts.selected, counts.removed, counts.duplicate) == (30, 8, 22, 0)
