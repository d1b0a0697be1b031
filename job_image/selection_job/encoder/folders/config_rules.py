"""Rules for what a folder's JSON may say: each key is in a table with the range of its value, and others are refused.

A value becomes an argument of a library that trusts it, so nothing gets through that nobody has thought of.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from selection_job.encoder.folders.unusable_folder import UnusableFolder
from selection_job.formats.json_reading import describe

_LONGEST_NAME = 200
_LISTED_KEYS = 5


@dataclass(frozen=True)
class Rule:
    """What a value has to be."""

    expected: str
    """In words, after 'expected'."""
    holds: Callable[[Any], bool]


Rules = Mapping[str, "Rule | Rules"]
"""By key: the rule of its value, or those of the object below it."""


def integer(low: int, high: int) -> Rule:
    """Return the rule of a whole number from low to high."""
    return Rule(f"a whole number from {low:,} to {high:,}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Rule:
    """Return the rule of a number from low to high."""
    return Rule(f"a number from {low:g} to {high:g}", lambda value: _is_number(value) and low <= value <= high)


def one_of(*values: str | bool | None) -> Rule:
    """Return the rule of a value out of a few."""
    words = [describe(value) if value is None or isinstance(value, bool) else f"'{value}'" for value in values]
    return Rule(" or ".join(words), lambda value: any(type(value) is type(each) and value == each for each in values))


def list_of(rule: Rule, *lengths: int) -> Rule:
    """Return the rule of a list of one of the lengths whose items follow a rule."""
    spelt = " or ".join(map(str, lengths))
    return Rule(
        f"a list of {spelt}, each {rule.expected}",
        lambda value: isinstance(value, list) and len(value) in lengths and all(map(rule.holds, value)),
    )


def either(*rules: Rule) -> Rule:
    """Return the rule that holds where one of them holds."""
    return Rule(", or ".join(rule.expected for rule in rules), lambda value: any(rule.holds(value) for rule in rules))


BOOLEAN = one_of(True, False)
NULL = one_of(None)
NAME = Rule(
    f"a name of at most {_LONGEST_NAME} characters",
    lambda value: isinstance(value, str) and len(value) <= _LONGEST_NAME and value.isprintable(),
)
ANYTHING = Rule("anything", lambda _: True)
"""For what is not looked at."""


def check_fields(content: Any, rules: Rules, place: str) -> dict[str, Any]:
    """Return the object when every key is known and every value in its range; null stands for an object left out.

    place  where the object stands, such as 'open_clip_config.json: vision_cfg'
    Raises UnusableFolder that names the key.
    """
    if not isinstance(content, dict):
        raise UnusableFolder(f"{place} is {describe(content)}, expected an object")
    unknown = [key for key in content if key not in rules]
    if unknown:
        listed = ", ".join(map(describe_key, unknown[:_LISTED_KEYS]))
        raise UnusableFolder(
            f"{place} has {listed}, which this version does not know. A setting that is passed over would "
            "give other vectors; remove it only where you know that it changes nothing for the image tower"
        )
    for key, value in content.items():
        rule = rules[key]
        if not isinstance(rule, Rule):
            if value is not None:  # as if it was not there
                check_fields(value, rule, f"{place}.{key}")
        elif not rule.holds(value):
            raise UnusableFolder(f"{place}.{key} is {describe(value)}, expected {rule.expected}")
    return content


def describe_key(key: str) -> str:
    """Return a key of a JSON file as messages show it."""
    return describe(key).removeprefix("the string ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
