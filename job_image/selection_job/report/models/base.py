"""The base of the report's models, and the types of their fields."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from selection_job.report.numbers import finite, rounded


class ReportModel(BaseModel):
    """A part of report.json: camelCase keys, every one of them always there, but for those that are MaybeAbsent."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )

    def to_json_values(self) -> dict[str, Any]:
        """Return the part as JSON values, without the keys that are absent."""
        return self.model_dump(by_alias=True)


def _is_none(value: object) -> bool:
    return value is None


Value = TypeVar("Value")
MaybeAbsent = Annotated[Value | None, Field(exclude_if=_is_none)]
"""A key that is left out where it has no meaning: the field takes None by default, and null is never written. A field
without a default that takes None is written as null instead."""

Count = Annotated[int, Field(ge=0)]

MaybeNumber = Annotated[float | None, AfterValidator(rounded)]
"""A number with nine significant digits, or null where there is none."""

Number = Annotated[MaybeNumber, WithJsonSchema({"type": "number"})]
"""A number that there always is. Should it not be finite, null stands in its place, which the schema refuses: a report
with a fault is better than none at the end of a long run."""

Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]

JsonObject = Annotated[dict[str, Any], BeforeValidator(finite)]
"""A mapping whose keys are not ours to know; NaN and infinity in it become null."""
