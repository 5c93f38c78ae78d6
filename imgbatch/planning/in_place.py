"""The policy for plans in place: each source is its own target."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator

from imgbatch.imaging import formats
from imgbatch.model import UP_TO_DATE, Made, Source, Target
from imgbatch.planning.numbering import Facts
from imgbatch.planning.output_paths import Conflict
from imgbatch.planning.ownership import identity, is_ours
from imgbatch.planning.plan import (
    GIVEN_TWICE,
    NAMED,
    Decision,
    Lookup,
    Make,
    Policy,
    Skip,
    is_unlisted_folder,
    nothing_known,
)
from imgbatch.recipes.recipe import Recipe
from imgbatch.store import about, checksum


class InPlace(Policy):
    """Sources below `folder` are themselves replaced.

    `recipe` has one output. `lookup` tells what is known about a file from earlier runs: files that
    are up to date are skipped (not with `force`). The originals go to the folder `backup`.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: str,
        *,
        lookup: Lookup = nothing_known,
        force: bool = False,
        backup: str | None = None,
    ) -> None:
        super().__init__(recipe, folder)
        (self._output,) = recipe.outputs
        self._digest = recipe.digest_of(self._output)
        self._lookup = lookup
        self._force = force
        self._links = _Links(backup)
        self._seen: set[str] = set()

    def decide(self, source: Source, seq: int, facts: Facts | None) -> Decision:
        """A target, which is the source, or the reason why there is none."""
        if source.relative in self._seen:
            return GIVEN_TWICE
        self._seen.add(source.relative)
        made = self._lookup(source.relative)
        wrong = self._links.conflict(source) or _raw_conflict(source)
        if wrong is not None:
            return wrong
        if is_unlisted_folder(source):
            return Make()
        unless = earlier = None
        if made and self._may_be_current(made, source):
            if source.state.equals(made.state):
                return Skip(UP_TO_DATE, (source.relative,), about.is_warned(made))
            unless = made.hash
            earlier = about.earlier(made, self._output.name, source.path)
        target = Target(
            self._output.name,
            self.planned.output,
            source.relative,
            known=source.state,
            again=unless is None and _is_made_again(made, source),
            unless=unless,
            earlier=earlier,
        )
        return Make((target,))

    def _may_be_current(self, made: Made, source: Source) -> bool:
        return not self._force and made.recipe == self._digest and made.size == source.size

    def finish(self) -> None:
        """Warn about links, before each becomes a file of its own."""
        self.planned.notices.extend(self._links.notices())


def _is_made_again(made: Made | None, source: Source) -> bool:
    """Whether a file that is to be replaced is itself a result, whose original is in the backup.

    A file that needed nothing done was left as is, and is not a result.
    """
    if made is None or (made.hash is not None and made.hash == made.source_hash):
        return False
    if source.state.equals(made.state) or made.hash is None:
        return is_ours(made, source.state)
    return source.state.resembles(made.state) and checksum.matches(source.path, made.hash)


def _raw_conflict(source: Source) -> Conflict | None:
    if formats.of_suffix(source.suffix) is not formats.RAW:
        return None
    return Conflict(
        source,
        source.path,
        f"{source.path} is a camera's raw file, which only a camera can write",
        "Omit it with --exclude, or make JPEGs in another folder (--output).",
    )


class _Links:
    """What is known about links among the files that are to be replaced."""

    def __init__(self, backup: str | None) -> None:
        self._backup = backup
        self._folders: dict[str, bool] = {}
        self._twins: dict[tuple[int, int], list[str]] = {}

    def conflict(self, source: Source) -> Conflict | None:
        """Why a source cannot be replaced: it is a link, or lies behind one."""
        try:
            found = os.lstat(source.path)
        except (OSError, ValueError):
            # Its row will say so.
            return None
        if stat.S_ISLNK(found.st_mode):
            return Conflict(
                source,
                source.path,
                f"{source.path} is a link, and would become a separate file",
                "Omit it with --exclude, or give the folder that it points to.",
            )
        folder = source.relative.rpartition("/")[0]
        if folder and (link := self._link_above(source.root, folder)) is not None:
            path = os.path.join(source.root, *link.split("/"))
            return Conflict(
                source,
                source.path,
                f"{source.path} is reached by the link {path}, outside the given folder",
                f"Omit it with --exclude '{link}/*', or give the folder that it points to.",
            )
        if found.st_nlink > 1 + self._is_in_backup(source, found):
            self._twins.setdefault((found.st_dev, found.st_ino), []).append(source.path)
        return None

    def _is_in_backup(self, source: Source, found: os.stat_result) -> bool:
        """Whether one of its names is in the backup, from a run that was killed just then."""
        if self._backup is None:
            return False
        kept = identity(os.path.join(self._backup, *source.mirrored.split("/")))
        return kept == (found.st_dev, found.st_ino)

    def _link_above(self, root: str, folder: str) -> str | None:
        """The first folder of a path below `root` that is a link."""
        names = folder.split("/")
        for count in range(1, len(names) + 1):
            above = "/".join(names[:count])
            if above not in self._folders:
                self._folders[above] = os.path.islink(os.path.join(root, *names[:count]))
            if self._folders[above]:
                return above
        return None

    def notices(self) -> Iterator[str]:
        """Warnings about files with several names, before each becomes a file of its own."""
        for paths in itertools.islice(self._twins.values(), NAMED):
            named = f"{paths[0]} and {paths[1]} are" if len(paths) > 1 else f"{paths[0]} is"
            yield (
                f"{named} one file with several names (hard links): each name that is processed "
                "becomes a separate file, the others keep the original"
            )
        if (more := len(self._twins) - NAMED) > 0:
            yield f"so {'is' if more == 1 else 'are'} {more} more"
