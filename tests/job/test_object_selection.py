"""Selection of crops as if each was an image: against selections made by hand, and what it means for the images."""

from dataclasses import replace

import numpy as np
import pytest
from choosing import choose_objects

from selection_api import parse_manifest
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.crop_columns import Crops
from selection_job.errors import UnusableData
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.numeric.greedy.objectives import Balance, Diversity, Weights
from selection_job.numeric.strategies import select
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.object_selection import keep_images, own_predictions
from selection_job.selection.selection import PASSED

N, D, CLASSES = 12, 4, ("car", "bus", "tram")


def make_spec(selection=None, **worker):
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    folders = {key: {"type": "LOCAL", "resourcePath": f"/data/{key}"} for key in ("input", "lightly")}
    own = {"object_level": {"task_name": "t"}, "normalize_embeddings": False, **worker}
    return parse_manifest(
        {**names, "spec": {"datasources": folders, "workerConfig": own, "selectionConfig": selection}}
    ).spec


def make_catalog(duplicate_of=range(N)):
    n = len(duplicate_of)
    names = [f"{row:02}.jpg" for row in range(n)]
    ones = np.ones(n, np.int32)
    return Catalog(names, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), ones, ones, np.array(duplicate_of), {})


class Scene:
    """Predictions of a task t, of which some objects can't be cut out, and the crops of the others."""

    def __init__(self, seed=0, owners=None, n=N):
        random = np.random.default_rng(seed)
        given = np.sort(random.integers(1, n, 40)) if owners is None else np.array(owners, dtype=np.int64)
        m = len(given)
        probabilities = random.dirichlet([0.5] * 3, m).astype(np.float32)
        self.task = TaskPredictions(
            name="t", kind="instance-segmentation",
            categories=tuple(Category(i, name) for i, name in enumerate(CLASSES)), has_file=np.ones(n, bool),
            owners=given, category_index=random.integers(0, 3, m).astype(np.int32),
            scores=random.random(m).astype(np.float32), probabilities=probabilities,
            boxes_px=np.ones((m, 4), np.float32), areas_px=np.ones(m), mask_pixels=np.arange(n),
        )  # fmt: skip
        is_cut = np.arange(m) % 5 != 2 if owners is None else np.ones(m, bool)
        self.places = np.flatnonzero(is_cut)
        numbers = np.array([np.count_nonzero(given[:i] == given[i]) for i in range(m)], dtype=np.int32)
        self.crops = Crops(
            "t", CLASSES, image_rows=given[is_cut], index_in_image=numbers[is_cut],
            boxes_px=np.tile(np.array([0, 0, 5, 5], np.int32), (len(self.places), 1)),
            category_index=self.task.category_index[is_cut], scores=self.task.scores[is_cut],
            vectors=random.normal(size=(len(self.places), D)).astype(np.float32),
        )  # fmt: skip
        self.columns = {
            "light": MetadataColumn("light", numbers=random.random(n)),
            "place": MetadataColumn("place", labels=random.choice(["town", "motorway"], n).tolist()),
        }

    def choose(self, spec, catalog=None):
        tasks = {"t": self.task, "lightly_pretagging": self.task}
        sources = GatheredSources(len(self.task.has_file), tasks=tasks, columns=self.columns)
        return choose_objects(catalog or make_catalog(), self.crops, spec, sources)


def entry(kind, what=None, **fields):
    return {"input": what or {"type": "EMBEDDINGS"}, "strategy": {"type": kind, **fields}}


def scores(score):
    return {"type": "SCORES", "task": "t", "score": score}


def picks(objects):
    return objects.selection.selected.tolist()


def farthest_first_by_hand(vectors, k, candidates):
    chosen = [candidates[0]]
    while len(chosen) < k:
        gaps = [min(np.linalg.norm(vectors[i] - vectors[j]) for j in chosen) for i in candidates]
        chosen.append(candidates[int(np.argmax(gaps))])
    return chosen


@pytest.mark.parametrize("seed", range(3))
def test_the_coreset_is_one_of_crops_and_counts_crops(seed):
    scene = Scene(seed)
    expected = farthest_first_by_hand(scene.crops.vectors.astype(float), 9, list(range(len(scene.crops))))
    objects = scene.choose(make_spec(stopping_condition={"n_samples": 9}))
    assert picks(objects) == expected
    gaps = [np.linalg.norm(scene.crops.vectors - scene.crops.vectors[i], axis=1) for i in expected]
    assert objects.selection.radii[-1] == pytest.approx(np.min(gaps, axis=0).max(), rel=1e-6)


def test_naming_the_own_task_says_the_same_as_naming_none():
    scene, named = Scene(), {"type": "EMBEDDINGS", "task": "t"}
    plain, own = (
        scene.choose(make_spec({"n_samples": 9, "strategies": [entry("DIVERSITY", what)]})) for what in (None, named)
    )
    assert picks(plain) == picks(own)
    assert own.selection.method == "coreset"


@pytest.mark.parametrize("seed", range(3))
def test_a_mix_sees_each_crops_own_prediction_and_its_images_metadata(seed):
    scene = Scene(seed)
    strategies = [
        entry("DIVERSITY"),
        entry("WEIGHTS", scores("uncertainty_margin"), strength=2),
        entry("WEIGHTS", {"type": "METADATA", "key": "light"}),
        entry("BALANCE", {"type": "PREDICTIONS", "task": "t", "name": "CLASS_DISTRIBUTION"}, distribution="UNIFORM"),
        entry("BALANCE", {"type": "METADATA", "key": "place"}, distribution="UNIFORM"),
        entry("THRESHOLD", scores("objectness_least_confidence"), threshold=0.8, operation="SMALLER"),
    ]
    objects = scene.choose(make_spec({"n_samples": 8, "strategies": strategies}))
    own = scene.places
    passing = np.flatnonzero(1 - scene.task.scores[own].astype(float) < 0.8)
    rows, owners = own[passing], scene.task.owners[own[passing]]
    shares = scene.task.probabilities[rows].astype(float)
    top = np.sort(shares, axis=1)
    places = np.array([[label == "motorway", label == "town"] for label in scene.columns["place"].labels], float)
    mix = [
        Diversity(scene.crops.vectors[passing]),
        Weights(1 - (top[:, -1] - top[:, -2]), strength=2),
        Weights(scene.columns["light"].numbers[owners]),
        Balance(shares, np.ones(3) / 3),
        Balance(places[owners], np.ones(2) / 2),
    ]
    assert picks(objects) == passing[select(len(passing), mix, 8).indices].tolist()
    assert 0 < objects.selection.n_filtered == len(scene.crops) - len(passing)


def test_a_crop_counts_as_an_image_with_its_one_object():
    scene = Scene()
    counted = {"type": "PREDICTIONS", "task": "t", "name": "CATEGORY_COUNT", "categories": ["bus"]}
    limit = entry("THRESHOLD", counted, threshold=1, operation="BIGGER_EQUAL")
    objects = scene.choose(make_spec({"n_samples": -1, "strategies": [limit]}))
    assert sorted(picks(objects)) == np.flatnonzero(scene.crops.category_index == CLASSES.index("bus")).tolist()


def test_own_predictions_are_those_that_made_the_crops_whatever_was_not_cut_out():
    scene = Scene()
    own = own_predictions(scene.task, scene.crops)
    assert own.scores.tolist() == scene.crops.scores.tolist()
    assert own.owners.tolist() == list(range(len(scene.crops)))
    assert own.mask_pixels.tolist() == scene.crops.image_rows.tolist()
    assert len(own.has_file) == len(scene.crops)


def test_a_share_counts_from_all_crops_and_copies_are_never_chosen():
    duplicate_of = [0, 1, 2, 3, 1, *range(5, N)]
    owners = [1, 1, 2, 4, 4, 5, 6, 7, 7, 9]  # 1 and 4 are one image twice
    scene = Scene(owners=owners)
    spec = make_spec({"proportion_samples": 0.5, "strategies": [entry("DIVERSITY")]})
    objects = scene.choose(spec, make_catalog(duplicate_of))
    assert len(picks(objects)) == 5
    assert not {3, 4} & set(objects.selection.candidates.tolist())
    assert objects.images.tolist() == [row for row in range(N) if row != 4]
    kept = make_spec({"proportion_samples": 1.0, "strategies": [entry("DIVERSITY")]}, remove_exact_duplicates=False)
    assert len(picks(scene.choose(kept, make_catalog(duplicate_of)))) == 10


def test_an_image_is_kept_with_the_first_of_its_crops_and_told_apart_from_those_that_could_not_be():
    scene = Scene(owners=[1, 1, 2, 5, 5, 6, 8])
    limit = entry("THRESHOLD", {"type": "METADATA", "key": "light"}, threshold=0.0, operation="BIGGER")
    scene.columns["light"].numbers[:] = 1
    scene.columns["light"].numbers[6] = -1
    objects = scene.choose(make_spec({"n_samples": 4, "strategies": [entry("DIVERSITY"), limit]}))
    embeddings = np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32)
    selection = keep_images(objects, embeddings, normalize=False)
    owners = scene.crops.image_rows[picks(objects)].tolist()
    assert selection.selected.tolist() == list(dict.fromkeys(owners))
    first = [owners.index(row) for row in selection.selected.tolist()]
    assert selection.distances.tolist() == objects.selection.distances[first].tolist()
    assert sorted([*selection.selected.tolist(), *selection.removed.tolist()]) == list(range(N))
    names = [record.name for record in selection.thresholds]
    assert names == ["at least 1 object of t", "at least 1 object of t that passes every THRESHOLD"]
    reasons = dict(zip(selection.removed.tolist(), selection.filtered_by.tolist(), strict=True))
    assert {row for row, reason in reasons.items() if reason == 0} == set(range(N)) - {1, 2, 5, 6, 8}
    assert {row for row, reason in reasons.items() if reason == 1} == {6}
    assert all(reason == PASSED for row, reason in reasons.items() if row in {1, 2, 5, 8})
    assert selection.thresholds[0].values[:6].tolist() == [0, 2, 1, 0, 0, 2]
    gaps = np.linalg.norm(embeddings[selection.removed][:, None] - embeddings[selection.selected], axis=2)
    assert selection.nearest_selected.tolist() == selection.selected[gaps.argmin(axis=1)].tolist()
    assert selection.nearest_distance == pytest.approx(gaps.min(axis=1), rel=1e-5)
    assert np.isnan(selection.radii).all()


def test_least_numbers_of_pretagging_are_of_images_not_of_crops():
    scene = Scene(owners=[1, 1, 2, 5, 5, 5, 6])
    scene.task.category_index[:] = [4 % 3, 1, 1, 1, 1, 0, 0]
    names = ("bicycle", "person", "car")
    scene.task = replace(scene.task, categories=tuple(Category(i, name) for i, name in enumerate(names)))
    worker = {"pretagging": True, "pretagging_config": {"min_counts": {"person": 2}}}
    objects = scene.choose(make_spec(stopping_condition={"n_samples": 20}, **worker))
    assert sorted(set(scene.crops.image_rows[picks(objects)].tolist())) == [1, 5]
    selection = keep_images(objects, np.zeros((N, 2), np.float32), normalize=True)
    assert [record.name for record in selection.thresholds] == [
        "at least 1 object of t",
        "at least 2 person by pretagging",
    ]
    reasons = dict(zip(selection.removed.tolist(), selection.filtered_by.tolist(), strict=True))
    assert reasons[2] == reasons[6] == 1
    assert reasons[0] == 0
    assert "20 objects were asked for and 5 are there" in " ".join(selection.notes)


def test_where_the_images_with_enough_by_pretagging_have_no_object_the_message_says_so():
    scene = Scene(owners=[1, 1, 2])
    people = TaskPredictions(
        "lightly_pretagging", "object-detection", (Category(0, "person"),), np.ones(N, bool),
        np.array([5]), np.zeros(1, np.int32), np.ones(1, np.float32),
    )  # fmt: skip
    worker = {"pretagging": True, "pretagging_config": {"min_counts": {"person": 1}}}
    spec = make_spec(stopping_condition={"n_samples": 2}, **worker)
    sources = GatheredSources(N, tasks={"t": scene.task, "lightly_pretagging": people})
    with pytest.raises(UnusableData, match=r"no image that passes .*min_counts has an object of the task 't'"):
        choose_objects(make_catalog(), scene.crops, spec, sources)


def test_a_random_choice_of_crops_keeps_their_images():
    scene = Scene()
    objects = scene.choose(make_spec(method="random", stopping_condition={"n_samples": 7}))
    again = scene.choose(make_spec(method="random", stopping_condition={"n_samples": 7}))
    assert len(set(picks(objects))) == 7
    assert picks(objects) == picks(again)
    selection = keep_images(objects, np.ones((N, 2), np.float32), normalize=True)
    assert selection.notes[0].startswith(f"Object level: 7 of {len(scene.crops)} objects of t were chosen; ")


def test_coral_weighs_crops_by_their_own_scores():
    scene = Scene()
    worker = {"method": "coral", "active_learning": {"task_name": "t", "score_name": "uncertainty_entropy"}}
    objects = scene.choose(make_spec(stopping_condition={"n_samples": 6}, **worker))
    shares = scene.task.probabilities[scene.places].astype(float)
    entropy = -(shares * np.log2(shares)).sum(axis=1) / np.log2(3)
    expected = select(len(shares), [Diversity(scene.crops.vectors), Weights(entropy)], 6).indices
    assert picks(objects) == expected.tolist()


def test_no_two_crops_are_nearer_than_the_least_distance():
    scene = Scene()
    objects = scene.choose(make_spec(stopping_condition={"min_distance": 1.5}))
    vectors = scene.crops.vectors[picks(objects)]
    gaps = np.linalg.norm(vectors[:, None] - vectors, axis=2)[~np.eye(len(vectors), dtype=bool)]
    assert gaps.min() >= 1.5
    assert objects.selection.stopped_by == "min_distance"


def test_where_every_object_of_every_image_is_chosen_nothing_is_removed():
    scene = Scene(owners=range(N))
    objects = scene.choose(make_spec(stopping_condition={"n_samples": "100%"}))
    selection = keep_images(objects, np.zeros((N, 2), np.float32), normalize=True)
    assert sorted(selection.selected.tolist()) == list(range(N))
    assert len(selection.removed) == len(objects.selection.removed) == 0
    assert selection.stopped_by == "n_samples"


def test_query_images_are_compared_with_crops():
    scene, queries = Scene(), {("a" * 24, "queries"): np.ones((1, D), np.float32)}
    similar = entry("SIMILARITY", {"type": "EMBEDDINGS", "dataset_id": "a" * 24, "tag_name": "queries"})
    sources = GatheredSources(N, tasks={"t": scene.task}, queries=queries)
    objects = choose_objects(make_catalog(), scene.crops, make_spec({"n_samples": 3, "strategies": [similar]}), sources)
    nearest = np.argsort(np.linalg.norm(scene.crops.vectors - 1, axis=1), kind="stable")
    assert picks(objects) == nearest[:3].tolist()


def test_where_nothing_is_left_the_message_says_why():
    spec = make_spec(stopping_condition={"n_samples": 3})
    with pytest.raises(UnusableData, match=r"no image has an object of the task 't' .*object_level\.task_name"):
        Scene(owners=[]).choose(spec)
    duplicate_of = [0, 0, *range(2, N)]
    with pytest.raises(UnusableData, match="no image has an object"):
        Scene(owners=[1]).choose(spec, make_catalog(duplicate_of))
    nobody = entry("THRESHOLD", scores("objectness_least_confidence"), threshold=2, operation="BIGGER")
    with pytest.raises(UnusableData, match=r"each object of t is chosen as if it was an image\. No image passes"):
        Scene().choose(make_spec({"n_samples": 3, "strategies": [nobody]}))
