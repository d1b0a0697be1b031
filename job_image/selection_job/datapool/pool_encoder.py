"""The encoder of a datapool, and how a run that embeds by another one goes on."""

import re

from selection_api.worker_config import BUILT_IN

_ZOO = re.compile(r"zoo (?P<name>resnet-\d+)/simclr/d(?P<num_ftrs>\d+)/w(?P<width>[\d.]+)")


def advise_encoder(source: str) -> str:
    """Return which settings make a run embed as a pool was embedded.

    source  the pool's encoder in words, as EmbeddingSource says

    >>> advise_encoder("zoo resnet-18/simclr/d32/w1.0")
    'set spec.lightlyConfig.model to what it was: {name: resnet-18, num_ftrs: 32, width: 1.0}'
    """
    kind, _, name = source.partition(" ")
    if zoo := _ZOO.fullmatch(source):
        shape = ", ".join(f"{key}: {value}" for key, value in zoo.groupdict().items())
        return f"set spec.lightlyConfig.model to what it was: {{{shape}}}"
    match kind:
        case "built":
            return (
                f"set spec.workerConfig.encoder: {BUILT_IN}, without checkpoint, lightlyConfig.model and "
                "lightlyConfig.collate.input_size"
            )
        case "encoder":
            return f"set spec.workerConfig.encoder: {name}"
        case "embeddings":
            return "set spec.workerConfig.embeddings to a table that the same network made"
    return f"set spec.workerConfig.checkpoint: {name}" if kind == "checkpoint" else "use that encoder"


def explain_change(source: str) -> str:
    """Return why an encoder of the same name and size is not the same one."""
    if source.startswith("built"):
        return " This version's built-in encoder is another one."
    where = "lightlyConfig.collate.input_size" if source.startswith("checkpoint") else "how images are preprocessed"
    return f" Its file, or {where}, has changed since."
