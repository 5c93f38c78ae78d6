"""The policy for plans to an output folder: who gets which name, and what is there already."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from imgbatch.model import (
    UP_TO_DATE,
    FileState,
    Job,
    Made,
    OnConflict,
    Replaced,
    Source,
    Target,
)
from imgbatch.naming import PLAIN, folded
from imgbatch.planning.numbering import Facts
from imgbatch.planning.output_paths import Conflict, Targets, suffix_of
from imgbatch.planning.ownership import (
    absolute_paths,
    identity,
    is_from,
    is_named_alike,
    is_ours,
    is_whole,
    may_be_in_place,
)
from imgbatch.planning.plan import (
    GIVEN_TWICE,
    Decision,
    Lookup,
    Make,
    Policy,
    Skip,
    is_unlisted_folder,
    nothing_known,
)
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.store import about, local_files


class Kept(Struct, frozen=True):
    """An output that is not made: the file at `path` stays.

    If it is up to date, `made` is what the journal says of it.
    """

    path: str
    output: str
    relative: str
    made: Made | None = None


class ToFolder(Policy):
    """Results go below the folder `output`.

    With `flat` the sources' folders are not mirrored; with a `subfolder` results go into one of
    that name beside each source. `lookup` tells what is known about a target from earlier runs:
    what is up to date is skipped (not with `force`), and anything else replaces what those runs
    made. `on_conflict` says what happens with any other existing file, and with
    two sources that have the same target. A target that is itself a source is always refused, and
    so is one outside `output`.
    """

    def __init__(
        self,
        recipe: Recipe,
        output: str,
        *,
        flat: bool = False,
        subfolder: str = "",
        on_conflict: OnConflict = "error",
        lookup: Lookup = nothing_known,
        force: bool = False,
    ) -> None:
        self._targets = Targets(recipe, output, flat=flat, subfolder=subfolder)
        super().__init__(recipe, output, needs_headers=self._targets.need_header)
        self._absolute = absolute_paths()
        self._recipe = recipe
        self._digests = {out.name: recipe.digest_of(out) for out in recipe.outputs}
        self._on_conflict = on_conflict
        self._lookup = lookup
        self._force = force
        self._in_place = may_be_in_place(output)
        # Who has a target, by the hash of its key, which is much smaller. If two keys had the same
        # hash, names would still be safe: nothing is published over an existing file.
        self._taken: dict[int, int] = {}
        self._superseded: set[int] = set()
        self._existing: dict[tuple[int, int], str] = {}
        self._plain = (
            [out.template.text for out in recipe.outputs] == [PLAIN]
            and on_conflict == "error"
            and not (flat or force or subfolder)
        )

    def quick(self, source: Source) -> Skip | None:
        """The result for a source that has one output, named after it, and up to date."""
        if not self._plain:
            return None
        stem, dot, suffix = source.mirrored.rpartition(".")
        output = self._recipe.outputs[0]
        suffix = suffix_of(dot + suffix, output.encoding.format) if dot else ""
        relative = stem + suffix if dot else source.mirrored
        made = self._lookup(relative)
        # Nearly all files of a second run take this path.
        if made is None or not made.suits(source, self._digests[output.name]):
            return None
        if not made.is_certain(source) or not self._is_from(made, source):
            return None
        path = self._real_path(relative, made)
        if not is_whole(made, local_files.state(path)):
            return None
        self.planned.known += 1
        return Skip(UP_TO_DATE, (relative,), about.is_warned(made))

    def decide(self, source: Source, seq: int, facts: Facts | None) -> Decision:
        """A target for each output that is missing or outdated, or why there is none."""
        if is_unlisted_folder(source):
            return Make()
        relatives = self._targets.of(source, seq, facts)
        if isinstance(relatives, Conflict):
            return relatives
        targets: list[Target] = []
        kept: list[Kept] = []
        for output, relative in zip(self._recipe.outputs, relatives, strict=True):
            target = self._target(source, output, relative)
            if isinstance(target, Target):
                targets.append(target)
            elif not isinstance(target, Kept):
                return target
            else:
                kept.append(target)
        if not targets:
            return _skipped(kept)
        for target in targets:
            self._taken[hash(folded(target.relative))] = len(self.planned.jobs)
        if not kept:
            return Make(tuple(targets))
        self.planned.kept.extend(one.relative for one in kept)
        known = (about.earlier(one.made, one.output, one.path) for one in kept if one.made)
        return Make(tuple(targets), tuple(one for one in known if one is not None))

    def finish(self) -> None:
        """Compare every existing target with every source.

        One that is a source, by name, by link or by hard link, is refused whatever the options
        say.
        """
        planned = self.planned
        if self._superseded:
            planned.jobs = planned.jobs.without(self._superseded)
        if not self._existing:
            return
        sources = itertools.chain(
            (job.source for job in planned.jobs),
            [conflict.source for conflict in planned.conflicts],
            (result.source for result in planned.skipped),
        )
        originals = {
            self._existing[found]: source
            for source in sources
            if (found := identity(source.file)) in self._existing
        }
        planned.conflicts = [one for one in planned.conflicts if one.target not in originals]
        for target, source in originals.items():
            what = "is" if _same_name(target, source.path) else "is a link to"
            planned.conflicts.append(
                Conflict(
                    source,
                    target,
                    f"{target} {what} the original {source.path}",
                    "Originals are never overwritten: use another --output or --name.",
                )
            )

    def _target(
        self, source: Source, output: Output, relative: str
    ) -> Target | Kept | Skip | Conflict:
        """Decide about one output: make it, keep what is there, or skip its source."""
        rival = self._rival(relative)
        if rival is not None and rival.source.path == source.path:
            return GIVEN_TWICE
        if self._on_conflict == "rename":
            relative = self._free_name(source, output, relative)
            if (wrong := self._targets.too_long(source, relative)) is not None:
                return wrong
        elif rival is not None and (loses := self._rivalled(rival, source, output, relative)):
            return loses
        made = self._lookup(relative)
        self.planned.known += made is not None
        path = self._real_path(relative, made)
        target = Target(
            output.name,
            self.planned.output,
            relative,
            any_suffix=output.encoding.format is None,
            standing=os.fsdecode(made.path) if made is not None and made.path else None,
        )
        state = local_files.state(path)
        if state is None:
            return target
        if made is None:
            return self._conflicting(source, target, path, f"{path} exists already")
        if not self._force and self._is_of(made, source, output) and is_whole(made, state):
            if made.is_certain(source):
                return Kept(path, output.name, relative, made)
            # The source was touched, or copied: whoever does the job compares its content.
            earlier = about.earlier(made, output.name, path)
            target = replace(target, unless=made.source_hash, earlier=earlier)
        return self._renewed(target, made, state, source, output)

    def _renewed(
        self, target: Target, made: Made, state: FileState, source: Source, output: Output
    ) -> Target | Kept | Conflict:
        """Decide about a target whose existing file may be an earlier result for this source."""
        path = self._real_path(target.relative, made)
        objection = f"{path} exists already"
        if is_ours(made, state):
            if self._may_be_original(made, target.relative):
                self._remember_existing(path)
                objection = f"{path} may be an original that was changed in place"
                return self._conflicting(source, target, path, objection)
            if self._is_from(made, source):
                self._remember_existing(path)
                reason = self._reason(target, made, source, output)
                return self._replacing(replace(target, replaces=reason), made, state)
            origin = os.fsdecode(made.source or made.next_source or b"")
            objection = f"{path} was made from another picture, {origin}"
        elif target.unless is not None:
            return replace(target, replace=self._on_conflict == "overwrite", replaces="source")
        elif self._may_be_torn(made, state, source, output):
            if self._on_conflict == "overwrite":
                return replace(target, claimed=True, replace=True, replaces="conflict")
            return replace(target, claimed=True)
        elif made.size is not None:
            objection = f"{path} was changed since imgbatch made it"
        return self._conflicting(source, target, path, objection)

    def _reason(self, target: Target, made: Made, source: Source, output: Output) -> Replaced:
        """Why an earlier result for a source is remade."""
        digest = self._digests[output.name]
        if made.recipe not in (None, digest):
            return "options"
        if target.unless is not None or not made.suits(source, digest):
            return "source"
        return "force" if self._force else "damaged"

    def _replacing(self, target: Target, made: Made, state: FileState) -> Target:
        """The target, where an earlier result for its source is to be replaced."""
        if state.size == 0 or state.equals(made.state) or state.size != made.size:
            return replace(target, known=state)
        # It may be a copy, or have been edited with its time kept: the worker checks its bytes.
        overwrite = self._on_conflict == "overwrite"
        return replace(target, known=state, known_hash=made.hash, replace=overwrite)

    def _may_be_torn(self, made: Made, state: FileState, source: Source, output: Output) -> bool:
        """Whether a file may be what a power cut left of this very output.

        It is if its bytes are the same as far as it goes: whoever makes the output compares them.
        """
        if state.size < 0:
            return False
        if made.claim_suits(source, self._digests[output.name]):
            return True
        return (
            made.size is not None and state.size < made.size and self._is_of(made, source, output)
        )

    def _conflicting(
        self, source: Source, target: Target, path: str, objection: str
    ) -> Target | Kept | Conflict:
        """Decide about a target whose existing file is not simply to be replaced."""
        if os.path.isdir(path):
            return Conflict(
                source,
                path,
                f"{path} is a folder, and {source.path} would get its name",
                "Use another --name or --output.",
            )
        if self._on_conflict == "skip":
            return Kept(path, target.output, target.relative)
        self._remember_existing(path)
        if self._on_conflict == "overwrite":
            return replace(target, replace=True, replaces="conflict")
        return Conflict(
            source,
            path,
            objection,
            "Use --on-conflict skip, overwrite or rename, or another --output.",
        )

    def _rival(self, relative: str) -> Job | None:
        """Another source's job with the same target."""
        own = folded(relative)
        index = self._taken.get(hash(own))
        if index is None or index in self._superseded:
            return None
        job = self.planned.jobs[index]
        return job if any(folded(target.relative) == own for target in job.targets) else None

    def _free_name(self, source: Source, output: Output, relative: str) -> str:
        """`a.jpg`, or the first of `a-2.jpg`, `a-3.jpg`, … that no other source has."""
        stem, suffix = os.path.splitext(relative)
        for number in itertools.count(2):
            if self._rival(relative) is None:
                made = self._lookup(relative)
                state = local_files.state(self._real_path(relative, made))
                if state is None or (made and self._is_free(relative, made, state, source, output)):
                    break
            relative = f"{stem}-{number}{suffix}"
        return relative

    def _is_free(
        self, relative: str, made: Made, state: FileState, source: Source, output: Output
    ) -> bool:
        """Whether an existing file is this source's own."""
        if self._is_of(made, source, output) and is_whole(made, state):
            return True
        if self._may_be_original(made, relative):
            return False
        return is_ours(made, state) and self._is_from(made, source)

    def _is_of(self, made: Made, source: Source, output: Output) -> bool:
        """Whether a result was made from this very source, as it is now, and for this output."""
        return made.suits(source, self._digests[output.name]) and self._is_from(made, source)

    def _may_be_original(self, made: Made, relative: str) -> bool:
        """Whether an existing file may have been changed in place, before its folder was renamed.

        Its journal calls it ours, and where it was there may be another picture now.
        """
        return self._in_place and is_named_alike(made.source or b"", relative)

    def _is_from(self, made: Made, source: Source) -> bool:
        return is_from(made, source, self._absolute(source))

    def _rivalled(
        self, rival: Job, source: Source, output: Output, relative: str
    ) -> Skip | Conflict | None:
        """Decide about a source whose target another has, too; None if that one gives way."""
        path = self._targets.path(relative)
        if self._on_conflict == "overwrite":
            # One picture per name: the last is made, and the other's row says why it is not.
            self._superseded.add(self._taken[hash(folded(relative))])
            reason = f"{path} goes to {source.path} (--on-conflict overwrite)"
            self.planned.skipped.append(rival.source, reason)
            return None
        if self._on_conflict == "skip":
            return Skip(f"{path} goes to {rival.source.path} (--on-conflict skip)")
        return Conflict(
            source,
            path,
            f"{rival.source.path} and {source.path} would both become {path}",
            self._targets.remedy(output.name),
        )

    def _remember_existing(self, path: str) -> None:
        found = identity(path)
        if found is not None:
            self._existing[found] = path

    def _real_path(self, relative: str, made: Made | None) -> str:
        """Where a target is if it was made: its suffix may have differed."""
        if made is None or made.path is None:
            return self._targets.path(relative)
        return self._targets.path(os.fsdecode(made.path))


def _skipped(kept: Sequence[Kept]) -> Skip:
    """The decision about a source of which nothing is made."""
    foreign = [one.path for one in kept if one.made is None]
    if foreign:
        return Skip(f"already there: {', '.join(foreign)}")
    warned = any(one.made and about.is_warned(one.made) for one in kept)
    return Skip(UP_TO_DATE, tuple(one.relative for one in kept), warned)


def _same_name(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)
