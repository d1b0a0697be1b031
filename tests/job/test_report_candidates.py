"""What a filter keeps out counts for nothing in any figure: each number of a report beside its plain definition."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from test_closing_words import SUMMARY
from told_runs import CASES, CLASSES, COPIES, LENGTH, LIMIT, SEED, WORDS, N, balance, judge_each

from selection_job.manifest.medium import IMAGES
from selection_job.manifest.noun import IMAGE
from selection_job.publishing.console_summary import console_summary
from selection_job.report.outcome import list_rest
from selection_job.report.sections.cover import make_cover
from selection_job.report.sections.selection import describe_strategies, make_selection_section, say_filtered
from selection_job.report.sections.sequences import make_sequence_section

SETS = ("input", "selected", "random")
KEPT = ("selected", "removed")


def find_sets(told, case):
    """Return {set: rows}: what could be chosen, what was, and as many of these by chance, or of whole sequences."""
    fates = judge_each(told, case)
    passing = np.array([row for row in range(N) if fates[row] in KEPT])
    k, chance = len(told.selection.selected), np.random.default_rng(SEED)
    if told.sequences is None:
        drawn = passing[chance.choice(len(passing), k, replace=False)]
    else:
        sequences = [rows for rows in told.sequences.sequences.rows.tolist() if set(rows) <= set(passing.tolist())]
        drawn = np.array(sequences)[chance.choice(len(sequences), k // LENGTH, replace=False)].reshape(-1)
    return {"input": passing, "selected": told.selection.selected, "random": np.sort(drawn)}


def between(some, others):
    return np.linalg.norm(some[:, None].astype(float) - others[None], axis=2)


def nearest_other(rows):
    distances = between(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


def check(described, values):
    """A set's numbers are those of these values."""
    low, middle, high = np.percentile(values, (10, 50, 90))
    expected = {
        "mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max(), "percentile10": low,
        "median": middle, "percentile90": high,
    }  # fmt: skip
    assert described["metrics"] == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert described["nMeasured"] == described["nAll"] == sum(described["counts"]) == len(values)


@pytest.fixture(params=CASES)
def audited(tell, request):
    """A run of each kind, and its sets by hand."""
    told = tell(request.param)
    return told, find_sets(told, request.param)


def test_distances_and_radii_are_those_of_what_could_be_chosen(audited):
    told, sets = audited
    vectors, pool = told.embeddings, told.embeddings[N:]
    information = told.report["datasetAnalysis"]["embeddingInformation"]
    for which, rows in sets.items():
        own = vectors[rows]
        check(information["pairwiseDistance"][which], between(own, own)[np.triu_indices(len(own), 1)])
        check(information["distanceToNearestNeighborInSet"][which], nearest_other(own))
        if which != "input":
            cover = between(vectors[sets["input"]], np.concatenate([own, pool])).min(axis=1)
            check(information["distanceToCoverInput"][which], cover)
        if which == "selected":
            selection = told.report["selectionInformation"]
            assert selection["coverRadius"] == pytest.approx(cover.max(), rel=1e-5)
            assert selection["coverMean"] == pytest.approx(cover.mean(), rel=1e-5)
            if selection["coverage"]["isExact"]:
                assert selection["coverRadiusByPick"]["radii"][-1] == selection["coverRadius"]


def test_maps_pairs_and_outliers_are_of_what_could_be_chosen(audited):
    told, sets = audited
    report, names = told.report, np.array(told.catalog.names)
    sample = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"]["sample"]
    assert sample["filenames"] == names[sets["input"]].tolist()
    assert sample["nInput"] == len(sets["input"])
    assert [names[sets["input"]][i] for i in np.flatnonzero(sample["selected"])] == sorted(names[sets["selected"]])
    removed = np.setdiff1d(sets["input"], sets["selected"])
    for one in report["selectedAndRemovedImageExamples"]:
        if one["removedImage"] is not None:
            gaps = between(told.embeddings[names == one["selectedImage"]], told.embeddings[removed])[0]
            assert one["distance"] == pytest.approx(gaps.min(), abs=2e-6)
            assert names[removed[gaps.argmin()]] == one["removedImage"]
    alone = dict(zip(names[sets["input"]], nearest_other(told.embeddings[sets["input"]]), strict=True))
    outliers = {one["filename"]: one["distance"] for one in report["imageGroups"]["outliers"]}
    assert outliers == pytest.approx({name: alone[name] for name in outliers}, abs=2e-6)
    kept = np.concatenate([sets["selected"], np.arange(N, len(names))])
    owners = Counter(names[kept[between(told.embeddings[removed], told.embeddings[kept]).argmin(axis=1)]].tolist())
    for group in report["imageGroups"]["thinned"]:
        assert group["nRemoved"] == owners[group["selectedImage"]]


def test_metadata_and_predictions_are_those_of_what_could_be_chosen(audited):
    told, sets = audited
    metadata = told.report["datasetAnalysis"]["metadataInformation"]
    task = told.report["predictionTaskInformation"]["t"]
    n_objects = np.bincount(told.task.owners, minlength=len(told.catalog.names))
    for which, rows in sets.items():
        check(metadata["customNumeric"]["m"][which], told.numbers[rows])
        words = Counter(told.words[row] for row in rows)
        column = metadata["customCategorical"]["w"]
        assert dict(zip(column["labels"], column[which]["counts"], strict=True)) == {
            label: words[label] for label in column["labels"]
        }
        check(task["objectsPerSample"][which], n_objects[rows].astype(float))
        assert sum(task["categoryDistribution"][which]["counts"]) == n_objects[rows].sum()
        assert task["nImagesWithPredictions"][which] == len(rows)


def find_level(told, sets):
    """Return what was chosen one by one: its part of the report, (numbers, vectors) and, by set, its rows."""
    if told.objects is None and told.sequences is None:
        return told.report["selectionInformation"], told.numbers, told.embeddings, sets
    if told.objects is not None:
        crops, chosen = told.objects.crops, told.objects.selection
        level, owners = told.report["objectLevelInformation"], crops.image_rows
        numbers, vectors = told.numbers[owners], crops.vectors
        passing = np.flatnonzero(np.isin(owners, sets["input"]))
    else:
        rows, chosen = told.sequences.sequences.rows, told.sequences.selection
        level = told.report["sequenceInformation"]
        numbers = told.numbers[rows].mean(axis=1)
        vectors = np.concatenate([told.embeddings[rows].mean(axis=1), told.embeddings[N:]])
        passing = np.flatnonzero(np.isin(rows, sets["input"]).all(axis=1))
    drawn = np.random.default_rng(SEED).choice(len(passing), len(chosen.selected), replace=False)
    return level, numbers, vectors, {"input": passing, "selected": chosen.selected, "random": passing[np.sort(drawn)]}


def is_no_copy(told, place):
    """Whether the image, the object or the sequence at this place took part."""
    if told.objects is not None:
        return told.objects.crops.image_rows[place] not in COPIES
    return told.sequences is not None or place not in COPIES


def test_strategies_are_told_by_what_could_be_chosen_and_a_threshold_by_all_it_looked_at(audited):
    told, sets = audited
    level, numbers, vectors, own_sets = find_level(told, sets)
    n_own = len(vectors) - (len(told.catalog.names) - N if told.objects is None else 0)
    kept = np.concatenate([own_sets["selected"], np.arange(n_own, len(vectors))])
    cover = between(vectors[own_sets["input"]], vectors[kept]).min(axis=1)
    assert (level["coverRadius"], level["coverMean"]) == pytest.approx((cover.max(), cover.mean()), rel=1e-5)
    assert level.get("nCandidates", 0) in (0, len(own_sets["input"]) + level["nFiltered"])
    for entry in level["strategies"]:
        expected = expect_effect(entry, told, numbers, vectors[:n_own], own_sets)
        assert [entry[which] for which in SETS] == pytest.approx(expected, rel=1e-5)


def expect_effect(entry, told, numbers, vectors, sets):
    """Return by set what a strategy is told by; the classes of a BALANCE are checked here."""
    if entry["type"] == "WEIGHTS":
        return [numbers[rows].mean() for rows in sets.values()]
    if entry["type"] == "DIVERSITY":
        return [nearest_other(vectors[rows]).mean() for rows in sets.values()]
    if entry["type"] == "THRESHOLD":
        passes = [holds(entry["name"], row, told, numbers) for row in range(len(vectors)) if is_no_copy(told, row)]
        assert entry["nPassing"] == sum(passes)
        return [np.mean(passes), 1, 1]
    words = [Counter(told.words[row] for row in rows) for rows in sets.values()]
    shares = {one["name"]: [counted[one["name"]] / counted.total() for counted in words] for one in entry["classes"]}
    for one in entry["classes"]:
        assert [one[which] for which in SETS] == pytest.approx(shares[one["name"]])
    targets = {one["name"]: one["target"] for one in entry["classes"]}
    return [sum(np.sqrt(shares[name][i] * targets[name]) for name in targets) for i in range(3)]


def holds(name, row, told, numbers):
    if name == "at least 1 car by pretagging":
        return 0 in told.task.category_index[told.task.owners == row]
    return numbers[row] < 0.8 if "SMALLER" in name else numbers[row] > 0.35


def test_classes_of_objects_are_counted_among_those_that_could_be_chosen(tell):
    for case in ("objects", "objects behind a threshold"):
        told = tell(case)
        level, _, _, sets = find_level(told, find_sets(told, case))
        kinds = told.objects.crops.category_index
        for place, one in enumerate(level["categories"]):
            assert one["name"] == CLASSES[place]
            for which, rows in sets.items():
                assert one[which] == np.count_nonzero(kinds[rows] == place)


TARGETS = {
    "INPUT": {},
    "UNIFORM": {},
    "TARGET": {"target": {"day": 0.5, "dusk": 0.2, "night": 0.3}},
}


@pytest.mark.parametrize("has_pool", [False, True])
@pytest.mark.parametrize("distribution", TARGETS)
def test_a_class_that_only_filtered_images_have_has_no_target_and_the_report_says_why(tell, distribution, has_pool):
    strategies = [LIMIT, balance(distribution, **TARGETS[distribution])]
    case = (strategies, 9, {}, has_pool)
    plain = tell(case)
    numbers, rng = plain.numbers, np.random.default_rng(8)
    words = [rng.choice(WORDS[:2]) if number > 0.35 else WORDS[row % 3] for row, number in enumerate(numbers)]
    words[N:] = ["night"] * (len(words) - N)
    told = tell(case, words=words)
    selection = told.report["selectionInformation"]
    entry = next(one for one in selection["strategies"] if one["type"] == "BALANCE")
    found = {one["name"]: one["target"] for one in entry["classes"]}
    fates = judge_each(told, case)
    takes_part = [row for row in range(N) if fates[row] != "duplicate"] + list(range(N, len(words)))
    counted = Counter(words[row] for row in takes_part)
    wanted = {
        "INPUT": {word: counted[word] / counted.total() for word in WORDS},
        "UNIFORM": dict.fromkeys(WORDS, 1 / 3),
        "TARGET": TARGETS["TARGET"].get("target", {}),
    }[distribution]
    said = " ".join(str(describe_strategies(selection, IMAGE)).split())
    why = "Nothing that could be chosen has any of 'night': no target (–)"
    if has_pool:
        assert found == pytest.approx(wanted)
        assert why not in said
    else:
        left = 1 - wanted["night"]
        assert found.pop("night") is None
        assert found == pytest.approx({word: wanted[word] / left for word in ("day", "dusk")})
        assert why in said
    assert ("those that a THRESHOLD kept out as well" in said) == (distribution == "INPUT")
    shares = {which: Counter(words[row] for row in rows) for which, rows in find_sets(told, case).items()}
    for which, counts in shares.items():
        overlap = sum(np.sqrt(counts[word] / counts.total() * target) for word, target in found.items() if target)
        assert entry[which] == pytest.approx(overlap)


def test_a_target_out_of_reach_changes_no_pick(tell):
    """UNIFORM over classes of which one is only on filtered images, and over the others alone."""
    for distribution, target in (("UNIFORM", {}), ("TARGET", {"target": {"day": 0.5, "dusk": 0.2, "night": 0.3}})):
        case = ([LIMIT, CASES["coreset"][0][0], balance(distribution, **target)], 12, {}, False)
        numbers = tell(case).numbers
        words = ["night" if number <= 0.35 else WORDS[row % 2] for row, number in enumerate(numbers)]
        without = ["day" if word == "night" else word for word in words]
        own = {"target": {"day": 0.5 / 0.7, "dusk": 0.2 / 0.7}} if target else {}
        other = ([*case[0][:2], balance(distribution, **own)], 12, {}, False)
        picks = [tell(one, words=given).selection.selected.tolist() for one, given in ((case, words), (other, without))]
        assert picks[0] == picks[1]


def test_pages_say_what_the_figures_are_about(tell):
    plain, filtered = tell("coreset").report, tell("threshold").report
    assert say_filtered(plain) == []
    n = filtered["selectionInformation"]["nFiltered"]
    (line,) = say_filtered(filtered)
    assert line.text.startswith(f"{n} images that a filter kept out before anything was chosen")
    for report, which in ((filtered, "could be chosen"), (plain, "took part in the selection")):
        assert f"that {which}: 0 means" in str(make_cover(report, lambda name: None))


def test_where_all_that_pass_are_kept_there_is_nothing_to_compare_with(tell):
    for strategies in (CASES["threshold"][0], [LIMIT]):
        report = tell((strategies, 500, {}, False)).report
        said = str(make_cover(report, lambda name: None))
        assert "Every image that could be chosen was kept, so there is no other choice to compare with." in said
        assert "are worth labelling. The other" in said
        assert "are exact copies or do not pass a THRESHOLD." in said
        assert "chosen at random" not in console_summary(SUMMARY, report, {}, IMAGES)


def test_what_a_filter_is_called_and_what_it_looked_at_is_told_in_every_place(tell, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "coverage.png")
    told = tell("min_counts")
    assert "min_counts lets 16 of 42 images pass." in told.report["notes"]
    said = str(make_selection_section(told.report, tmp_path))
    assert "the farthest of all images that pass min_counts to its nearest selected one" in said
    assert "The input of a threshold is all that it looked at." in said
    assert "a threshold is all" not in str(make_selection_section(tell("coreset").report, tmp_path))
    sequences = str(make_sequence_section(tell("sequences behind a threshold").report, tmp_path))
    assert "sequences that pass every THRESHOLD, each by the mean" in sequences
    assert "the farthest of all sequences that pass every THRESHOLD to its nearest" in sequences


def test_reasons_are_told_in_the_order_in_which_a_run_looks(tell):
    report = tell("objects behind a threshold").report
    assert [part.kind for part in list_rest(report)] == ["corrupt", "duplicate", "NO_OBJECT", "THRESHOLD", "removed"]
    everything = tell((CASES["threshold"][0], 500, {}, False)).report
    assert "removed: none" in str(make_cover(everything, lambda name: None))
