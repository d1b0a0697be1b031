"""The datapool: runs of one dataset, one after the other and at once, over a folder that grows."""

import csv
import dataclasses
import io
import json
import threading
import time

import jsonschema
import numpy as np
import pypdf
import pytest
import torch
from PIL import Image

from selection_api import ManifestError, check_supported, parse_manifest
from selection_job.datapool.datapool import ListedFiles
from selection_job.datapool.pool_encoder import advise_encoder
from selection_job.datapool.pool_part import PartHeader, PoolPart, dump_part, parse_part
from selection_job.errors import UnusableData
from selection_job.numeric.farthest_first import farthest_first
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.publishing import publishing
from selection_job.report.report_json import read_schema
from selection_job.results.tables.tables import write_embeddings
from selection_job.run.context import set_up
from selection_job.stages import datapool as datapool_stage
from selection_job.stores.lease import Lease

pytestmark = pytest.mark.slow

N, FIRST, K = 40, 24, 5
NAMES = [f"cam/{i:02}.jpg" for i in range(N)]
NOTHING_LISTED = ListedFiles([], np.empty(0, "S16"), np.empty(0, "S16"))
VECTORS = np.random.default_rng(3).normal(size=(N, 4)).astype(np.float32)


class Dataset:
    """A folder of images that are never opened, with a table of their vectors, and runs over it."""

    def __init__(self, base):
        self.base, self.n_runs = base, 0
        self.lightly = base / "lightly"
        (self.lightly / ".lightly/embeddings").mkdir(parents=True)
        write_embeddings(self.lightly / ".lightly/embeddings/all.csv", NAMES, VECTORS, np.arange(N))

    def add(self, names):
        for name in names:
            path = self.base / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    def mark(self, names):
        """Mark images as selected before in the table."""
        path = self.lightly / ".lightly/embeddings/all.csv"
        header, *rows = path.read_text().splitlines()
        marked = [f"{row.removesuffix('0')}{int(row.split(',')[0] in names)},0" for row in rows]
        path.write_text("\n".join([header.replace("labels", "selected,labels"), *marked]) + "\n")

    def set_up(self, name, n_samples=K, **worker):
        folders = {"input": self.base / "input", "lightly": self.lightly}
        given = {"embeddings": "all.csv", "normalize_embeddings": False, "n_example_images": 0, "use_datapool": True}
        spec = {
            "dataset": {"name": "cameras"},
            "datasources": {key: {"type": "LOCAL", "resourcePath": str(path)} for key, path in folders.items()},
            "workerConfig": {**given, "stopping_condition": {"n_samples": n_samples}, **worker},
        }
        names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": name}}
        self.n_runs += 1
        scratch = self.base / "scratch" / str(self.n_runs)
        scratch.mkdir(parents=True)
        return set_up(check_supported(parse_manifest({**names, "spec": spec})), scratch, Progress(quiet=True))

    def run(self, name, *arguments, **worker):
        """Run to the end; return what it selected, in order, and its folder."""
        place = self.set_up(name, *arguments, **worker)
        run_pipeline(place)
        folder = self.lightly / place.run_key
        return (folder / "filenames/sampled_filenames_excluding_datapool.txt").read_text().splitlines(), folder

    def parts(self):
        return sorted((self.lightly / ".lightly/datapool/cameras").glob("*.npz"))


@pytest.fixture
def without_report(monkeypatch):
    """Most of a small run's time goes into plots and the PDF, which these tests don't look at."""
    monkeypatch.setattr(publishing, "_write_report", lambda *_: {})


@pytest.fixture
def dataset(tmp_path):
    """Two thirds of the images are there."""
    made = Dataset(tmp_path)
    made.add(NAMES[:FIRST])
    return made


def names_in(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [row["filenames"] for row in csv.DictReader(file)]


def expect(candidates, before, k=K):
    """Names that farthest-first picks among candidates when the ones before are picked already."""
    rows = [NAMES.index(name) for name in (*candidates, *before)]
    taken = np.arange(len(candidates), len(rows)) if before else None
    picks, _ = farthest_first(VECTORS[rows], k, preselected=taken)
    return [candidates[i] for i in picks.tolist()]


def test_a_second_run_looks_at_new_images_only_and_keeps_away_from_the_first_ones_picks(dataset):
    first, _ = dataset.run("monday")
    assert first == expect(NAMES[:FIRST], [])
    dataset.add(NAMES[FIRST:])
    second, folder = dataset.run("tuesday")
    assert second == expect(NAMES[FIRST:], first)
    assert (folder / "filenames/duplicate_filenames.txt").read_text() == ""
    removed = (folder / "filenames/removed_filenames.txt").read_text().splitlines()
    assert sorted([*second, *removed]) == NAMES[FIRST:]
    assert names_in(folder / "data/embeddings.csv") == [*NAMES[FIRST:], *first]
    assert names_in(folder / "data/selected_embeddings.csv") == second
    assert names_in(folder / "data/selected_embeddings_including_datapool.csv") == [*first, *second]
    report = json.loads((folder / "report.json").read_bytes())
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    assert sizes == {
        "nInput": N - FIRST, "nCorrupt": 0, "nDuplicate": 0, "nRemoved": N - FIRST - K, "nSelected": K,
        "nPreselectedDatapool": K, "nSelectedWithDatapool": 2 * K,
    }  # fmt: skip
    cover = pypdf.PdfReader(folder / "report.pdf").pages[0].extract_text()
    assert f"They add to {K} images that were selected before." in " ".join(cover.split())
    maps = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"]
    assert len(maps["pcaEmbeddingData"]["datapool2dEmbeddings"]) == K
    distances = report["datasetAnalysis"]["embeddingInformation"]["distanceToNearestNeighborInSet"]
    assert distances["selectedWithDatapool"]["nAll"] == 2 * K
    numbers = [parse_part(path.read_bytes()).header.number for path in dataset.parts()]
    assert sorted(numbers) == [1, 2]


@pytest.mark.usefixtures("without_report")
def test_process_all_equals_one_run_over_all_files_with_the_first_picks_preselected(dataset):
    first, _ = dataset.run("monday")
    dataset.add(NAMES[FIRST:])
    second, _ = dataset.run("tuesday", datasource={"process_all": True})
    assert second == expect([name for name in NAMES if name not in first], first)


@pytest.mark.usefixtures("without_report")
def test_what_the_table_marks_as_selected_counts_beside_the_pool_and_joins_it(dataset):
    early, late = NAMES[0], NAMES[FIRST]
    dataset.mark([early, late])
    first, _ = dataset.run("monday")
    assert first == expect(NAMES[1:FIRST], [early])
    dataset.add(NAMES[FIRST:])
    second, folder = dataset.run("tuesday")
    assert second == expect(NAMES[FIRST + 1 :], [late, early, *first])
    assert names_in(folder / "data/selected_embeddings_including_datapool.csv") == [late, early, *first, *second]
    pool = datapool_stage.load_datapool(dataset.set_up("wednesday"))
    assert pool.find_members(NOTHING_LISTED).names == [early, *first, late, *second]


@pytest.mark.usefixtures("without_report")
def test_a_run_without_the_update_leaves_the_pool_as_it_was(dataset):
    first, _ = dataset.run("trial", datasource={"enable_datapool_update": False})
    assert dataset.parts() == []
    assert dataset.run("monday")[0] == first


@pytest.mark.usefixtures("without_report")
def test_nothing_new_is_an_error_that_names_the_way_out(dataset):
    dataset.run("monday")
    with pytest.raises(UnusableData, match=r"Nothing is new: all 24 images .* monday-[0-9a-f]{8}.*process_all"):
        run_pipeline(dataset.set_up("tuesday"))


@pytest.mark.usefixtures("without_report")
def test_process_all_is_no_way_out_where_all_is_selected(dataset):
    dataset.run("monday", "100%")
    with pytest.raises(UnusableData, match=r"all 24 images .* were selected by earlier runs .*Add images\.$"):
        run_pipeline(dataset.set_up("tuesday", datasource={"process_all": True}))


@pytest.mark.usefixtures("without_report")
def test_new_images_nearer_to_the_pool_than_min_distance_stay_new(dataset):
    dataset.run("monday")
    dataset.add(NAMES[FIRST:])
    with pytest.raises(UnusableData, match=r"nearer than the minimum distance .*selected before"):
        run_pipeline(dataset.set_up("tuesday", stopping_condition={"min_distance": 2}, normalize_embeddings=True))
    second, folder = dataset.run("wednesday")
    assert sorted(names_in(folder / "data/embeddings.csv")[: N - FIRST]) == NAMES[FIRST:]
    assert set(second) < set(NAMES[FIRST:])


@pytest.mark.usefixtures("without_report")
def test_a_run_that_was_cut_off_and_finds_other_images_says_so(dataset):
    dataset.run("monday")
    (dataset.lightly / dataset.set_up("monday").run_key / "report.json").unlink()
    for path in (dataset.base / "input/cam").iterdir():
        path.write_bytes(b"another picture")
    with pytest.raises(UnusableData, match=r"others than those that this run chose among.*run of another name"):
        run_pipeline(dataset.set_up("monday"))


@pytest.mark.usefixtures("without_report")
def test_a_changed_image_leaves_the_pool_and_is_looked_at_again(dataset):
    first, _ = dataset.run("monday")
    (dataset.base / "input" / first[0]).write_bytes(b"another picture")
    assert dataset.run("tuesday", "100%")[0] == [first[0]]
    pool = datapool_stage.load_datapool(dataset.set_up("wednesday"))
    members = pool.find_members(NOTHING_LISTED)
    assert members.names == [*first[1:], first[0]]


@pytest.mark.usefixtures("without_report")
def test_a_changed_image_that_was_not_selected_again_stays_out_of_the_pool(dataset):
    first, _ = dataset.run("monday")
    changed = first[-1]
    (dataset.base / "input" / changed).write_bytes(b"another picture")
    vectors = VECTORS.copy()
    vectors[NAMES.index(changed)] = VECTORS[NAMES.index(first[0])]  # which is selected: nobody takes this one
    write_embeddings(dataset.lightly / ".lightly/embeddings/all.csv", NAMES, vectors, np.arange(N))
    dataset.add(NAMES[FIRST:-2])
    second, _ = dataset.run("tuesday", 2)
    assert changed not in second
    dataset.add(NAMES[-2:])
    third, folder = dataset.run("wednesday", 2)
    before = [*first[:-1], *second]
    assert names_in(folder / "data/selected_embeddings_including_datapool.csv") == [*before, *third]


@pytest.mark.usefixtures("without_report")
def test_a_finished_run_is_not_run_again_over_new_images(dataset):
    first, _ = dataset.run("monday")
    dataset.add(NAMES[FIRST:])
    assert dataset.run("monday")[0] == first
    assert len(dataset.parts()) == 1


class Crash(Exception):
    """The process dies here."""


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("is_in_the_pool", [False, True])
def test_a_crash_on_either_side_of_the_pools_update_loses_nothing(dataset, monkeypatch, is_in_the_pool):
    def die(place, findings):
        if is_in_the_pool:
            add(place, findings)
        raise Crash

    add = publishing._add_to_datapool
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(publishing, "_add_to_datapool", die)
        run_pipeline(dataset.set_up("monday"))
    assert len(dataset.parts()) == is_in_the_pool
    dataset.add(NAMES[FIRST:])  # meanwhile another run begins and ends
    other, _ = dataset.run("tuesday")
    seen = NAMES[FIRST:] if is_in_the_pool else NAMES
    before = expect(NAMES[:FIRST], []) if is_in_the_pool else []
    assert other == expect(seen, before)
    if is_in_the_pool:  # what the other run took into account is what the retried one ends with
        assert dataset.run("monday")[0] == before
        assert len(dataset.parts()) == 2
        return
    with pytest.raises(UnusableData, match="Nothing is new"):
        run_pipeline(dataset.set_up("monday"))


@pytest.mark.usefixtures("without_report")
def test_of_two_runs_at_once_one_waits_and_no_image_is_picked_twice(dataset, monkeypatch):
    waits, found = threading.Event(), {}
    add = publishing._add_to_datapool

    def add_late(place, findings):
        if place.run.metadata.name == "monday":
            dataset.add(NAMES[FIRST:])
            tuesday.start()
            assert waits.wait(60)
        add(place, findings)

    def make_lock(*arguments, **options):
        def sleep(seconds):
            waits.set()
            time.sleep(seconds / 20)

        return Lease(*arguments, **options, sleep=sleep)

    monkeypatch.setattr(publishing, "_add_to_datapool", add_late)
    monkeypatch.setattr(datapool_stage, "Lease", make_lock)
    tuesday = threading.Thread(target=lambda: found.update(tuesday=dataset.run("tuesday")[0]))
    found["monday"] = dataset.run("monday")[0]
    tuesday.join()
    assert found["monday"] == expect(NAMES[:FIRST], [])
    assert found["tuesday"] == expect(NAMES[FIRST:], found["monday"])


@pytest.mark.usefixtures("without_report")
def test_a_damaged_part_is_named(dataset):
    dataset.run("monday")
    (part,) = dataset.parts()
    part.write_bytes(part.read_bytes()[:500])
    dataset.add(NAMES[FIRST:])
    with pytest.raises(UnusableData, match=r"datapool/cameras/monday-[0-9a-f]{8}\.npz, a part of the datapool.*backup"):
        run_pipeline(dataset.set_up("tuesday"))


@pytest.mark.usefixtures("without_report")
def test_vectors_of_another_length_are_refused_with_the_ways_out(dataset):
    dataset.run("monday")
    dataset.add(NAMES[FIRST:])
    write_embeddings(dataset.lightly / ".lightly/embeddings/short.csv", NAMES, VECTORS[:, :2].copy(), np.arange(N))
    with pytest.raises(UnusableData, match=r"in 4 dimensions .*in 2: .*workerConfig.embeddings.*dataset.name"):
        run_pipeline(dataset.set_up("tuesday", embeddings="short.csv"))


@pytest.mark.usefixtures("without_report")
def test_parts_of_two_pools_in_one_folder_are_refused(dataset):
    dataset.run("monday")
    (part,) = dataset.parts()
    own = parse_part(part.read_bytes())
    header = dataclasses.replace(own.header, run_id="x", encoder="another")
    part.with_name("x.npz").write_bytes(dump_part(dataclasses.replace(own, header=header)))
    with pytest.raises(UnusableData, match="of several pools together"):
        datapool_stage.load_datapool(dataset.set_up("tuesday"))


def load(content):
    with np.load(io.BytesIO(content)) as columns:
        return dict(columns)


def compress(content):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{**load(content), "vectors": np.zeros((2, 100_000), np.float32)})
    return buffer.getvalue()


def change_header(content, header):
    buffer = io.BytesIO()
    np.savez(buffer, **{**load(content), "header": np.frombuffer(header, np.uint8)})
    return buffer.getvalue()


def replace_in_header(content, old, new):
    return change_header(content, load(content)["header"].tobytes().replace(old, new))


BROKEN = {
    "no archive": lambda content: b"x" * 99,
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "compressed": compress,
    "a header that is a text": lambda content: change_header(content, b'"a"'),
    "a header that is too deep": lambda content: change_header(content, b"[" * 200_000),
    "a number that counts nothing": lambda content: replace_in_header(content, b'"number": 1', b'"number": 0'),
    "a source that is no text": lambda content: replace_in_header(content, b'"checkpoint a.ckpt"', b"[]"),
    "another format": lambda content: replace_in_header(content, b'"format": 1', b'"format": 2'),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_file_that_is_no_part_is_told_from_one(damage):
    part = PoolPart(
        PartHeader("a-1", 1, "now", "f", "checkpoint a.ckpt"), ["a\nb.jpg", "ü\udcff"], VECTORS[:2],
        np.zeros((2, 32), np.uint8), np.ones(2, np.int64), np.ones(2, np.int32), np.ones(2, np.int32),
        np.array([1, 6], np.uint8), np.array([b"a", b"b"], "S16"), np.array([b"a", b"b", b"c"], "S16"),
        np.zeros(3, "S16"), np.zeros(3, "S8"),
    )  # fmt: skip
    content = dump_part(part)
    again = parse_part(content)
    assert (again.header, again.names) == (part.header, part.names)
    assert again.vectors.tobytes() == part.vectors.tobytes()
    assert again.orientations.tolist() == [1, 6]
    why = "another version" if damage == "another format" else "damaged|its header is"
    with pytest.raises(ValueError, match=why):
        parse_part(BROKEN[damage](content))


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": VECTORS[:1]}, {"vectors": VECTORS[:2].astype(float)}, {"vectors": VECTORS[:2] + np.float32("nan")},
        {"sha256": np.zeros((2, 31), np.uint8)}, {"digests": np.array([b"a"], "S16")}, {"seen": np.zeros(2)},
        {"orientations": np.ones(1, np.uint8)}, {"contents": np.zeros(2, "S16")}, {"places": np.zeros(1, "S16")},
    ],
)  # fmt: skip
def test_a_part_whose_columns_do_not_fit_is_refused(changes):
    part = PoolPart(
        PartHeader("a-1", 1, "now", "f", "c"), ["a", "b"], VECTORS[:2], np.zeros((2, 32), np.uint8),
        np.ones(2, np.int64), np.ones(2, np.int32), np.ones(2, np.int32), np.ones(2, np.uint8),
        np.array([b"a", b"b"], "S16"), np.array([b"a"], "S16"), np.zeros(1, "S16"), np.zeros(1, "S8"),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"fit|finite|digests"):
        parse_part(dump_part(dataclasses.replace(part, **changes)))


DIVERSE = {"input": {"type": "EMBEDDINGS", "task": "t"}, "strategy": {"type": "DIVERSITY"}}


def test_strategies_on_objects_are_refused_beside_the_datapool(make_manifest, tmp_path):
    pooled = {"use_datapool": True, "stopping_condition": None}
    selection = {"n_samples": 3, "strategies": [DIVERSE]}
    manifest = make_manifest(tmp_path, workerConfig=pooled, selectionConfig=selection)
    with pytest.raises(ManifestError, match=r"strategies\[0\].input.task: is about objects"):
        check_supported(parse_manifest(manifest))


def paint(folder, shades):
    """Write a noisy picture for each shade."""
    folder.mkdir(exist_ok=True)
    for shade in shades:
        noise = Image.effect_noise((48, 32), 20 + shade).convert("RGB")
        plain = Image.new("RGB", (48, 32), (shade, 255 - shade, 128))
        Image.blend(noise, plain, 0.7).save(folder / f"{shade:03}.png")


@pytest.fixture
def run_with_network(make_manifest, tmp_path):
    """Return a function (name) that embeds the pictures with the network of .lightly/start.ckpt."""

    def run(name):
        manifest = make_manifest(tmp_path / "pictures", dataset={"name": "d"}, workerConfig={"use_datapool": True})
        manifest["metadata"] = {"name": name}
        (tmp_path / "scratch" / name).mkdir(parents=True)
        place = set_up(parse_manifest(manifest), tmp_path / "scratch" / name, Progress(quiet=True))
        return run_pipeline(place).counts, tmp_path / "output" / place.run_key

    return run


def test_a_copy_of_a_pooled_image_is_a_duplicate_and_another_network_is_refused(run_with_network, tmp_path):
    folder = tmp_path / "pictures"
    paint(folder, range(0, 200, 20))
    _, first = run_with_network("monday")
    picked = (first / "filenames/sampled_filenames_excluding_datapool.txt").read_text().splitlines()
    (folder / "copy.png").write_bytes((folder / picked[0]).read_bytes())
    paint(folder, (5, 105))
    counts, second = run_with_network("tuesday")
    assert (counts.input, counts.duplicate, counts.selected, counts.removed) == (3, 1, 1, 1)
    assert (second / "filenames/duplicate_filenames.txt").read_text() == "copy.png\n"
    report = json.loads((second / "report.json").read_bytes())
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    assert report["exactDuplicates"]["images"] == [{"filename": "copy.png", "duplicateOf": picked[0]}]
    paint(folder, (7,))
    change_weights(tmp_path / "output/.lightly/start.ckpt")
    with pytest.raises(
        UnusableData, match=r"embedded by checkpoint .*Its file, or .*input_size, has changed.*begin a new pool"
    ):
        run_with_network("wednesday")


@pytest.mark.parametrize(
    ("source", "way"),
    [
        (
            "zoo resnet-18/simclr/d32/w1.0",
            "set spec.lightlyConfig.model to what it was: {name: resnet-18, num_ftrs: 32, width: 1.0}",
        ),
        ("checkpoint .lightly/a.ckpt", "set spec.workerConfig.checkpoint: .lightly/a.ckpt"),
        ("encoder .lightly/encoders/x/", "set spec.workerConfig.encoder: .lightly/encoders/x/"),
        ("built in", "set spec.workerConfig.encoder: BUILT_IN, without checkpoint"),
        ("embeddings a.csv", "set spec.workerConfig.embeddings to a table that the same network made"),
    ],
)
def test_a_run_that_embeds_otherwise_is_told_what_makes_it_embed_as_the_pool(source, way):
    assert advise_encoder(source).startswith(way)


def change_weights(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    changed = {key: value * 1.5 if value.is_floating_point() else value for key, value in state.items()}
    torch.save({"state_dict": changed}, path)
