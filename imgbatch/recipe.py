"""Where older programs import Recipe from; its name is now `imgbatch.Recipe`."""

from imgbatch.recipes.recipe import Output, Recipe

__all__ = ["Output", "Recipe"]
