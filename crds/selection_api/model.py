"""The base of every model: frozen, strict, null equals absent; and the field types that several models share."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

LARGEST_INT32 = 2**31 - 1
LONGEST_PATH = 1024


class Model(BaseModel):
    """A frozen value whose keys are written as its attributes are (snake_case: the three configs).

    What stands below a field describes it; described_schema reads that where it is needed, which spares everyone else
    half the time of this package's import. The other half goes by building validators for what is validated only.
    """

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, settings: Any) -> Any:
        """Null equals absent, as at the API server; a misspelt key stays and is refused, null or not."""
        if not isinstance(settings, Mapping):
            return settings
        known = cls.keys()
        return {key: value for key, value in settings.items() if value is not None or key not in known}

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Every way a field of this model may be named."""
        fields = cls.model_fields
        return frozenset(fields) | frozenset(field.alias for field in fields.values() if field.alias)


def default_section() -> Any:
    """Return the default of a field that holds a model: that of an empty mapping.

    An instance in its place would build the model's own validator, when it is imported.
    """
    return Field(default_factory=dict, validate_default=True)


class KubernetesModel(Model):
    """A value written as Kubernetes does (camelCase)."""

    model_config = ConfigDict(alias_generator=to_camel)


class ServerModel(KubernetesModel):
    """A value that other versions of ours, or Kubernetes itself, may have written: what is unknown is left out."""

    model_config = ConfigDict(extra="ignore")


def _integral(value: object) -> object:
    """1.0 is 1, as the API server reads it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def numbers_in(value: object, *, low: float, high: float) -> list[float]:
    """Return the numbers of a list, or the one number given; [] when anything else, or one out of range, is there."""
    entries = list(value) if isinstance(value, list | tuple) else [value]
    numbers = [float(entry) for entry in entries if isinstance(entry, int | float) and not isinstance(entry, bool)]
    return numbers if len(numbers) == len(entries) and all(low <= number <= high for number in numbers) else []


def _check_relative(path: str) -> str:
    if path.startswith("/") or "://" in path or "\\" in path:
        raise ValueError("expected a path relative to the lightly datasource, with '/' between its parts")
    if any(part in {".", ".."} for part in path.split("/")):
        raise ValueError("expected a path without '.' and '..' parts")
    if not path.isprintable():
        raise ValueError("expected a path without control characters")
    return path


Item = TypeVar("Item")
Items = Annotated[tuple[Item, ...], Field(strict=False)]
"""A list of the manifest, kept as a tuple."""

Integer = Annotated[int, BeforeValidator(_integral)]
Count = Annotated[Integer, Field(ge=0, le=LARGEST_INT32)]
PositiveCount = Annotated[Integer, Field(ge=1, le=LARGEST_INT32)]
CountOrAll = Annotated[Integer, Field(ge=-1, le=LARGEST_INT32)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
RelativePath = Annotated[str, Field(max_length=LONGEST_PATH), AfterValidator(_check_relative)]
"""'' or the key of an object in the lightly datasource."""
OpenMapping = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-open": True})]
"""A mapping whose keys are not ours to know."""

TASK_NAME = r"^[a-zA-Z0-9_+=,.@:\/-]*$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

TaskName = Annotated[str, Field(max_length=253, pattern=TASK_NAME)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]


def _check_quantity(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.match(QUANTITY, value):
        return value
    raise ValueError("expected a Kubernetes quantity: a whole number, or a string such as '500m' or '8Gi'")


Quantity = Annotated[
    int | str,
    BeforeValidator(_check_quantity),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "x-type": "quantity"}),
]

PATTERN_WORDS = {
    TASK_NAME: "letters, digits and _ + = , . @ : / -",
    DNS_LABEL: "lower-case letters, digits and '-', with a letter or digit at both ends",
    DNS_SUBDOMAIN: "lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
}
"""What a pattern means, for messages. Modules with patterns of their own add to it."""
