"""Every documented key: accepted at the ends of its range, refused beyond it, with a message that says why."""

import pytest

WORKER = "spec.workerConfig."
LIGHTLY = "spec.lightlyConfig."
YES_NO = [True, False]
SHARE = [0, 1, 0.5, 1.0]
NOT_SHARE = [-0.01, 1.01, "0.5", True, float("nan"), float("inf"), []]
NOT_BOOL = ["true", 1, 0, "yes", []]
NOT_TEXT = [1, True, [], {}]
TASK = ["", "detector_1", "a/b:c@d"]

ACCEPTED_AND_REFUSED = {
    WORKER + "enable_corruptness_check": (YES_NO, NOT_BOOL),
    WORKER + "corruptness_check.corruption_threshold": (SHARE, NOT_SHARE),
    WORKER + "remove_exact_duplicates": (YES_NO, NOT_BOOL),
    WORKER + "enable_training": (YES_NO, NOT_BOOL),
    WORKER + "checkpoint": (["", ".lightly/a.ckpt", "写真/a.ckpt"], ["/a.ckpt", "a/../b", "s3://x", "a\\b", "a\nb", 1]),
    WORKER + "encoder": (["", "BUILT_IN", ".lightly/encoders/x/"], ["/x/", "a/../b", "a\nb", 1]),
    WORKER + "encoder_config.input_size": ([-1, 32, 1024, 224.0], [0, 31, 1025, -2, "224", True]),
    WORKER + "encoder_config.resize": (["FOLDER", "SQUASH", "CROP", "PAD"], ["crop", "", 1]),
    WORKER + "embeddings": (["", ".lightly/embeddings/a.csv"], ["/a.csv", "../a.csv"]),
    WORKER + "normalize_embeddings": (YES_NO, NOT_BOOL),
    WORKER + "method": (["coreset", "random"], ["corset", "", "RANDOM", 1]),
    WORKER + "stopping_condition.min_distance": ([-1, 0, 2, 0.2, -1.0], [-0.5, 2.01, -2, "0.2", True, float("nan")]),
    WORKER + "scorer": (["", "object-frequency", "uncertainty-margin"], ["frequency", 1]),
    WORKER + "scorer_config.frequency_penalty": (SHARE, NOT_SHARE),
    WORKER + "scorer_config.min_score": (SHARE, NOT_SHARE),
    WORKER + "active_learning.task_name": (TASK, ["a b", "ä", 1]),
    WORKER + "active_learning.score_name": (["uncertainty_margin"], ["a b", 1]),
    WORKER + "object_level.task_name": (TASK, ["a b", 1]),
    WORKER + "object_level.crop_dataset_name": (["", "cats crops"], ["a/b", 1]),
    WORKER + "object_level.padding": ([0, 0.1, 3], [-0.1, "1"]),
    WORKER + "pretagging": (YES_NO, NOT_BOOL),
    WORKER + "pretagging_config.checkpoint": (["", ".lightly/detector.pth"], ["/a.pth", "a/../b", 1]),
    WORKER + "pretagging_config.input_size": ([-1, 0, 320, 2048, 800.0], [-2, 2049, 1.5, "320"]),
    WORKER + "pretagging_config.min_score": (SHARE, NOT_SHARE),
    WORKER + "pretagging_config.min_counts": ([{}, {"person": 1, "car": 2}], [{"persons": 1}, {"car": "1"}, [1], 1]),
    **{
        WORKER + f"pretagging_config.min_counts.{category}": ([0, 1, 2.0, 100], [-1, 101, 1.5, "1", True])
        for category in ("bicycle", "bus", "car", "motorcycle", "person", "train", "truck")
    },
    WORKER + "pretagging_upload": (YES_NO, NOT_BOOL),
    WORKER + "pretagging_debug": (YES_NO, NOT_BOOL),
    WORKER + "zero_shot_upload": (YES_NO, NOT_BOOL),
    WORKER + "selected_sequence_length": ([1, 10, 2.0], [0, -1, 1.5, "1"]),
    WORKER + "use_datapool": (YES_NO, NOT_BOOL),
    WORKER + "datasource.process_all": (YES_NO, NOT_BOOL),
    WORKER + "datasource.enable_datapool_update": (YES_NO, NOT_BOOL),
    WORKER + "relevant_filenames_file": (
        ["", ".lightly/relevant_filenames.txt", ".lightly/a/b.txt"],
        ["relevant.txt", "/.lightly/a.txt", ".lightly/../a.txt", ".lightly/", "lightly/a.txt", 1],
    ),
    WORKER + "dump_dataset": (YES_NO, NOT_BOOL),
    WORKER + "output_image_size": (
        [-1, 1, 512, 512.0, [480, 640]],
        [0, -2, 1.5, [1], [1, 2, 3], [0, 5], "64", True, [-1]],
    ),
    WORKER + "output_image_format": (["png", "jpg", "webp"], ["gif", "PNG", ""]),
    WORKER + "exports": (
        [[], ["COCO"], ["LABEL_STUDIO", "CVAT", "COCO", "FIFTYONE", "PARQUET"]],
        [["coco"], ["COCO", "COCO"], "COCO", [1], ["YOLO"]],
    ),
    WORKER + "tables": (["CSV", "PARQUET", "BOTH"], ["csv", "", ["CSV"]]),
    WORKER + "n_example_images": ([0, 2, 6, 6.0], [3, -2, 1002, "6"]),
    WORKER + "num_threads": ([-1, 0, 8], [-2, 1.5, "1"]),
    WORKER + "num_processes": ([-1, 0, 8], [-2, 1.5, "1"]),
    WORKER + "decoder": (["exact", "fast"], ["quick", ""]),
    WORKER + "sanity_check": (YES_NO, NOT_BOOL),
    WORKER + "report.label_cost_usd.image_classification": ([0, 0.012, 5], [-1, "1"]),
    WORKER + "report.label_cost_usd.object_detection": ([0, 0.036], [-1, "1"]),
    WORKER + "report.label_cost_usd.semantic_segmentation": ([0, 0.84], [-1, "1"]),
    WORKER + "report.labels_per_image": ([0, 2.5], [-1, "1"]),
    WORKER + "report.grid_intensity_g_per_kwh": ([0, 475], [-1, "1"]),
    WORKER + "report.labelling_wh_per_label": ([0, 0.5], [-1, "1"]),
    WORKER + "report.cpu_watts_per_core": ([0, 85], [-1, "1"]),
    WORKER + "report.power_usage_effectiveness": ([1, 1.56, 3], [0, 0.9, 11, "1"]),
    LIGHTLY + "seed": ([0, 1, 2**32 - 1, 7.0], [-1, 2**32, 1.5, "1", True, 1e300]),
    LIGHTLY + "pre_trained": (YES_NO, NOT_BOOL),
    LIGHTLY + "checkpoint": (["", ".lightly/a.ckpt"], ["/a", "..", 1]),
    LIGHTLY + "loader.batch_size": ([1, 16, 16.0], [0, -1, 1.5, "16"]),
    LIGHTLY + "loader.shuffle": (YES_NO, NOT_BOOL),
    LIGHTLY + "loader.num_workers": ([-1, 0, 4], [-2, 0.5, True]),
    LIGHTLY + "loader.drop_last": (YES_NO, NOT_BOOL),
    LIGHTLY + "model.name": ([f"resnet-{n}" for n in (9, 18, 34, 50, 101, 152)], ["resnet-19", "vit", ""]),
    LIGHTLY + "model.out_dim": ([1, 128], [0, 1.5]),
    LIGHTLY + "model.num_ftrs": ([1, 32], [0, "32"]),
    LIGHTLY + "model.width": ([1, 2, 0.0625, 0.125], [0, -1, "1"]),
    LIGHTLY + "trainer.gpus": ([0, 1, 8], [-1, 0.5, "1"]),
    LIGHTLY + "trainer.max_epochs": ([0, 1, 100], [-1, 1.5]),
    LIGHTLY + "trainer.precision": ([16, 32, 16.0], [8, "32", 32.5, True]),
    LIGHTLY + "trainer.enable_model_summary": (YES_NO, NOT_BOOL),
    LIGHTLY + "trainer.weights_summary": (["top", "full"], [1]),
    LIGHTLY + "criterion.temperature": ([0.5, 1, 1e-5], [0, -1, "0.5"]),
    LIGHTLY + "criterion.memory_bank_size": ([0, 4096], [-1, 0.5]),
    LIGHTLY + "optimizer.lr": ([0, 1, 0.5], [-0.1, "1"]),
    LIGHTLY + "optimizer.weight_decay": ([*SHARE, 1e-05], NOT_SHARE),
    LIGHTLY + "collate.input_size": ([1, 64, 224.0], [0, 64.5, "64", [64, 64]]),
    LIGHTLY + "collate.cj_prob": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.cj_bright": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.cj_contrast": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.cj_sat": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.cj_hue": ([0, 0.2, 0.5], [0.51, -0.1, "0.2"]),
    LIGHTLY + "collate.min_scale": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.random_gray_scale": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.gaussian_blur": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.sigmas": ([[0.2, 2], [1, 1]], [[0, 1], [2, 1], [1], [1, 2, 3], 1, ["1", "2"]]),
    LIGHTLY + "collate.kernel_size": ([0, 0.1, 5], [-1, "0.1"]),
    LIGHTLY + "collate.vf_prob": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.hf_prob": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.rr_prob": (SHARE, NOT_SHARE),
    LIGHTLY + "collate.rr_degrees": ([0, 45, [-10, 30]], [-1, 361, [1], [30, -10], [1, 2, 3], "90", True]),
    LIGHTLY + "checkpoint_callback.save_last": (YES_NO, NOT_BOOL),
    LIGHTLY + "checkpoint_callback.save_top_k": ([-1, 0, 3], [-2, 0.5]),
    LIGHTLY + "checkpoint_callback.dirpath": (["checkpoints", "a/b"], ["/abs", "../up", 1]),
    LIGHTLY + "summary_callback.max_depth": ([-1, 1], ["1", 1.5]),
    LIGHTLY + "environment_variable_names.lightly_last_checkpoint_path": (["X"], NOT_TEXT),
    LIGHTLY + "environment_variable_names.lightly_last_embedding_path": (["X"], NOT_TEXT),
    LIGHTLY + "hydra": ([{"run": {"dir": "x"}, "any": [1]}], ["x", 1, []]),
    "spec.dataset.name": (["cats", "cats and dogs", "1"], ["", " cats", "a/b", 1]),
    "spec.dataset.type": (["IMAGES", "VIDEOS"], ["Images", "IMAGE"]),
    "spec.suspend": (YES_NO, NOT_BOOL),
    "spec.backoffLimit": ([0, 3, 3.0], [-1, 0.5, 2**31]),
    "spec.activeDeadlineSeconds": ([1, 3600], [0, -1, "1h"]),
    "spec.ttlSecondsAfterFinished": ([0, 60], [-1, "1h"]),
    "spec.resources": ([{}, {"limits": {"cpu": "500m", "memory": "8Gi", "nvidia.com/gpu": 1}}], [[], "1"]),
    "spec.resources.limits.cpu": ([1, "0.5", "500m"], [0.5, -1, "1 core", True, ""]),
    "spec.podTemplate.labels": ([{"app": "cats", "a.b/c": ""}], [{"a": 1}, {"a": "b c"}, []]),
    "spec.podTemplate.annotations": ([{"a.b/c": "any text, 写真"}], [{"a": 1}]),
    "spec.podTemplate.nodeSelector": ([{"gpu": "h200"}], [{"gpu": True}]),
    "spec.podTemplate.tolerations": (
        [[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]],
        [[{"effect": "No"}], {}],
    ),
    "spec.podTemplate.affinity": ([{"nodeAffinity": {"x": [1]}}], ["x"]),
    "spec.podTemplate.serviceAccountName": (["runner"], ["Runner", ""]),
    "spec.podTemplate.priorityClassName": (["low"], ["Low"]),
    "spec.podTemplate.runtimeClassName": (["nvidia"], ["N"]),
    "spec.podTemplate.imagePullSecrets": ([[{"name": "pull"}]], [["pull"], [{}]]),
    "spec.podTemplate.env": (
        [[{"name": "A", "value": "b"}], [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]],
        [[{"name": "1A"}], [{"value": "b"}], [{"name": "A", "valueFrom": {}}], [{"name": "A", "value": 1}]],
    ),
    "spec.podTemplate.image": (["registry.example.com:5000/job@sha256:abc"], ["job image", ""]),
    "spec.podTemplate.sharedMemorySize": (["2Gi", 1024], ["2 Gi", -1, 0.5]),
    "metadata.name": (["cats", "a" * 54, "0-1"], ["Cats", "a" * 55, "-a", "a.b", "", 1]),
    "metadata.namespace": (["default"], ["Default"]),
    "metadata.labels": ([{"kueue.x-k8s.io/queue-name": "gpu"}], [{"a": 1}]),
    "metadata.uid": (["1f2e3d4c-0000-4000-8000-000000000000"], ["../../etc"]),
    "apiVersion": (["dataselection.io/v1alpha1"], ["dataselection.io/v1", 1]),
    "kind": (["SelectionRun"], ["SelectonRun", "Pod"]),
}

REQUIRED_OR_QUANTITY = {"metadata.name", "apiVersion", "kind", "spec.resources.limits.cpu"}
GOOD = [(path, value) for path, (values, _) in ACCEPTED_AND_REFUSED.items() for value in values]
BAD = [(path, value) for path, (_, values) in ACCEPTED_AND_REFUSED.items() for value in values]


def test_every_value_in_range_is_accepted(problems):
    refused = [(path, value, found) for path, value in GOOD if (found := problems({path: value}))]
    assert refused == []


def test_every_value_out_of_range_is_refused_at_its_path(problems):
    found = [(path, value, problems({path: value})) for path, value in BAD]
    assert [each for each in found if not each[2]] == []
    assert [each for each in found if not all(where.startswith(each[0]) for where in each[2])] == []


def test_null_equals_absent(parse):
    paths = sorted(set(ACCEPTED_AND_REFUSED) - REQUIRED_OR_QUANTITY)
    assert [path for path in paths if parse({path: None}) != parse({path: ...})] == []


def test_table_covers_every_key_of_the_three_configs_but_those_with_tests_of_their_own():
    from selection_api.schema import manifest_schema

    def leaves(node, path):
        for key, child in node["properties"].items():
            yield from leaves(child, f"{path}.{key}") if "properties" in child else [f"{path}.{key}"]

    spec = manifest_schema()["properties"]["spec"]["properties"]
    known = {leaf for name in ("workerConfig", "lightlyConfig") for leaf in leaves(spec[name], f"spec.{name}")}
    assert known - set(ACCEPTED_AND_REFUSED) == {
        "spec.workerConfig.stopping_condition.n_samples",
        "spec.workerConfig.zero_shot_tasks",
    }


MESSAGES = [
    (WORKER + "num_threads", "10", "expected an integer (at least -1); found the string '10' (remove the quotes)"),
    (WORKER + "num_threads", True, "expected an integer (at least -1); found the boolean true"),
    (WORKER + "num_threads", 2.5, "expected an integer (at least -1); found the number 2.5"),
    (WORKER + "num_threads", -2, "expected an integer at least -1; found the number -2"),
    (WORKER + "pretagging", "true", "expected true or false; found the string 'true' (remove the quotes)"),
    (
        WORKER + "method",
        "corset",
        ("expected one of coreset, random, coral; found the string 'corset'. Did you mean 'coreset'?"),
    ),
    (WORKER + "n_example_images", 5, "expected an even number; found the number 5"),
    (
        WORKER + "stopping_condition.min_distance",
        3,
        ("expected a distance between 0 and 2, or -1 for off; found the number 3"),
    ),
    (
        WORKER + "relevant_filenames_file",
        "files.txt",
        (
            "expected a file under .lightly/ of the lightly datasource, such as .lightly/relevant_filenames.txt; "
            "found the string 'files.txt'"
        ),
    ),
    (WORKER + "scorer_config", [1], "expected a mapping; found [1]"),
    (LIGHTLY + "collate.cj_hue", 0.7, "expected a number from 0 to 0.5; found the number 0.7"),
    (LIGHTLY + "criterion.temperature", 0, "expected a number above 0; found the number 0"),
    (LIGHTLY + "trainer.precision", 8, "expected one of 16, 32; found the number 8"),
    (LIGHTLY + "collate.sigmas", [2, 1], "expected [smallest, largest]; found [2, 1]"),
    ("metadata.name", "a" * 55, "expected at most 54 characters; found 55"),
    (
        "metadata.name",
        "Cats",
        ("expected lower-case letters, digits and '-', with a letter or digit at both ends; found the string 'Cats'"),
    ),
    ("kind", "Pod", "expected 'SelectionRun'; found the string 'Pod'"),
    ("spec.datasources", ..., "is required"),
]


@pytest.mark.parametrize(("path", "value", "message"), MESSAGES, ids=lambda part: str(part)[:50])
def test_message_says_what_was_expected_and_found(problems, path, value, message):
    assert problems({path: value})[path] == message


def test_integral_floats_become_integers(parse):
    run = parse({WORKER + "num_threads": 4.0, LIGHTLY + "loader.batch_size": 8.0})
    assert (run.spec.worker_config.num_threads, run.spec.lightly_config.loader.batch_size) == (4, 8)
    assert isinstance(run.spec.worker_config.num_threads, int)


def test_integers_are_fine_where_numbers_are_expected(parse):
    assert parse({LIGHTLY + "optimizer.lr": 1}).spec.lightly_config.optimizer.lr == 1.0


def test_defaults_are_those_of_the_worker_and_of_lightly(parse):
    run = parse()
    worker, lightly = run.spec.worker_config, run.spec.lightly_config
    assert (worker.enable_corruptness_check, worker.remove_exact_duplicates, worker.enable_training) == (
        True,
        True,
        False,
    )
    assert (worker.method, worker.n_example_images, worker.output_image_size) == ("coreset", 6, -1)
    assert (lightly.trainer.max_epochs, lightly.loader.batch_size, lightly.model.num_ftrs) == (100, 16, 32)


def test_lightly_defaults_equal_the_config_of_the_installed_lightly(parse):
    """Whatever config.yaml holds for train and embed is our default too."""
    from importlib.resources import files

    import yaml

    theirs = yaml.safe_load(files("lightly").joinpath("cli/config/config.yaml").read_text())
    ours = parse().spec.lightly_config.model_dump(mode="json")
    elsewhere = {"input_dir", "output_dir", "embeddings", "label_dir", "label_names_file", "crop_padding", "hydra"}
    for key in set(theirs) - elsewhere:
        expected = theirs[key]
        found = {k: ours[key][k] for k in expected} if isinstance(expected, dict) else ours[key]
        assert found == expected, key


def test_models_are_frozen(parse):
    with pytest.raises(ValueError, match="frozen"):
        parse().spec.worker_config.method = "random"
