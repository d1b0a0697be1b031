"""What a run says twice is said once: report.json, PDF, page, tables, lists and summary have the same numbers.

The numbers of report.json are recomputed from the tables and the files that went in. Those that the PDF and the page
print are looked for in their text, with the digits that they print.
"""

import json
import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from report_books import SETS, Books

from selection_api import check_supported, parse_manifest
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.report.report_json import read_schema
from selection_job.run.context import set_up

pytestmark = pytest.mark.slow

K = 10
SHARPNESS = 26
CLASSES = ["car", "tram <b>&amp;", "bus"]
SCHEMA = [
    {"name": "Scene", "path": "scene", "defaultValue": "undefined", "valueDataType": "CATEGORICAL_STRING"},
    {"name": "Temperature", "path": "temperature", "defaultValue": -5.5, "valueDataType": "NUMERIC_FLOAT"},
]
STRATEGIES = [
    {
        "input": {"type": "METADATA", "key": "lightly.sharpness"},
        "strategy": {"type": "THRESHOLD", "threshold": SHARPNESS, "operation": "BIGGER"},
    },
    {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
    {"input": {"type": "EMBEDDINGS", "task": "street"}, "strategy": {"type": "DIVERSITY"}},
    {"input": {"type": "SCORES", "task": "street", "score": "uncertainty_entropy"}, "strategy": {"type": "WEIGHTS"}},
    {
        "input": {"type": "PREDICTIONS", "task": "street", "name": "CLASS_DISTRIBUTION"},
        "strategy": {"type": "BALANCE", "distribution": "UNIFORM", "strength": 4.0},
    },
    {"input": {"type": "METADATA", "key": "scene"}, "strategy": {"type": "BALANCE", "distribution": "INPUT"}},
    {"input": {"type": "METADATA", "key": "temperature"}, "strategy": {"type": "WEIGHTS"}},
]
FACTORS = {"label_cost_usd": {"object_detection": 0.25}, "labels_per_image": 3, "grid_intensity_g_per_kwh": 321}
TASKS = {
    "imageClassification": ("Image classification", "classes", "image_classification"),
    "objectDetection": ("Object detection", "boxes", "object_detection"),
    "semanticSegmentation": ("Semantic segmentation", "segments", "semantic_segmentation"),
}
LIGHTLY = {
    "model": {"name": "resnet-9", "width": 0.25, "num_ftrs": 16},
    "collate": {"input_size": 32},
    "loader": {"batch_size": 8, "num_workers": 0},
    "trainer": {"gpus": 0},
}
METRICS = ("mean", "std", "min", "percentile10", "median", "percentile90", "max")
LABELS = {"input": "input (before)", "selected": "selected (after)", "random": "random choice"}


@pytest.fixture(scope="module")
def books(photos, checkpoint, tmp_path_factory):
    """One run that looks at metadata and predictions, over near-duplicates, copies and corrupt files."""
    base = tmp_path_factory.mktemp("books")
    lightly = base / "output/.lightly"
    values, objects = write_sources(lightly, photos.readable)
    (lightly / "start.ckpt").write_bytes(Path(checkpoint).read_bytes())
    datasources = {
        purpose: {"type": "LOCAL", "resourcePath": str(folder)}
        for purpose, folder in (("input", photos.folder), ("lightly", base / "output"))
    }
    spec = {
        "datasources": datasources,
        "workerConfig": {"checkpoint": ".lightly/start.ckpt", "n_example_images": 4, "report": FACTORS},
        "selectionConfig": {"n_samples": K, "strategies": STRATEGIES},
        "lightlyConfig": LIGHTLY,
    }
    head = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "books"}}
    (base / "scratch").mkdir()
    run = check_supported(parse_manifest({**head, "spec": spec}))
    place = set_up(run, base / "scratch", Progress(quiet=True))
    summary = run_pipeline(place)
    return Books(Path(place.target.url) / place.run_key, summary, photos, values, objects)


def write_sources(lightly, names):
    """Write metadata and predictions of the images; return them by name. The third image has no prediction."""
    random, values, objects = np.random.default_rng(5), {}, {}
    categories = [{"id": 7 * i, "name": name} for i, name in enumerate(CLASSES)]
    files = {
        "metadata/schema.json": SCHEMA,
        "predictions/tasks.json": ["street"],
        "predictions/street/schema.json": {"task_type": "object-detection", "categories": categories},
    }
    for i, name in enumerate(names):
        values[name] = (["day, clear", "night", "dusk <i>"][i % 3], i / 4)
        objects[name] = make_objects(random)
        stem, (scene, temperature) = re.sub(r"\.[^.]*$", ".json", name), values[name]
        metadata = {"scene": scene, "temperature": temperature}
        files[f"metadata/{stem}"] = {"file_name": name, "type": "image", "metadata": metadata}
        files[f"predictions/street/{stem}"] = {"file_name": name, "predictions": list(map(as_json, objects[name]))}
    files.pop("predictions/street/" + re.sub(r"\.[^.]*$", ".json", names[2]))
    del objects[names[2]]
    for key, content in files.items():
        (lightly / key).parent.mkdir(parents=True, exist_ok=True)
        (lightly / key).write_text(json.dumps(content), encoding="utf-8")
    return values, objects


def make_objects(random):
    found = []
    for _ in range(random.integers(0, 4)):
        probabilities = random.dirichlet([3, 1, 0.4])
        found.append((int(probabilities.argmax()), float(probabilities.max()), probabilities.tolist()))
    return found


def as_json(one):
    place, score, probabilities = one
    box = [4 + 5 * place, 6, 30, 40]
    return {"category_id": 7 * place, "bbox": box, "score": score, "probabilities": probabilities}


def share(part, whole):
    percent = 100 * part / whole
    return f"{percent:.1f}%" if 0 < percent < 9.95 else f"{percent:.0f}%"


def four_digits(value):
    return f"{value:.4g}"


def check_metrics(described, values):
    """The seven metrics and the histogram's total are those of the values."""
    low, middle, high = np.percentile(values, (10, 50, 90))
    expected = [values.mean(), values.std(), values.min(), low, middle, high, values.max()]
    assert [described["metrics"][name] for name in METRICS] == pytest.approx(expected, rel=2e-5, abs=2e-7)
    assert sum(described["counts"]) == described["nMeasured"] == len(values)


def test_the_report_follows_its_schema(books):
    jsonschema.validate(books.report, read_schema())


def test_counts_are_those_of_the_input_the_lists_the_tables_and_the_summary_and_add_up(books):
    sizes, photos = books.report["generalInformation"]["datasetInformation"]["datasetSizes"], books.photos
    lists = {kind: books.names(kind) for kind in ("corrupt", "duplicate", "removed", "selected")}
    chosen = lists["selected"]
    assert sizes == {
        "nInput": photos.total,
        "nCorrupt": len(photos.corrupt),
        "nDuplicate": len(photos.duplicates),
        "nRemoved": len(lists["removed"]),
        "nSelected": K,
        "nPreselectedDatapool": 0,
        "nSelectedWithDatapool": K,
    }
    assert photos.total == sum(map(len, lists.values()))
    assert sorted(chain(*lists.values())) == sorted([*photos.readable, *photos.corrupt])
    counts = books.summary.counts
    assert (counts.input, counts.corrupt, counts.duplicate) == (
        photos.total,
        *map(len, (lists["corrupt"], lists["duplicate"])),
    )
    assert (counts.selected, counts.removed) == (len(chosen), len(lists["removed"]))
    rows = books.table("selection")
    assert [row["filename"] for row in rows] == [*chosen, *lists["removed"]]
    embedded = [row["filenames"] for row in books.table("embeddings")]
    assert sorted(embedded) == sorted([*chosen, *lists["removed"]])
    passing = {row["filename"] for row in rows if row["decision"] != "filtered"}
    assert books.candidates == [name for name in embedded if name in passing]
    assert [row["filename"] for row in books.table("clean")] == photos.readable
    metadata = books.table("metadata")
    assert [row["filename"] for row in metadata] == photos.readable
    assert sorted(row["filename"] for row in metadata if row["selected"] == "true") == sorted(chosen)
    filtered = Counter(row["decision"] for row in rows)["filtered"]
    assert books.report["selectionInformation"]["nFiltered"] == filtered > 0
    books.check_shown(f"{K} of {photos.total} images ({share(K, photos.total)}) are worth labelling first.")
    reasons = "can't be used, are exact copies, do not pass a THRESHOLD or are worth less to the strategies together"
    books.check_shown(f"The other {photos.total - K} {reasons}.")


def test_corrupt_images_and_copies_are_listed_alike(books):
    corrupt, copies = books.report["corruptImages"], books.report["exactDuplicates"]
    assert corrupt["total"] == sum(corrupt["kinds"].values()) == len(corrupt["images"])
    assert sorted(entry["filename"] for entry in corrupt["images"]) == books.names("corrupt") == books.photos.corrupt
    for entry in corrupt["images"]:
        books.check_shown(entry["filename"], entry["reason"])
    assert {one["filename"]: one["duplicateOf"] for one in copies["images"]} == books.photos.duplicates
    assert copies["total"] == sum(group["nCopies"] for group in copies["groups"]) == len(books.names("duplicate"))
    for name, original in books.photos.duplicates.items():
        books.check_shown(name, original)


def between(rows, others):
    return np.linalg.norm(rows[:, None] - others[None], axis=2)


def nearest_other(rows):
    distances = between(rows, rows)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1)


def test_distances_are_those_of_the_embeddings_and_are_printed_as_measured(books):
    unit, sets = books.unit_rows, books.sets
    pairs = {which: between(unit[rows], unit[rows])[np.triu_indices(len(rows), 1)] for which, rows in sets.items()}
    alone = {which: nearest_other(unit[rows]) for which, rows in sets.items()}
    cover = {which: between(unit, unit[sets[which]]).min(axis=1) for which in ("selected", "random")}
    information = books.report["datasetAnalysis"]["embeddingInformation"]
    for key, expected in {
        "pairwiseDistance": pairs,
        "distanceToNearestNeighborInSet": alone,
        "distanceToCoverInput": cover,
    }.items():
        for which, values in expected.items():
            described = information[key][which]
            check_metrics(described, values)
            assert described["nAll"] == len(values)
            numbers = [f"{described['metrics'][name]:,.3f}" for name in METRICS]
            books.check_shown(LABELS[which], *numbers, f"{len(values):,}")
    selection = books.report["selectionInformation"]
    assert selection["coverRadius"] == pytest.approx(cover["selected"].max(), rel=1e-5)
    assert selection["coverMean"] == pytest.approx(cover["selected"].mean(), rel=1e-5)
    covering, neighbours = information["distanceToCoverInput"], information["distanceToNearestNeighborInSet"]
    for words, key, of in (
        ("Farthest image from a labelled one", "max", covering),
        ("Typical image from a labelled one (mean)", "mean", covering),
        ("Labelled image from its nearest (median)", "median", neighbours),
    ):
        both = [f"{of[which]['metrics'][key]:.3f} {which}" for which in ("selected", "random")]
        better = "larger" if of is neighbours else "smaller"
        books.check_shown(words, f"{better} is better", *both)


def test_decisions_and_outliers_have_the_distances_of_the_tables(books):
    removed = {row["filename"]: row for row in books.table("selection") if row["decision"] == "removed"}
    unit, names = books.unit_rows, books.candidates
    for row in removed.values():
        gap = between(unit[[names.index(row["filename"])]], unit[books.sets["selected"]])[0]
        assert float(row["distance_to_it"]) == pytest.approx(gap.min(), abs=2e-6)
        assert gap[books.names("selected").index(row["nearest_selected"])] == pytest.approx(gap.min(), abs=2e-6)
    examples = books.report["selectedAndRemovedImageExamples"]
    assert len(examples) == 4
    for one in examples:
        gap = between(unit[[names.index(one["selectedImage"])]], unit[[names.index(name) for name in removed]])[0]
        assert one["distance"] == pytest.approx(gap.min(), abs=2e-6)
        books.check_shown(one["selectedImage"], f"{one['distance']:.4f}", one["removedImage"])
    alone = nearest_other(unit)
    for one in books.report["imageGroups"]["outliers"]:
        assert one["distance"] == pytest.approx(alone[names.index(one["filename"])], abs=2e-6)
        books.check_shown(one["filename"], f"{one['distance']:.3f}")
    stands_for = Counter(row["nearest_selected"] for row in removed.values())
    for group in books.report["imageGroups"]["thinned"]:
        assert group["nRemoved"] == stands_for[group["selectedImage"]]
        books.check_shown(group["selectedImage"], f"for {group['nRemoved']} removed")


def test_metadata_are_those_of_the_table_and_of_the_files(books):
    table = {row["filename"]: row for row in books.table("metadata")}
    assert {name: (row["scene"], float(row["temperature"])) for name, row in table.items()} == books.values
    found = books.report["datasetAnalysis"]["metadataInformation"]
    numbers = {**found["lightlyNumeric"], **found["customNumeric"]}
    clean = {row["filename"]: row for row in books.table("clean")}
    for key, rows, column in (
        ("lightly.sharpness", table, "lightly.sharpness"),
        ("temperature", table, "temperature"),
        ("lightly.width", clean, "width_px"),
        ("lightly.height", clean, "height_px"),
        ("lightly.sizeInBytes", clean, "bytes"),
    ):
        expected = books.of_sets(lambda name, rows=rows, column=column: float(rows[name][column]))
        for which, values in expected.items():
            check_metrics(numbers[key][which], values)
        spans = [numbers[key]["input"]["metrics"][end] for end in ("min", "max")]
        means = [numbers[key][which]["metrics"]["mean"] for which in SETS]
        books.check_shown(key, *map(four_digits, [*spans, *means]))
    assert found["nKeys"] == len(numbers) + 1 == 6
    scene = found["customCategorical"]["scene"]
    for which, words in books.of_sets(lambda name: table[name]["scene"]).items():
        counted = Counter(words.tolist())
        assert dict(zip(scene["labels"], scene[which]["counts"], strict=True)) == {
            label: counted[label] for label in scene["labels"]
        }
        assert sum(scene[which]["counts"]) + scene[which]["nOther"] == len(words)


def test_predictions_are_those_of_the_files_and_of_the_crops(books):
    task = books.report["predictionTaskInformation"]["street"]
    classes, evenness, totals, with_file = task["categoryDistribution"], [], [], []
    for which, rows in books.sets.items():
        names = [books.candidates[row] for row in rows]
        own = [place for name in names for place, *_ in books.objects.get(name, [])]
        counted = Counter(CLASSES[place] for place in own)
        assert classes[which]["counts"] == [counted[label] for label in classes["labels"]]
        per_image = np.array([len(books.objects.get(name, [])) for name in names], dtype=float)
        check_metrics(task["objectsPerSample"][which], per_image)
        shares = np.array(list(counted.values())) / len(own)
        evenness.append(-(shares * np.log(shares)).sum() / np.log(3))
        totals.append(len(own))
        with_file.append(sum(name in books.objects for name in names))
        assert task["nImagesWithPredictions"][which] == with_file[-1]
        assert classes[which]["metrics"]["normalizedEntropy"] == pytest.approx(evenness[-1])
    books.check_shown("images with predictions", *with_file)
    books.check_shown("objects", *totals)
    books.check_shown("evenness of classes (entropy, 1 is even)", *map(four_digits, evenness))
    crops = [row["filename"] for row in books.table("crops")]
    assert Counter(crops) == {name: len(found) for name, found in books.objects.items() if found}
    assert sum(name in books.candidates for name in crops) == totals[0]


def test_strategies_have_the_means_and_shares_of_the_values_that_went_in(books):
    table = {row["filename"]: row for row in books.table("selection")}
    entries = {entry["name"]: entry for entry in books.report["selectionInformation"]["strategies"]}
    assert len(entries) == len(STRATEGIES)
    for name, entry in entries.items():
        if entry["type"] == "WEIGHTS":
            values = books.of_sets(lambda image, name=name: float(table[image][f"value of {name}"]))
            assert [entry[which] for which in SETS] == pytest.approx([values[which].mean() for which in SETS])
        strength = "–" if entry["strength"] is None else f"{entry['strength']:g}"
        books.check_shown(name, strength, entry["measure"], *[four_digits(entry[which]) for which in SETS])
    nearest = books.report["datasetAnalysis"]["embeddingInformation"]["distanceToNearestNeighborInSet"]
    diversity = entries["DIVERSITY on EMBEDDINGS"]
    assert [diversity[which] for which in SETS] == [nearest[which]["metrics"]["mean"] for which in SETS]
    check_threshold(books, entries, table)
    check_balances(books, entries)


def check_threshold(books, entries, table):
    (threshold,) = (entry for entry in entries.values() if entry["type"] == "THRESHOLD")
    passes = [float(row[f"value of {threshold['name']}"]) > SHARPNESS for row in table.values()]
    assert [threshold[which] for which in SETS] == [pytest.approx(np.mean(passes)), 1, 1]
    assert threshold["nPassing"] == sum(passes) == len(books.candidates)
    filtered = {name for name, row in table.items() if row["filtered_by"]}
    assert filtered == {name for name, row in table.items() if row["decision"] == "filtered"}
    assert threshold["nPassing"] + len(filtered) == len(table)
    kept_out = f"All thresholds together keep {len(filtered)} out."
    books.check_shown(f"{threshold['name']}: {threshold['nPassing']} images pass. {kept_out}")


def check_balances(books, entries):
    """Shares of a BALANCE on predictions count probabilities, and the report says that its bars count objects."""
    soft, words = (entries[name] for name in entries if name.startswith("BALANCE"))
    probabilities = {
        name: np.sum([one[2] for one in found], axis=0) if found else np.zeros(3)
        for name, found in books.objects.items()
    }
    for which, rows in books.sets.items():
        names = [books.candidates[row] for row in rows]
        sums = np.sum([probabilities.get(name, np.zeros(3)) for name in names], axis=0)
        assert by_class(soft, which) == pytest.approx(dict(zip(CLASSES, sums / sums.sum(), strict=True)), rel=1e-5)
        scenes = Counter(books.values[name][0] for name in names)
        assert by_class(words, which) == pytest.approx({one: count / len(names) for one, count in scenes.items()})
    for one in soft["classes"] + words["classes"]:
        books.check_shown(one["name"], *[one_digit(one[column]) for column in ("target", *SETS)])
    books.check_shown("An object counts by its probabilities where its prediction has them")


def by_class(balance, which):
    return {one["name"]: one[which] for one in balance["classes"] if one[which]}


def one_digit(part):
    return share(part, 1)


def test_savings_are_factors_times_counts(books):
    savings, sizes = books.report["annotationSavings"], books.report["generalInformation"]["datasetInformation"]
    factors = {factor["name"]: factor["value"] for factor in savings["factors"]}
    n = len(books.photos.readable) - K
    assert savings["nImagesNotLabelled"] == n == sizes["datasetSizes"]["nRemoved"] + sizes["datasetSizes"]["nDuplicate"]
    books.check_shown(f"What is saved where the {n} readable images that the run did not select get no labels.")
    for key, (words, short, field) in TASKS.items():
        cost = n * factors["labels_per_image"] * factors[f"label_cost_usd.{field}"]
        assert savings[key]["costSavings"] == pytest.approx(cost)
        books.check_shown(words, f"US$ {cost:,.2f}")
        books.check_shown(f"US$ {cost:,.2f} for {short}" if cost < 10 else f"US$ {cost:,.0f} for {short}")
    check_co2(books, savings["co2"], factors, n)
    for factor in savings["factors"]:
        books.check_shown(factor["name"], f"{factor['value']:g}", "you" if factor["isSetByUser"] else "default")


def check_co2(books, co2, factors, n):
    labelling = n * factors["labels_per_image"] * factors["labelling_wh_per_label"] / 1000
    own = co2["cpuSeconds"] * factors["cpu_watts_per_core"] / 3.6e6 + co2.get("gpuKwh", 0)
    compute = own * factors["power_usage_effectiveness"]
    assert co2["labellingKwh"] == pytest.approx(labelling)
    assert co2["computeKwh"] == pytest.approx(compute)
    rows = {
        "Labelling that is not done": (co2["labellingKwh"], co2["labellingKg"]),
        "This run": (-co2["computeKwh"], -co2["computeKg"]),
        "Saved": (co2["labellingKwh"] - co2["computeKwh"], co2["netKg"]),
    }
    for words, (kwh, kg) in rows.items():
        assert kg == pytest.approx(kwh * factors["grid_intensity_g_per_kwh"] / 1000)
        small = [f"{Decimal(f'{one:.3g}'):f}" for one in (kwh, kg)]
        books.check_shown(
            words, *[f"{one:,.3f}" if abs(one) >= 1 else text for one, text in zip((kwh, kg), small, strict=True)]
        )


def say_seconds(seconds):
    return f"{seconds:.1f} s" if seconds < 60 else f"{round(seconds) // 60} min {round(seconds) % 60} s"


def test_times_add_up_and_each_image_was_read_once(books):
    run = books.report["generalInformation"]["runInformation"]
    began, ended = (datetime.fromisoformat(run[f"{which}Timestamp"]) for which in ("start", "end"))
    assert abs(run["totalProcessingTimeS"] - (ended - began).total_seconds()) <= 1  # timestamps are whole seconds
    assert run["totalProcessingTimeS"] == pytest.approx(sum(stage["seconds"] for stage in run["stages"]))
    assert run["stages"][0]["stage"] == "INITIALIZING"
    books.check_shown(f"{say_seconds(run['totalProcessingTimeS'])} after the start")
    for stage in run["stages"]:
        books.check_shown(stage["stage"].replace("_", " ").lower(), say_seconds(stage["seconds"]))
    books.check_shown(f"Making the UMAP maps of this report took {say_seconds(run['umapSeconds'])} besides.")
    files = [books.photos.folder / name for name in [*books.photos.readable, *books.photos.corrupt]]
    sizes = {str(path.relative_to(books.photos.folder)): path.stat().st_size for path in files}
    assert run["bytesRead"] == sum(sizes.values())
    assert run["bytesReread"] == 0
    assert {row["filename"]: int(row["bytes"]) for row in books.table("clean")}.items() <= sizes.items()
