"""Rules about the encoder: which one a run embeds with, and what can't stand beside it. Pure, from a spec."""

import re
from collections.abc import Iterator

from selection_api.lightly_config import LightlyConfig
from selection_api.problems import Finding, Location, quote
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import BUILT_IN, EncoderConfig

_ENCODER: Location = ("spec", "workerConfig", "encoder")
_LIGHTLY: Location = ("spec", "lightlyConfig")
_CONFIG: Location = ("spec", "workerConfig", "encoder_config")
_REPOSITORY = re.compile(r"(?:hf-hub:|hf_hub:)?(?P<owner>[A-Za-z0-9][\w.-]*)/(?P<name>[A-Za-z0-9][\w.-]*)")
_TRAINS_NOTHING = "has no effect: enable_training is false, so nothing is trained"


def is_built_in(spec: SelectionRunSpec) -> bool:
    """Say whether the run embeds with the built-in encoder: it is named, or nothing says where another comes from."""
    worker = spec.worker_config
    if worker.encoder:
        return worker.encoder == BUILT_IN
    is_elsewhere = worker.enable_training or spec.checkpoint or worker.embeddings
    return not is_elsewhere and not list(find_network(spec.lightly_config))


def find_network(config: LightlyConfig) -> Iterator[Location]:
    """Yield what the user set of one of lightly's networks: its shape, and the size of its input."""
    if config.model.model_fields_set:
        yield (*_LIGHTLY, "model")
    if "input_size" in config.collate.model_fields_set:
        yield (*_LIGHTLY, "collate", "input_size")


def find_in_encoder(spec: SelectionRunSpec) -> Iterator[Finding]:
    """Yield what workerConfig.encoder can't be, and what can't stand beside it."""
    worker = spec.worker_config
    if not worker.encoder:
        if not is_built_in(spec) and not worker.embeddings and worker.encoder_config != EncoderConfig():
            message = "belongs to an encoder; the input of lightly's networks is spec.lightlyConfig.collate.input_size"
            yield Finding(_CONFIG, message, (_ENCODER, *find_network(spec.lightly_config)))
        return
    if repository := _REPOSITORY.fullmatch(worker.encoder):
        yield Finding(
            _ENCODER,
            f"expected a folder of the lightly datasource; found {quote(worker.encoder)}, the name of a repository. "
            "Nothing is downloaded: put its files into the datasource, for example to "
            f".lightly/encoders/{repository['name']}/ (a folder of that name is written with a / at its end)",
        )
    elif ":" in worker.encoder:
        yield Finding(
            _ENCODER,
            f"expected a folder of the lightly datasource; found {quote(worker.encoder)}. Nothing is downloaded: put "
            "the repository's files into the datasource, for example to .lightly/encoders/NAME/",
        )
    if spec.checkpoint:
        place: Location = (*_ENCODER[:2], "checkpoint") if worker.checkpoint else (*_LIGHTLY, "checkpoint")
        message = f"{worker.encoder} and checkpoint name two embedding models; set one of them"
        yield Finding(_ENCODER, message, (place,))
    if worker.enable_training:
        message = "is not trained further; remove enable_training, or the encoder"
        yield Finding(_ENCODER, message, ((*_ENCODER[:2], "enable_training"),))
    for location in find_network(spec.lightly_config):
        is_size = location[-1] == "input_size"
        another = "with an encoder set spec.workerConfig.encoder_config.input_size"
        way = another if is_size else "remove it, or the encoder"
        yield Finding(location, f"belongs to lightly's networks; {way}", (_ENCODER,))


def notes_on_lightly(spec: SelectionRunSpec) -> Iterator[str]:
    """Yield a sentence for each key that is about how training starts and what it sees, where nothing is trained."""
    config = spec.lightly_config
    if spec.worker_config.enable_training or spec.worker_config.embeddings:
        return
    if "pre_trained" in config.model_fields_set:
        yield f"spec.lightlyConfig.pre_trained {_TRAINS_NOTHING}"
    for key in sorted(config.collate.model_fields_set - {"input_size", "kernel_size"}):
        yield f"spec.lightlyConfig.collate.{key} {_TRAINS_NOTHING}"
