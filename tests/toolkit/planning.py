"""The results of planning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from imgbatch.errors import PlanError
from imgbatch.model import OnConflict
from imgbatch.planning.plan import Plan, plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe


def planned(
    folder: Path,
    output: Path,
    *,
    flat: bool = False,
    on_conflict: OnConflict = "error",
    **options: Any,
) -> Plan:
    sources = scan([str(folder)], Selection(), output=str(output))
    recipe = Recipe.from_options(**options)
    return plan(sources, ToFolder(recipe, str(output), flat=flat, on_conflict=on_conflict))


def targets(made: Plan) -> dict[str, list[str]]:
    """For each source the targets below the output folder."""
    return {
        job.source.relative: [os.path.relpath(one.path, made.output) for one in job.targets]
        for job in made.jobs
    }


def refusal(made: Plan) -> str:
    with pytest.raises(PlanError) as caught:
        made.check()
    return str(caught.value)
