"""imgbatch turns folders of photographs into finished pictures, in parallel.

    recipe = imgbatch.Recipe.from_options(sizes=["1600"], format="webp")
    for result in imgbatch.run(recipe, ["photos"], output="web"):
        print(result.source.path, result.status)

The names below are imported on first use, so that `import imgbatch` and `imgbatch --version`
cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

# True for type checkers, as typing's is; importing typing would take most of this import's time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgbatch.errors import (
        ImgbatchError,
        NothingFoundError,
        PictureError,
        PlanError,
        UsageError,
    )
    from imgbatch.model import Failure, Notice, Result, Source, Summary, Written
    from imgbatch.picture import Picture, open  # noqa: A004
    from imgbatch.recipe import Output, Recipe
    from imgbatch.running.library import Plan, Planned, PlannedFile, Run, plan, run
    from imgbatch.running.one_picture import Made

_HOME = {
    "Picture": "picture",
    "open": "picture",
    "Plan": "running.library",
    "Planned": "running.library",
    "PlannedFile": "running.library",
    "Run": "running.library",
    "plan": "running.library",
    "run": "running.library",
    "ImgbatchError": "errors",
    "NothingFoundError": "errors",
    "PictureError": "errors",
    "PlanError": "errors",
    "UsageError": "errors",
    "Failure": "model",
    "Notice": "model",
    "Result": "model",
    "Source": "model",
    "Summary": "model",
    "Written": "model",
    "Made": "running.one_picture",
    "Output": "recipes.recipe",
    "Recipe": "recipe",
}

__all__ = [
    "Failure",
    "ImgbatchError",
    "Made",
    "NothingFoundError",
    "Notice",
    "Output",
    "Picture",
    "PictureError",
    "Plan",
    "PlanError",
    "Planned",
    "PlannedFile",
    "Recipe",
    "Result",
    "Run",
    "Source",
    "Summary",
    "UsageError",
    "Written",
    "__version__",
    "open",
    "plan",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"imgbatch.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
