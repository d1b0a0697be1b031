"""Runs that look for sentences, and that make tasks of prompts, with a CLIP that was trained in this session."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from lightly.utils.io import load_embeddings
from PIL import Image
from safetensors.torch import load_file
from test_query_runs import above, make, similar, write_scenes
from tiny_clip import MODEL, draw, make_model

from selection_job.encoder.folders.open_clip_import import open_clip
from selection_job.errors import InvalidManifest, UnusableData
from selection_job.manifest.reading import load_manifest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "no_way_out")]

ENCODER = ".lightly/encoders/clip/"
NIGHT, DAY = "a red square at night", "a red square by day"
LIGHT = {
    "name": "light",
    "categories": [
        {"name": "day", "texts": [DAY, "a blue circle by day"]},
        {"name": "night", "texts": [NIGHT, "a blue circle at night"]},
    ],
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """24 pictures, named by what they show."""
    folder = tmp_path_factory.mktemp("scenes") / "input"
    write_scenes(folder, n=24)
    return folder


@pytest.fixture
def place(tmp_path, scenes, tiny_clip):
    """Folders with the pictures and the encoder."""
    shutil.copytree(scenes, tmp_path / "input")
    shutil.copytree(tiny_clip, tmp_path / "lightly" / ENCODER)
    return tmp_path


@pytest.fixture
def run(place, run_manifest):
    """Return a function (strategies, **workerConfig) -> the finished run with the CLIP."""
    return lambda *strategies, **worker: run_manifest(make(place, *strategies, **{"encoder": ENCODER, **worker}))


def texts(*sentences, others=()):
    return {"type": "QUERIES", "texts": list(sentences)} | ({"other_texts": list(others)} if others else {})


def read_vectors(done):
    vectors, _, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    return names, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def embed(tiny_clip):
    """Return a function sentences -> (m, d) unit vectors by open_clip itself, and the scale."""
    model = make_model()
    model.load_state_dict(load_file(str(tiny_clip / "open_clip_model.safetensors")))
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])

    def run(sentences):
        with torch.inference_mode():
            return model.eval().encode_text(tokens(list(sentences)), normalize=True).numpy()

    return run, float(model.logit_scale.detach().exp())


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def test_a_text_against_others_has_the_probability_that_open_clip_itself_gives(run, embed):
    sentences = [NIGHT, "a white cross at night", DAY, "a green circle by day"]
    done = run(similar(texts(*sentences[:2], others=sentences[2:]), strength=3), n_samples=4)
    names, vectors = read_vectors(done)
    of_texts, scale = embed[0](sentences), embed[1]
    values = softmax(scale * vectors @ of_texts.T)[:, :2].sum(axis=1)
    best = np.argsort(-values)[:5]
    (query,) = done.report["queries"]
    assert [hit["filename"] for hit in query["hits"]] == [names[row] for row in best]
    np.testing.assert_allclose([hit["value"] for hit in query["hits"]], values[best], atol=1e-5)
    assert [hit["text"] for hit in query["hits"]] == [
        sentences[int((vectors[row] @ of_texts[:2].T).argmax())] for row in best
    ]
    assert done.selected == [hit["filename"] for hit in query["hits"][:4]]
    assert "remark" not in query


def test_a_threshold_on_a_probability_keeps_what_is_more_than_everything_else(run):
    done = run(above(texts(NIGHT, others=[DAY]), 0.5), n_samples=24)
    assert set(done.selected) == {path for path in read_vectors(done)[0] if "at night" in path}


def test_a_share_keeps_something_and_the_report_says_that_it_always_does(run, embed):
    done = run(above(texts("a yellow square"), 0.75), n_samples=24)
    names, vectors = read_vectors(done)
    cosines = (vectors @ embed[0](["a yellow square"]).T)[:, 0]
    shares = np.array([(cosines < cosine).sum() / 23 for cosine in cosines])
    assert sorted(done.selected) == [name for name, share in zip(names, shares, strict=True) if share >= 0.75]
    (query,) = done.report["queries"]
    assert query["remark"].startswith("A share always keeps something, whether or not it is there")
    np.testing.assert_allclose([hit["cosine"] for hit in query["hits"]], np.sort(cosines)[::-1][:5], atol=1e-5)


def test_a_text_that_is_longer_than_the_tower_reads_is_told_before_the_images_are_embedded(run, place):
    with pytest.raises(UnusableData, match=r"strategies\[0\].input.texts: .*token"):
        run(similar(texts("a red square " * 20)))
    with pytest.raises(UnusableData, match=r"zero_shot_tasks\[0\].categories\[1\]: .*token"):
        long = {"name": "t", "categories": [{"name": "day"}, {"name": "night " * 20}]}
        run(similar(texts(DAY)), zero_shot_tasks=[long])


def test_an_encoder_without_a_text_tower_is_told(run, place):
    path = place / "lightly" / ENCODER / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"] = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"}
    path.write_text(json.dumps(config))
    with pytest.raises(UnusableData, match="text tower"):
        run(similar(texts(DAY)))


def test_a_table_of_embeddings_is_asked_in_words(run, place):
    first = run(similar(texts(NIGHT, others=[DAY])))
    table = str((first.folder / "data/embeddings.csv").relative_to(place / "lightly"))
    again = run(similar(texts(NIGHT, others=[DAY])), embeddings=table)
    assert again.selected == first.selected
    assert again.report["queries"] == first.report["queries"]
    with pytest.raises(UnusableData, match=r"is not the encoder of .*, which was made by encoder "):
        run(similar(texts(NIGHT, others=[DAY])), embeddings=table, encoder_config={"input_size": 64})


def test_a_zero_shot_task_selects_like_a_task_from_files(run, place, embed):
    done = run(
        {
            "input": {"type": "PREDICTIONS", "task": "light", "name": "CLASS_DISTRIBUTION"},
            "strategy": {
                "type": "BALANCE",
                "distribution": "TARGET",
                "target": {"night": 0.75, "day": 0.25},
                "strength": 99,
            },
        },
        {"input": {"type": "SCORES", "task": "light", "score": "uncertainty_margin"}, "strategy": {"type": "WEIGHTS"}},
        above(
            {"type": "PREDICTIONS", "task": "light", "name": "CATEGORY_PROBABILITY", "categories": ["day", "night"]},
            0.5,
        ),
        zero_shot_tasks=[LIGHT],
        zero_shot_upload=True,
        n_samples=8,
    )
    names, vectors = read_vectors(done)
    prompts, scale = embed
    means = np.stack([prompts(category["texts"]).mean(axis=0) for category in LIGHT["categories"]])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    expected = softmax(scale * vectors @ means.T)
    chosen = [expected[names.index(name)] for name in done.selected]
    assert sum(night > day for day, night in chosen) == 6, "of 8, each by its best category"
    folder = place / "lightly/.lightly/predictions"
    assert json.loads((folder / "tasks.json").read_bytes()) == ["light"]
    for name, row in zip(names, expected, strict=True):
        (found,) = json.loads((folder / "light" / name.replace(".png", ".json")).read_bytes())["predictions"]
        np.testing.assert_allclose(found["probabilities"], row, atol=1e-5)
        assert found["category_id"] == int(row.argmax())
        assert found["score"] == max(found["probabilities"])
    told = done.report["predictionTaskInformation"]["light"]["zeroShot"]
    n_night = int((expected[:, 1] > 0.5).sum())
    assert told["shares"] == pytest.approx({"day": (24 - n_night) / 24, "night": n_night / 24})
    entropy = -(expected * np.log2(expected)).sum(axis=1).mean()
    assert told["meanEntropy"] == pytest.approx(entropy, abs=1e-4)
    assert "remark" not in told


def test_an_uploaded_task_is_read_from_its_files_by_a_later_run(run, place):
    probable = {"type": "PREDICTIONS", "task": "light", "name": "CATEGORY_PROBABILITY", "categories": ["night"]}
    first = run(above(probable, 0.5), zero_shot_tasks=[LIGHT], zero_shot_upload=True, n_samples=24)
    again = run(above(probable, 0.5), n_samples=24)
    assert sorted(again.selected) == sorted(first.selected)
    renamed = {**LIGHT, "categories": [*LIGHT["categories"], {"name": "dusk"}]}
    run(above(probable, 0.4), zero_shot_tasks=[renamed], n_samples=24)
    with pytest.raises(UnusableData, match=r"zero_shot_upload writes to .* is of another task"):
        run(above(probable, 0.4), zero_shot_tasks=[renamed], zero_shot_upload=True, n_samples=24)


def test_the_name_of_a_task_in_tasks_json_is_refused(run, place):
    folder = place / "lightly/.lightly/predictions/light"
    folder.mkdir(parents=True)
    (folder.parent / "tasks.json").write_text('["light"]')
    (folder / "schema.json").write_text('{"task_type": "classification", "categories": [{"id": 0, "name": "day"}]}')
    with pytest.raises(
        InvalidManifest, match=r"zero_shot_tasks\[0\].name: light is the name of an entry of tasks.json"
    ):
        run(similar(texts(DAY)), zero_shot_tasks=[LIGHT])


def test_categories_that_the_model_can_not_tell_apart_are_told(run):
    one = {"name": "lower case", "texts": ["a red square"]}, {"name": "upper case", "texts": ["A RED SQUARE"]}
    done = run(similar(texts(NIGHT)), zero_shot_tasks=[{"name": "alike", "categories": list(one)}, LIGHT])
    told = {name: task["zeroShot"] for name, task in done.report["predictionTaskInformation"].items()}
    assert told["alike"]["remark"].startswith("The model can't tell these categories apart")
    assert f"Zero-shot task alike: {told['alike']['remark']}" in done.report_notes
    assert "remark" not in told["light"]


def run_example(name, place, run_manifest):
    """Run a manifest of examples/ to its report, as it stands but for its folders."""
    manifest = load_manifest((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    for purpose in ("input", "lightly"):
        manifest["spec"]["datasources"][purpose]["resourcePath"] = str(place / purpose)
    assert manifest["spec"]["workerConfig"]["encoder"] == ENCODER
    return run_manifest(manifest, drawn=True)


def test_the_example_of_a_text_query_finds_red_at_night_and_shows_it(place, run_manifest):
    done = run_example("text-query", place, run_manifest)
    assert len(done.selected) == 2
    assert all("red" in name and "at night" in name for name in done.selected)
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "What was looked for" in page
    assert "probability of the texts among all sentences" in page
    assert all(hit["filename"] in page for hit in done.report["queries"][0]["hits"])


def test_the_example_of_zero_shot_tasks_selects_as_much_night_as_day_and_no_yellow(place, run_manifest):
    done = run_example("zero-shot", place, run_manifest)
    assert len(done.selected) == 8
    assert sum("at night" in name for name in done.selected) == 4
    assert not any("yellow" in name for name in done.selected)
    assert (done.folder / "report.pdf").stat().st_size > 10_000
    assert "classification made from prompts" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert json.loads((place / "lightly/.lightly/predictions/tasks.json").read_bytes()) == ["light", "colour"]


def write_video(path, lights, rng):
    """Write a frame of a red circle for each of the lights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"crf": "5"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for light in lights:
            picture = Image.fromarray(draw("red", "circle", light, rng)).resize((64, 64))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())


def test_frames_of_videos_are_looked_for_and_classified(place, run_manifest):
    shutil.rmtree(place / "input")
    lights = ["by day"] * 3 + ["at night"] * 3
    for name in ("a.mp4", "b.mp4"):
        write_video(place / "input" / name, lights, np.random.default_rng(2))
    probable = {"type": "PREDICTIONS", "task": "light", "name": "CATEGORY_PROBABILITY", "categories": ["night"]}
    manifest = make(
        place,
        similar(texts(NIGHT, others=[DAY])),
        above(probable, 0.5),
        encoder=ENCODER,
        zero_shot_tasks=[LIGHT],
        zero_shot_upload=True,
        n_samples=12,
        remove_exact_duplicates=False,
    )
    manifest["spec"]["dataset"] = {"type": "VIDEOS"}
    done = run_manifest(manifest)
    frames = [name for name in read_vectors(done)[0] if int(name.rsplit("-", 2)[1]) >= 3]
    assert sorted(done.selected) == sorted(frames)
    assert len(frames) == 6
    written = sorted(path.stem for path in (place / "lightly/.lightly/predictions/light").glob("*.json"))
    assert len(written) == 13, "12 frames and the schema"


def test_a_sequence_has_the_mean_of_its_frames_probabilities(run, place):
    shutil.rmtree(place / "input")
    rng = np.random.default_rng(4)
    for number, light in enumerate(["by day", "at night", "at night"]):
        folder = place / "input" / f"walk {number}"
        folder.mkdir(parents=True)
        for i in range(4):
            Image.fromarray(draw("green", "square", light, rng)).save(folder / f"{i}.png")
    probable = {"type": "PREDICTIONS", "task": "light", "name": "CATEGORY_PROBABILITY", "categories": ["day"]}
    done = run(above(probable, 0.5), zero_shot_tasks=[LIGHT], selected_sequence_length=4, n_samples=12)
    assert sorted(done.selected) == [f"walk 0/{i}.png" for i in range(4)]


def test_what_earlier_runs_selected_is_compared_and_not_shown(place, run_manifest):
    later = sorted((place / "input").iterdir())[12:]
    (place / "later").mkdir()
    for path in later:
        path.rename(place / "later" / path.name)
    night = similar(texts(NIGHT))
    balance = {
        "input": {"type": "PREDICTIONS", "task": "light", "name": "CLASS_DISTRIBUTION"},
        "strategy": {"type": "BALANCE", "distribution": "UNIFORM"},
    }

    def pick(name):
        manifest = make(place, night, balance, encoder=ENCODER, zero_shot_tasks=[LIGHT], use_datapool=True)
        manifest["metadata"] = {"name": name}
        manifest["spec"]["dataset"] = {"name": "shapes"}
        return run_manifest(manifest)

    first = pick("first")
    for path in (place / "later").iterdir():
        path.rename(place / "input" / path.name)
    second = pick("second")
    names = {path.name for path in later}
    assert len(first.selected) == len(second.selected) == 3
    assert set(second.selected) <= names
    assert {hit["filename"] for hit in second.report["queries"][0]["hits"]} <= names
