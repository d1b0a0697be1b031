"""How many images to keep: the worker's stopping_condition, read without the trap of 1 and 1.0."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from selection_api.model import LARGEST_INT32, Model
from selection_api.problems import describe_value

HOW_TO_SAY_IT = 'a share between 0 and 1 (0.1), a percentage ("25%", "100%"), a count of at least 2, or -1 for off'


@dataclass(frozen=True, slots=True)
class SampleTarget:
    """Either a share of the images, in (0, 1], or a count of them, at least 2."""

    share: float | None = None
    count: int | None = None

    def resolve(self, n_input: int) -> int:
        """Return how many of n_input images that is: floor(share·n_input), at least 1; a count is taken as it is.

        The share counts as the decimal that was written: 0.29 of 100 is 29, though 0.29 * 100 < 29 in binary.
        """
        if self.count is not None:
            return self.count
        return max(1, int(Fraction(repr(self.share)) * n_input))

    def to_manifest(self) -> float | int | str:
        """Write the target so that it reads back as the same."""
        if self.count is not None:
            return self.count
        return "100%" if self.share == 1.0 else float(self.share or 0.0)


def parse_sample_target(value: object) -> SampleTarget | None:
    """Read n_samples; None is off. Raises ValueError with the way out."""
    if isinstance(value, SampleTarget):
        return value
    if isinstance(value, str):
        return _parse_percentage(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected {HOW_TO_SAY_IT}; found {describe_value(value)}")
    return _parse_number(value)


def _parse_percentage(text: str) -> SampleTarget:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,12})?)%", text, flags=re.ASCII)
    if match is None:
        raise ValueError(f"expected {HOW_TO_SAY_IT}; found {describe_value(text)}")
    share = Fraction(match[1]) / 100
    if not 0 < share <= 1:
        raise ValueError(f'a percentage lies above 0% and goes up to "100%"; found {describe_value(text)}')
    return SampleTarget(share=float(share))


def _parse_number(value: float) -> SampleTarget | None:
    if value == -1:
        return None
    if value == 1:
        raise ValueError(
            'exactly 1 is ambiguous (the API server reads 1.0 as 1): write "100%" for all images, or use '
            "selectionConfig with n_samples: 1 for one image or proportion_samples: 1.0 for all"
        )
    if 0 < value < 1:
        return SampleTarget(share=float(value))
    if 2 <= value <= LARGEST_INT32 and value == int(value):
        return SampleTarget(count=int(value))
    raise ValueError(f"expected {HOW_TO_SAY_IT}; found {describe_value(value)}")


def _write_sample_target(target: SampleTarget | None) -> float | int | str:
    return -1 if target is None else target.to_manifest()


def _check_min_distance(value: float) -> float:
    if value != -1 and not 0 <= value <= 2:
        raise ValueError(f"expected a distance between 0 and 2, or -1 for off; found {describe_value(value)}")
    return value


class StoppingCondition(Model):
    """When the selection ends; with both conditions the one reached first."""

    n_samples: Annotated[
        SampleTarget | None,
        PlainValidator(parse_sample_target),
        PlainSerializer(_write_sample_target, return_type=Any),
        WithJsonSchema({"x-untyped": True, "x-type": "share, percentage or count", "x-range": HOW_TO_SAY_IT}),
    ] = Field(default=None, json_schema_extra={"x-default": "-1 (off)"})
    """How many images to keep: a share between 0 and 1 (0.1 keeps 10%), a percentage such as "25%" or "100%", a count
    of at least 2, or -1 for off. Exactly 1 is refused, because the API server can't tell it from 1.0."""

    min_distance: Annotated[
        float,
        AfterValidator(_check_min_distance),
        WithJsonSchema({"type": "number", "minimum": -1, "maximum": 2, "x-range": "-1 (off) or 0 to 2"}),
    ] = -1.0
    """Stop before two selected images would lie nearer to each other than this Euclidean distance of their
    L2-normalised embeddings: 0 to 2, or -1 for off."""

    @property
    def is_off(self) -> bool:
        """Whether nothing would ever end the selection."""
        return self.n_samples is None and self.min_distance == -1
