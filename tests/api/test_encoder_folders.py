"""workerConfig.encoder as a folder, and encoder_config."""

import pytest

from selection_api import accepted_without_effect

ENCODER, CONFIG = "spec.workerConfig.encoder", "spec.workerConfig.encoder_config"


@pytest.mark.parametrize("folder", [".lightly/encoders/x/", "encoders/x/", ".lightly/encoders/x", "x", "a/b/c"])
def test_a_folder_of_the_datasource_is_an_encoder(parse, folder):
    assert parse({ENCODER: folder, f"{CONFIG}.input_size": 96, f"{CONFIG}.resize": "PAD"}).spec


@pytest.mark.parametrize("name", ["timm/ViT-B-16-SigLIP2", "hf-hub:timm/ViT-B-16-SigLIP2", "facebook/dinov2-small"])
def test_the_name_of_a_repository_is_told_where_its_files_go(problems, name):
    plain = name.rpartition("/")[2]
    message = problems({ENCODER: name})[ENCODER]
    assert message.startswith(
        f"expected a folder of the lightly datasource; found '{name}', the name of a repository. Nothing is "
        f"downloaded: put its files into the datasource, for example to .lightly/encoders/{plain}/"
    )


@pytest.mark.parametrize("name", ["local-dir:x", "hf-hub:resnet50"])
def test_what_names_a_place_elsewhere_is_no_folder(problems, name):
    assert "Nothing is downloaded" in problems({ENCODER: name})[ENCODER]


@pytest.mark.parametrize(
    "beside", [{"spec.workerConfig.enable_training": True}, {"spec.workerConfig.checkpoint": "a.ckpt"}], ids=str
)
def test_encoder_config_belongs_to_an_encoder(problems, beside):
    message = "belongs to an encoder; the input of lightly's networks is spec.lightlyConfig.collate.input_size"
    assert problems({f"{CONFIG}.input_size": 96, **beside})[CONFIG] == message


def test_encoder_config_beside_given_embeddings_is_named_as_without_effect(parse):
    notes = accepted_without_effect(parse({"spec.workerConfig.embeddings": "a.csv", f"{CONFIG}.input_size": 96}).spec)
    assert [note for note in notes if note.startswith(CONFIG)] == [
        f"{CONFIG} has no effect: embeddings are given, so no image is opened to embed it"
    ]


def test_the_built_in_encoder_has_an_input_size_and_a_resize(parse):
    assert parse({f"{CONFIG}.input_size": 224, f"{CONFIG}.resize": "CROP"}).spec
