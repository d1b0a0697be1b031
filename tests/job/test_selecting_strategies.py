"""Every strategy of selectionConfig through choose_images: the published cases, and a brute force for mixes."""

import numpy as np
import pytest
from choosing import choose_images
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_api import parse_manifest
from selection_job.catalog.catalog import Catalog
from selection_job.errors import UnusableData
from selection_job.metadata.metadata_column import MetadataColumn


def make_spec(worker, selection=None):
    folders = {"input": "/data/in", "lightly": "/data/out"}
    spec = {
        "datasources": {key: {"type": "LOCAL", "resourcePath": path} for key, path in folders.items()},
        "workerConfig": worker,
        "selectionConfig": selection,
    }
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    return parse_manifest({**names, "spec": spec}).spec


def make_catalog(duplicate_of):
    n = len(duplicate_of)
    ones = np.ones(n, np.int32)
    names = [f"{row:04}.jpg" for row in range(n)]
    return Catalog(names, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), ones, ones, np.array(duplicate_of), {})


class HandMade:
    """Sources over plain dictionaries."""

    def __init__(self, *, scores=None, counts=None, classes=None, columns=None, objects=None, queries=None):
        self.by_score, self.counts, self.classes = scores or {}, counts or {}, classes or {}
        self.columns, self.objects, self.queries = columns or {}, objects or {}, queries or {}

    def scores(self, task, score):
        return np.asarray(self.by_score[task, score], dtype=float)

    def category_counts(self, task, categories):
        return np.sum([self.counts[task, name] for name in categories], axis=0).astype(float)

    def class_distributions(self, task):
        shares, names = self.classes[task]
        return np.asarray(shares, dtype=float), names

    def metadata(self, key):
        return self.columns[key]

    def name_items(self, rows):
        return [f"{row}.jpg" for row in rows.tolist()]

    def labels(self, key, rows):
        return [self.columns[key].need_labels()[row] for row in rows.tolist()], np.arange(len(rows))

    def object_vectors(self, task):
        vectors, owners = self.objects[task]
        return np.asarray(vectors, dtype=np.float32), np.asarray(owners, dtype=np.int64)

    def query_vectors(self, dataset_id, tag_name):
        return np.asarray(self.queries[dataset_id, tag_name], dtype=np.float32)


def numbers(key, *values):
    return {key: MetadataColumn(key, numbers=np.array(values, dtype=float))}


def labels(key, *values):
    return {key: MetadataColumn(key, labels=list(values))}


SCORES = {"type": "SCORES", "task": "t", "score": "s"}
DATASET, TAG = "a" * 24, "queries"


def entry(kind, what=None, **fields):
    return {"input": what or {"type": "EMBEDDINGS"}, "strategy": {"type": kind, **fields}}


def metadata(key):
    return {"type": "METADATA", "key": key}


def predictions(name, **more):
    return {"type": "PREDICTIONS", "task": "t", "name": name, **more}


def select(vectors, n_samples, *entries, duplicate_of=None, normalize=False, **sources):
    vectors = np.asarray(vectors, dtype=np.float32)
    spec = make_spec({"normalize_embeddings": normalize}, {"n_samples": n_samples, "strategies": list(entries)})
    catalog = make_catalog(range(len(vectors)) if duplicate_of is None else duplicate_of)
    return choose_images(catalog, vectors, spec, HandMade(**sources))


def picks(*arguments, **options):
    return select(*arguments, **options).selected.tolist()


FLAT = [[0.0], [0.0], [0.0]]


def test_the_published_small_cases_of_the_sister_engine():
    assert picks([[1], [3], [5]], 2, entry("DIVERSITY")) == [0, 2]
    assert picks(FLAT, 2, entry("WEIGHTS", SCORES), scores={("t", "s"): [1, 2, 3]}) == [2, 1]
    two = [entry("WEIGHTS", SCORES), entry("WEIGHTS", metadata("m"))]
    assert picks(FLAT, 2, *two, scores={("t", "s"): [1, 2, 3]}, columns=numbers("m", 6, 5, 3)) == [1, 2]
    similar = entry("SIMILARITY", {"type": "EMBEDDINGS", "dataset_id": DATASET, "tag_name": TAG})
    queries = {(DATASET, TAG): [[1, 0]]}
    assert picks([[1, 0], [0, 1], [0.9, 0]], 2, similar, queries=queries) == [0, 2]
    balance = entry("BALANCE", predictions("CLASS_DISTRIBUTION"), distribution="TARGET", target={"a": 0.5, "b": 0.5})
    shares = [[1, 0], [0.3, 0.7], [0, 1], [0, 1], [1, 1]]
    assert picks([[0.0]] * 5, 2, balance, classes={"t": (shares, ("a", "b"))}) == [4, 1]


def test_the_documented_product_decides_for_the_second():
    """The worker's page: objective values 21.0/20.8/20.5 and 10.3/10.8/10.9 choose the second."""
    values = {("t", "s"): [21.0, 20.8, 20.5]}
    two = [entry("WEIGHTS", SCORES), entry("WEIGHTS", metadata("m"))]
    assert picks(FLAT, 1, *two, scores=values, columns=numbers("m", 10.3, 10.8, 10.9)) == [1]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("SMALLER", [0]), ("SMALLER_EQUAL", [0, 1]), ("BIGGER", [2, 3]), ("BIGGER_EQUAL", [1, 2, 3])],
)
def test_a_threshold_alone_keeps_all_that_pass_and_no_image_without_a_value(operation, expected):
    limit = entry("THRESHOLD", SCORES, threshold=2, operation=operation)
    selection = select([[0.0]] * 5, -1, limit, scores={("t", "s"): [1, 2, 3, 4, np.nan]})
    assert sorted(selection.selected.tolist()) == expected
    assert selection.stopped_by == "all candidates selected"
    assert selection.n_filtered == 5 - len(expected)


def test_a_threshold_alone_takes_a_fair_sample_of_what_passes_by_the_seed():
    limit = entry("THRESHOLD", SCORES, threshold=10, operation="BIGGER_EQUAL")
    values = {("t", "s"): np.arange(110)}
    selected = picks(np.zeros((110, 1)), 20, limit, scores=values)
    assert len(set(selected)) == 20
    assert min(selected) >= 10
    assert max(selected) > 60
    assert selected != sorted(selected)
    assert selected == picks(np.zeros((110, 1)), 20, limit, scores=values)


def test_several_thresholds_all_hold_and_each_removed_image_knows_the_first_it_failed():
    limits = [
        entry("THRESHOLD", SCORES, threshold=1, operation="BIGGER"),
        entry("THRESHOLD", predictions("CATEGORY_COUNT", categories=["car", "bus"]), threshold=2, operation="SMALLER"),
        entry("DIVERSITY"),
    ]
    selection = select(
        [[0], [1], [2], [3], [4]], 1, *limits,
        scores={("t", "s"): [1, 5, 5, 5, 0]}, counts={("t", "car"): [0, 1, 1, 0, 3], ("t", "bus"): [0, 0, 1, 1, 0]},
    )  # fmt: skip
    assert selection.selected.tolist() == [1]
    assert selection.removed.tolist() == [0, 2, 3, 4]
    assert selection.filtered_by.tolist() == [0, 1, -1, 0]
    assert [record.name for record in selection.thresholds] == [
        "THRESHOLD on SCORES t s BIGGER 1", "THRESHOLD on PREDICTIONS t CATEGORY_COUNT car, bus SMALLER 2",
    ]  # fmt: skip
    assert selection.nearest_distance.tolist() == [1, 1, 2, 3]


def test_diversity_behind_a_threshold_is_farthest_first_over_what_passes():
    rng = np.random.default_rng(0)
    vectors, values = rng.normal(size=(60, 3)), rng.random(60)
    limit = entry("THRESHOLD", SCORES, threshold=0.5, operation="BIGGER")
    selection = select(vectors, 8, limit, entry("DIVERSITY"), scores={("t", "s"): values})
    passing = np.flatnonzero(values > 0.5)
    alone = select(vectors[passing], 8, entry("DIVERSITY"))
    assert selection.method == "coreset"
    assert selection.selected.tolist() == passing[alone.selected].tolist()
    np.testing.assert_array_equal(selection.radii, alone.radii)
    np.testing.assert_array_equal(selection.distances, alone.distances)
    assert alone.distances[0] == np.inf
    np.testing.assert_array_equal(alone.distances[1:], alone.radii[:-1])


def test_a_threshold_that_nothing_passes_is_an_error_with_the_values_there_are():
    limit = entry("THRESHOLD", SCORES, threshold=9, operation="BIGGER")
    with pytest.raises(UnusableData, match=r"strategies\[0\] \(THRESHOLD on SCORES t s BIGGER 9; values from 1 to 3"):
        select(FLAT, 1, limit, scores={("t", "s"): [1, 2, 3]})


def test_fewer_than_asked_for_pass_and_a_note_says_so():
    limit = entry("THRESHOLD", SCORES, threshold=1, operation="BIGGER")
    selection = select(FLAT, 3, limit, entry("DIVERSITY"), scores={("t", "s"): [1, 2, 3]})
    assert selection.notes == [
        "THRESHOLD lets 2 of 3 images pass.", "3 images were asked for and 2 pass: all of them are kept.",
    ]  # fmt: skip


def test_weights_on_counts_and_random_and_their_ends():
    counting = predictions("CATEGORY_COUNT", categories=["car"])
    counts = {("t", "car"): [1, 4, 2]}
    assert picks(FLAT, 2, entry("WEIGHTS", counting), counts=counts) == [1, 2]
    assert picks(FLAT, 2, entry("WEIGHTS", counting, strength=-1), counts=counts) == [0, 2]
    ended = select(FLAT, -1, entry("WEIGHTS", counting, stopping_condition_max_sum=5), counts=counts)
    assert (ended.selected.tolist(), ended.stopped_by) == ([1, 2], "max_sum")
    ranged = entry("WEIGHTS", counting, target_range={"max_sum": 3})
    assert picks(FLAT, 2, ranged, counts=counts) == [2, 0]


def test_a_selection_that_ends_before_its_first_image_is_an_error_with_the_reason():
    scored = {"scores": {("t", "s"): [5, 6, 7]}}
    with pytest.raises(UnusableData, match=r"every image alone takes the sum above target_range\.max_sum"):
        select(FLAT, 2, entry("WEIGHTS", SCORES, target_range={"max_sum": 4}), **scored)
    typical = entry("TYPICALITY", stopping_condition_minimum_typicality=2)
    with pytest.raises(UnusableData, match="less typical than stopping_condition_minimum_typicality"):
        select([[0], [1], [5]], 2, typical)


def test_words_and_numbers_are_told_apart():
    with pytest.raises(UnusableData, match=r"strategies\[0\]: The metadata 'w' hold words, and WEIGHTS needs numbers"):
        select(FLAT, 1, entry("WEIGHTS", metadata("w")), columns=labels("w", "a", "b", "a"))
    with pytest.raises(UnusableData, match="The metadata 'm' are numbers, and BALANCE needs categories"):
        select(FLAT, 1, entry("BALANCE", metadata("m"), distribution="UNIFORM"), columns=numbers("m", 1, 2, 3))
    with pytest.raises(UnusableData, match=r"1 image has no value in WEIGHTS on SCORES t s \('1\.jpg'\)"):
        select(FLAT, 1, entry("WEIGHTS", SCORES), scores={("t", "s"): [1, np.nan, 2]})


WEATHER = ["sun"] * 60 + ["rain"] * 30 + ["snow"] * 10


def shares_of(selected):
    return [sum(WEATHER[row] == word for row in selected) / len(selected) for word in ("sun", "rain", "snow")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"distribution": "UNIFORM"}, [1 / 3, 1 / 3, 1 / 3]),
        ({"distribution": "INPUT"}, [0.6, 0.3, 0.1]),
        ({"distribution": "TARGET", "target": {"snow": 0.3, "rain": 0.2, "sun": 0.5}}, [0.5, 0.2, 0.3]),
    ],
)
def test_labels_are_balanced_to_each_distribution(fields, expected):
    balance = entry("BALANCE", metadata("w"), **fields)
    selection = select(np.zeros((100, 1)), 30, balance, columns=labels("w", *WEATHER))
    np.testing.assert_allclose(shares_of(selection.selected.tolist()), expected, atol=0.04)


def test_the_input_of_a_balance_is_all_that_takes_part_also_what_a_threshold_leaves_out():
    limit = entry("THRESHOLD", metadata("m"), threshold=50, operation="BIGGER_EQUAL")
    balance = entry("BALANCE", metadata("w"), distribution="INPUT")
    columns = labels("w", *WEATHER) | numbers("m", *range(100))
    selection = select(np.zeros((100, 1)), 16, limit, balance, columns=columns)
    np.testing.assert_allclose(shares_of(selection.selected.tolist()), [0.6, 0.3, 0.1], atol=0.05)


def test_what_a_target_leaves_goes_to_all_others_and_with_nothing_left_they_do_not_matter():
    rest = entry("BALANCE", metadata("w"), distribution="TARGET", target={"snow": 0.25})
    selection = select(np.zeros((100, 1)), 20, rest, columns=labels("w", *WEATHER))
    assert shares_of(selection.selected.tolist())[2] == 0.25
    assert selection.rankings[0].classes == ("snow", "(any other)")
    full = entry("BALANCE", metadata("w"), distribution="TARGET", target={"snow": 0.5, "rain": 0.5})
    selection = select(np.zeros((100, 1)), 10, full, entry("WEIGHTS", metadata("m"), strength=1e-3),
                       columns=labels("w", *WEATHER) | numbers("m", *[1] * 100))  # fmt: skip
    chosen = [WEATHER[row] for row in selection.selected.tolist()]
    assert abs(chosen.count("snow") - chosen.count("rain")) <= 1


def test_a_target_that_is_not_there_is_an_error_with_those_that_are():
    wrong = entry("BALANCE", metadata("w"), distribution="TARGET", target={"fog": 0.5, "hail": 0.1})
    with pytest.raises(UnusableData) as caught:
        select(FLAT, 1, wrong, columns=labels("w", "sun", "rain", "sun"))
    assert str(caught.value) == (
        "spec.selectionConfig.strategies[0].strategy.target: 'fog', 'hail' are not among its classes; the metadata "
        "'w' has 'rain', 'sun'."
    )


def test_a_thousand_labels_are_the_most():
    balance = entry("BALANCE", metadata("w"), distribution="UNIFORM")
    with pytest.raises(UnusableData, match=r"strategies\[0\]: The metadata 'w' have 1,001 different values"):
        select(np.zeros((1001, 1)), 1, balance, columns=labels("w", *map(str, range(1001))))


def test_objects_decide_where_diversity_names_a_task():
    """Images 1 and 2 look alike as a whole; only 2 has an object far from that of 0. Image 3 has none."""
    diverse = entry("DIVERSITY", {"type": "EMBEDDINGS", "task": "t"})
    objects = {"t": ([[0], [0.1], [9], [9], [50]], [0, 1, 2, 2, 4])}
    selection = select([[0], [5], [5], [5], [5]], 3, diverse, duplicate_of=[0, 1, 2, 3, 3], objects=objects)
    assert selection.selected.tolist()[:2] == [0, 2]
    assert selection.distances.tolist()[1] == 9
    assert 4 not in selection.candidates


def test_objects_are_scaled_like_images_and_none_at_all_is_an_error():
    diverse = entry("DIVERSITY", {"type": "EMBEDDINGS", "task": "t"})
    objects = {"t": ([[2, 0], [0, 5], [1, 1]], [0, 1, 2])}
    vectors = np.ones((3, 2))
    selection = select(vectors, 2, diverse, normalize=True, objects=objects)
    np.testing.assert_allclose(selection.distances[1], 2**0.5, rtol=1e-6)
    with pytest.raises(UnusableData, match="has no objects on the images"):
        select(vectors, 2, diverse, objects={"t": (np.zeros((0, 2)), [])})


def test_the_typicality_of_objects_is_the_mean_over_an_image_and_0_without_any():
    typical = entry("TYPICALITY", {"type": "EMBEDDINGS", "task": "t"}, num_nearest_neighbors=2)
    objects = {"t": ([[0], [0.1], [0.2], [50]], [0, 0, 1, 2])}
    selection = select(np.zeros((4, 1)), 4, typical, objects=objects)
    values = selection.rankings[0].values
    assert values[3] == 0
    assert selection.selected.tolist()[0] == values.argmax()
    assert values[2] < values[0]
    assert values[2] < values[1]


def test_queries_of_another_dimension_are_an_error():
    similar = entry("SIMILARITY", {"type": "EMBEDDINGS", "dataset_id": DATASET, "tag_name": TAG})
    with pytest.raises(UnusableData, match="The query images have 2 numbers each"):
        select(FLAT, 1, similar, queries={(DATASET, TAG): [[1, 0]]})


def test_the_order_of_the_strategies_does_not_matter():
    rng = np.random.default_rng(3)
    entries = [
        entry("DIVERSITY"),
        entry("WEIGHTS", SCORES),
        entry("THRESHOLD", SCORES, threshold=0.2, operation="BIGGER"),
    ]
    options = {"scores": {("t", "s"): rng.random(50)}}
    vectors = rng.normal(size=(50, 3))
    assert picks(vectors, 12, *entries, **options) == picks(vectors, 12, *entries[::-1], **options)


def brute_force(rows, vectors, values, classes, target, strengths, k):
    """The product of objectives, literally, every distance from scratch at each pick."""
    chosen = []
    for _ in range(k):
        worth = {}
        for row in sorted(set(rows) - set(chosen)):
            total = 0.0
            if chosen:
                others = [[p for p in chosen if p != s] for s in chosen]
                among = sum(
                    min((((vectors[s] - vectors[o]) ** 2).sum() for o in other), default=0.0)
                    for s, other in zip(chosen, others, strict=True)
                )
                total += strengths[0] * np.log(among + min(((vectors[row] - vectors[p]) ** 2).sum() for p in chosen))
            total += strengths[1] * np.log(values[[*chosen, row]].sum())
            counts = classes[[*chosen, row]].sum(axis=0)
            total += strengths[2] * np.log(np.sqrt(counts / counts.sum() * target).sum())
            worth[row] = total
        chosen.append(max(worth, key=lambda row: (worth[row], -row)))
    return chosen


@given(seed=st.integers(0, 10_000), a=st.sampled_from([0.5, 1, -1]), b=st.sampled_from([0.3, 1, -2]))
@settings(max_examples=40, deadline=None)
def test_a_mix_behind_a_threshold_and_without_duplicates_equals_the_brute_force(seed, a, b):
    rng = np.random.default_rng(seed)
    n = 30
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    values, sharp, classes = rng.random(n) + 0.01, rng.random(n), rng.random((n, 3))
    duplicate_of = np.arange(n)
    duplicate_of[[5, 9]] = 0
    mix = [
        entry("BALANCE", predictions("CLASS_DISTRIBUTION"), distribution="UNIFORM", strength=3),
        entry("THRESHOLD", metadata("lightly.sharpness"), threshold=0.2, operation="BIGGER"),
        entry("WEIGHTS", SCORES, strength=b),
        entry("DIVERSITY", strength=a),
    ]
    selection = select(
        vectors, 9, *mix, duplicate_of=duplicate_of, scores={("t", "s"): values},
        classes={"t": (classes, ("a", "b", "c"))}, columns=numbers("lightly.sharpness", *sharp),
    )  # fmt: skip
    rows = [row for row in range(n) if sharp[row] > 0.2 and row not in (5, 9)]
    exact = vectors.astype(np.float64)
    assert selection.selected.tolist() == brute_force(rows, exact, values, classes, np.full(3, 1 / 3), (a, b, 3), 9)
    assert selection.contributions.shape == (9, 3)
    np.testing.assert_allclose(selection.contributions[0, 1], b * np.log(values[selection.selected[0]]))


def test_the_legacy_form_weighs_the_coreset_by_the_score():
    rng = np.random.default_rng(5)
    vectors, values = rng.normal(size=(40, 3)).astype(np.float32), rng.random(40)
    worker = {
        "normalize_embeddings": False, "method": "coral", "stopping_condition": {"n_samples": 9},
        "active_learning": {"task_name": "t", "score_name": "s"},
    }  # fmt: skip
    old = choose_images(make_catalog(range(40)), vectors, make_spec(worker), HandMade(scores={("t", "s"): values}))
    mix = [entry("DIVERSITY"), entry("WEIGHTS", SCORES)]
    assert old.selected.tolist() == picks(vectors, 9, *mix, scores={("t", "s"): values})


TASK = {"type": "EMBEDDINGS", "task": "t"}
QUERY = {"type": "EMBEDDINGS", "dataset_id": DATASET, "tag_name": TAG}
STRENGTHS = st.sampled_from([1, 0, -1, 0.3, 1e9, -1e9])
ANY_ENTRY = st.one_of(
    st.builds(lambda s: entry("DIVERSITY", strength=s), STRENGTHS),
    st.builds(lambda d: entry("DIVERSITY", stopping_condition_minimum_distance=d), st.sampled_from([0, 0.5, 100])),
    st.builds(lambda s: entry("DIVERSITY", TASK, strength=s), STRENGTHS),
    st.builds(lambda s: entry("WEIGHTS", SCORES, strength=s), STRENGTHS),
    st.builds(lambda m: entry("WEIGHTS", metadata("m"), stopping_condition_max_sum=m), st.sampled_from([0, 2, 1e6])),
    st.builds(
        lambda a: entry("WEIGHTS", metadata("m"), target_range=a), st.sampled_from([{"min_sum": 3}, {"max_sum": 1}])
    ),
    st.builds(lambda s: entry("BALANCE", metadata("w"), distribution="UNIFORM", strength=s), STRENGTHS),
    st.just(entry("BALANCE", predictions("CLASS_DISTRIBUTION"), distribution="INPUT")),
    st.just(entry("BALANCE", predictions("CLASS_DISTRIBUTION"), distribution="TARGET", target={"a": 0.2})),
    st.builds(lambda k: entry("TYPICALITY", num_nearest_neighbors=k), st.sampled_from([2, 50])),
    st.just(entry("TYPICALITY", TASK, stopping_condition_minimum_typicality=0.2)),
    st.builds(lambda s: entry("SIMILARITY", QUERY, strength=s), STRENGTHS),
    st.builds(lambda t: entry("THRESHOLD", SCORES, threshold=t, operation="BIGGER"), st.sampled_from([-9, 0, 0.5])),
    st.builds(lambda n: entry("WEIGHTS", {"type": "RANDOM", "random_seed": n}), st.integers(-5, 5)),
)


@given(
    entries=st.lists(ANY_ENTRY, min_size=1, max_size=5), n=st.integers(1, 7), n_samples=st.integers(1, 9),
    scale=st.sampled_from([0, 1, 1e-20, 1e15]), normalize=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_mix_on_little_data_accounts_for_every_image(entries, n, n_samples, scale, normalize, seed):
    rng = np.random.default_rng(seed)
    owners = np.sort(rng.integers(0, n, seed % 5 + 1))
    try:
        selection = select(
            rng.normal(size=(n, 2)) * scale, n_samples, *entries, normalize=normalize,
            scores={("t", "s"): rng.normal(size=n)}, columns=numbers("m", *rng.random(n)) | labels("w", *"abcabca"[:n]),
            classes={"t": (rng.integers(0, 3, (n, 3)), ("a", "b", "c"))},
            objects={"t": (rng.normal(size=(len(owners), 2)) * scale, owners)}, queries={(DATASET, TAG): [[1, 0]]},
        )  # fmt: skip
    except UnusableData:
        return
    assert sorted([*selection.selected.tolist(), *selection.removed.tolist()]) == list(range(n))
    assert len(selection.selected) <= n_samples
    assert not set(selection.selected.tolist()) & set(selection.removed[selection.filtered_by >= 0].tolist())
    k = len(selection.selected)
    assert len(selection.distances) == len(selection.radii) == len(selection.contributions) == k
    assert not np.isnan(selection.contributions).any()
