"""From what stands behind `--recipe` or `--retrain` to a recipe."""

from dataclasses import replace

from evalsuite.data._by_name import training_advice
from evalsuite.parts.names import parse_part, split_options
from evalsuite.training._base import Recipe


def named(text: str, *, architecture: str, data: str) -> Recipe:
    """The recipe called `text`, e.g. `standard?epochs=3`, as it was published for the architecture and data set.

    What `text` says counts more than what was published, even where it says the default.

    Raises:
        UsageError: There is no such recipe, or a hyperparameter or value is not accepted.
    """
    recipe = parse_part("evalsuite.training", text, Recipe)
    prescribed = recipe.prescribed(architecture=architecture, advice=training_advice(data))
    return replace(prescribed, **{name: getattr(recipe, name) for name, _ in split_options(text)[1]})
