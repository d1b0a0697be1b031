"""QUERIES in selections, by sources made by hand: values, picks and words, beside brute force."""

import numpy as np
import pytest
from choosing import choose_images
from test_selecting_strategies import make_catalog, make_spec

from selection_job.errors import UnusableData
from selection_job.manifest.query import Query
from selection_job.numeric.sentences import Fit
from selection_job.selection.gathered_sources import GatheredSources

N = 30
RNG = np.random.default_rng(8)
VECTORS = RNG.normal(size=(N, 6)).astype(np.float32)
FITS = RNG.uniform(-0.4, 0.9, N)
TEXT, AMONG = Query(("a cyclist",)), Query(("a cyclist",), ("a road", "a car"))
FOLDER = Query(folder="holes/")
NAMES = [f"{row:04}.jpg" for row in range(N)]
ENCODER = {"encoder": "clips/"}


def sources(fits=FITS, **more):
    of_each = {query: Fit(fits, np.zeros(N, np.int32)) for query in (TEXT, AMONG, FOLDER)}
    return GatheredSources(N, names=NAMES, fits=of_each, **more)


def choose(query, strategy, *, n_samples=5, duplicate_of=None, fits=FITS, beside=(), normalize=True, **more):
    given = {"type": "QUERIES"}
    for key, value in (("texts", query.texts), ("other_texts", query.other_texts), ("images", query.folder)):
        if value:
            given[key] = value if isinstance(value, str) else list(value)
    selection = {"n_samples": n_samples, "strategies": [{"input": given, "strategy": strategy}, *beside]}
    spec = make_spec({**ENCODER, "normalize_embeddings": normalize}, selection)
    catalog = make_catalog(list(range(N)) if duplicate_of is None else duplicate_of)
    return choose_images(catalog, VECTORS, spec, sources(fits, **more))


def threshold(value, operation="BIGGER_EQUAL"):
    return {"type": "THRESHOLD", "threshold": value, "operation": operation}


def test_similarity_to_texts_weighs_by_the_logistic_of_what_stands_out():
    found = choose(TEXT, {"type": "SIMILARITY"})
    z = (FITS - FITS.mean()) / FITS.std()
    np.testing.assert_allclose(found.rankings[0].values, 1 / (1 + np.exp(-2 * (z - 2))))
    assert found.selected.tolist() == np.argsort(-FITS)[:5].tolist()


def test_similarity_with_alternatives_weighs_by_the_probability():
    probabilities = (FITS + 0.4) / 1.3
    found = choose(AMONG, {"type": "SIMILARITY"}, fits=probabilities)
    assert found.rankings[0].values.tolist() == probabilities.tolist()


def test_similarity_to_images_keeps_its_formula():
    queries = VECTORS[3:5] * 7
    found = choose(FOLDER, {"type": "SIMILARITY"}, folders={"holes/": queries})
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    distances = np.linalg.norm(unit[:, None] - unit[None, 3:5], axis=2).min(axis=1)
    np.testing.assert_allclose(found.rankings[0].values, np.exp(-distances / distances.mean()), atol=1e-5)


def test_a_threshold_on_texts_alone_compares_the_share_that_fits_less_well():
    found = choose(TEXT, threshold(0.9), n_samples=-1)
    best = sorted(np.argsort(-FITS)[:3].tolist())
    assert sorted(found.selected.tolist()) == best, "27 of the 29 others lie below the third best"
    assert choose(TEXT, threshold(1.0), n_samples=-1).selected.tolist() == [int(np.argmax(FITS))]


def test_only_what_can_be_chosen_counts_as_a_share_and_as_what_values_stand_out_from():
    duplicate_of = list(range(N))
    best = int(np.argmax(FITS))
    duplicate_of[best] = 0 if best else 1
    rest = np.delete(FITS, best)
    found = choose(TEXT, threshold(1.0), n_samples=-1, duplicate_of=duplicate_of)
    assert found.selected.tolist() == [int(np.flatnonzero(rest.max() == FITS)[0])]
    weighed = choose(TEXT, {"type": "SIMILARITY"}, duplicate_of=duplicate_of)
    z = (rest - rest.mean()) / rest.std()
    np.testing.assert_allclose(weighed.rankings[0].values, 1 / (1 + np.exp(-2 * (z - 2))))


@pytest.mark.parametrize("query", [AMONG, FOLDER])
def test_a_threshold_compares_the_probability_or_the_cosine_itself(query):
    found = choose(query, threshold(0.5, "BIGGER"), n_samples=-1)
    assert sorted(found.selected.tolist()) == np.flatnonzero(FITS > 0.5).tolist()


def test_a_threshold_that_keeps_nothing_names_the_best_and_their_values():
    with pytest.raises(UnusableData) as caught:
        choose(AMONG, threshold(0.95))
    best = np.argsort(-FITS)[:5]
    listed = ", ".join(f"{NAMES[row]} ({FITS[row]:.2g})" for row in best)
    assert str(caught.value) == (
        f"spec.selectionConfig.strategies[0]: THRESHOLD keeps no image: the best has {FITS[best[0]]:.2g} for "
        f'"a cyclist" among 3 sentences. The best: {listed}. Lower the threshold.'
    )


def test_a_threshold_from_above_that_keeps_nothing_says_the_span():
    with pytest.raises(UnusableData, match=r"No image passes: .*values from"):
        choose(AMONG, threshold(-0.9, "SMALLER"))


def test_names_of_strategies_say_what_is_looked_for():
    found = choose(AMONG, threshold(0.5), beside=[{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}])
    assert found.thresholds[0].name == 'THRESHOLD on QUERIES "a cyclist" against 2 others BIGGER_EQUAL 0.5'
