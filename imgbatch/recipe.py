"""Where earlier programs import Recipe from; now it is `imgbatch.Recipe`."""

from imgbatch.recipes.recipe import Output, Recipe

__all__ = ["Output", "Recipe"]
