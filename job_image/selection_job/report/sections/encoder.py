"""The section on what the encoder sees: whether the left halves of pictures find their own right halves."""

from collections.abc import Iterator
from typing import Any

from selection_job.catalog.half_match import HalfMatch
from selection_job.manifest.noun import Noun
from selection_job.report.blocks.blocks import MM, Block, Space
from selection_job.report.blocks.parts import bold, paragraph, say, section
from selection_job.report.wording import count, noun_of, share

JsonObject = dict[str, Any]

_BUILT_IN = "built in"


def make_encoder_section(report: JsonObject) -> list[Block]:
    """Return in words whether the encoder tells the images apart; nothing where embeddings were given."""
    if not report["corruptImages"]["areChecked"]:
        return []
    encoder, noun = report["generalInformation"]["runInformation"]["encoder"], noun_of(report)
    return [section("What the encoder sees"), *_say_match(encoder, noun), Space(6 * MM)]


def _say_match(encoder: JsonObject, noun: Noun) -> Iterator[Block]:
    match = encoder.get("halfMatch")
    if match is None:
        words = "Not looked at: an earlier version of this program had embedded them, and what it kept was used."
        yield paragraph(words)
        return
    n, k, by_colors = match["nImages"], match["nMatched"], match["nMatchedByColors"]
    if match["verdict"] == "TOO_FEW":
        words = (
            f"Whether it tells the {noun.plural} apart was not judged: there {'is' if n == 1 else 'are'} {count(n)} "
            f"that {'differs' if n == 1 else 'differ'} enough from the others, and fewer than 20 tell nothing."
        )
        yield paragraph(words)
        return
    told = (
        f"{count(n)} {noun.plural} that differ were cut in halves, and each half was embedded by itself. Of the left "
        f"halves {count(k)} ({share(k, n)}) found their own right half as the nearest; by their colors alone "
        f"{count(by_colors)} found it, by chance 1 ({share(1, n)})."
    )
    if match["verdict"] == "LOW":
        yield say(bold(f"The encoder hardly tells these {noun.plural} apart."), f" {told}")
        yield paragraph(f"{_warn(noun)} {_name_ways_out(encoder['source'])}")
        yield paragraph(
            f"Where all {noun.plural} show one and the same kind of surface no half can be told from another, and the "
            "figures say nothing about the encoder."
        )
        return
    yield paragraph(f"{told} The two halves of {noun.with_article} share no pixel: the encoder sees what scenes show.")


def note_blind_encoder(match: HalfMatch | None, source: str, noun: Noun) -> list[str]:
    """Return a note where the encoder sees next to nothing."""
    if match is None or match.verdict != "LOW":
        return []
    return [
        f"The encoder hardly tells these {noun.plural} apart: left halves whose own right half is the nearest: "
        f"{match.n_matched} of {match.n_pictures}; by colors alone: {match.n_by_colours}. "
        f"{_warn(noun)} {_name_ways_out(source)}"
    ]


def _warn(noun: Noun) -> str:
    return (
        f"With embeddings that say so little DIVERSITY picks oddities: {noun.plural} that are very bright, dark or "
        "plain. They can be worth less to label than a random choice."
    )


def _name_ways_out(source: str) -> str:
    folder = "workerConfig.encoder with the folder of a network that was trained on pictures like these"
    if source == _BUILT_IN:
        return f"The way out is {folder}."
    return (
        f"Ways out: workerConfig.encoder: BUILT_IN; {folder}; or, where the network is trained here, a hundred epochs "
        "and more (lightlyConfig.trainer.max_epochs)."
    )
