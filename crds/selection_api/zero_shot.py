"""zero_shot_tasks: classification tasks that are made from prompts, by an encoder with a text tower."""

from typing import Annotated

from pydantic import AfterValidator, Field

from selection_api.model import Items, Model, TaskName
from selection_api.problems import describe_value
from selection_api.selection_config import Name, Sentences

PLACE = "{}"
"""Where a template has the category's name."""


def _check_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    for template in templates:
        if template.count(PLACE) != 1:
            raise ValueError(
                f"expected sentences with {PLACE} once, for the category's name; found {describe_value(template)}"
            )
    return templates


class ZeroShotCategory(Model):
    """A category, and the prompts that mean it."""

    name: Name
    """The category, as `categories` and `target` of strategies name it."""

    texts: Sentences | None = None
    """The prompts that mean the category; absent for the templates with its name."""


class ZeroShotTask(Model):
    """A classification task that is made from prompts: the probability of each category on each image."""

    name: Annotated[TaskName, Field(min_length=1)]
    """The task, as `task` of an input names it."""

    categories: Annotated[Items[ZeroShotCategory], Field(min_length=2, max_length=1000)]
    """What an image may show. The probabilities of all of them add up to 1: what is none of these goes to the
    nearest."""

    templates: Annotated[Sentences, AfterValidator(_check_templates)] = ("a photo of {}.",)
    """Sentences around a category's name, each with {} once, for the categories without texts."""

    @property
    def category_names(self) -> tuple[str, ...]:
        """The names of the categories, in their order."""
        return tuple(category.name for category in self.categories)
