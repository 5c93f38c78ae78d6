"""Outputs of earlier runs that a plan does not make any more.

Only what is certain counts. An output is left over if its source is gone from a folder that this
run works on, or if its source is in the plan and other outputs are made of it. A run that names,
selects or can read only a part of the sources says nothing of the others, and neither does a folder
in which no picture is found: its disk may not be mounted. What this run takes for
an original stays, and so does what may have been changed in place.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from imgbatch.model import FileState, LeftOver, LeftOverReason, Made, Source, joined
from imgbatch.naming import folded
from imgbatch.planning.output_paths import is_own
from imgbatch.planning.ownership import (
    FROM_STREAM,
    absolute_paths,
    identity,
    is_named_alike,
    may_be_in_place,
)
from imgbatch.planning.plan import Plan
from imgbatch.planning.scan import Selection
from imgbatch.store import local_files

_NO_NAMES = frozenset({"", os.curdir, os.pardir})


def left_over(
    planned: Plan,
    rows: Iterable[tuple[str, Made]],
    folders: Sequence[str],
    selection: Selection,
    subfolder: str = "",
) -> Iterator[LeftOver]:
    """What is left over among the targets that a journal records in `rows`.

    `folders` are those that were scanned, with this selection. With a `subfolder` it is what is in
    folders of that name: others are for other purposes.
    """
    known = _Known(planned)
    if known.unlisted:
        return
    scope = _Scope([one for one in folders if known.has_any_below(one)], selection, subfolder)
    found: list[LeftOver] = []
    places: set[str] = set()
    for target, made in rows:
        if hash(target) in known.targets:
            # Where it is, if its suffix differs.
            places.add(_place(target, made))
        elif (one := _judged(planned.output, target, made, known, scope)) is not None:
            found.append(one)
    for one in found:
        if one.place not in places:
            places.add(one.place)
            yield one


class _Known:
    """The targets of a plan, and the sources of which it makes or has something, by their hashes.

    A source's value is the end of the folder in which a run over the folder above its root has its
    outputs, "" if this run has them there as well. `originals` are all sources, by their hashes
    and by their inodes. `unlisted` says that a folder could not be listed.
    """

    def __init__(self, planned: Plan) -> None:
        self.targets: set[int] = set()
        self.folded: set[int] = set()
        self.sources: dict[int, str] = {}
        self.originals: set[int] = set()
        self.inodes: set[int] = set()
        self.in_place = may_be_in_place(planned.output)
        self.unlisted = False
        self._folders: set[str] = set()
        self._add_targets(planned.kept)
        absolute = absolute_paths()
        for source, outputs in planned.skipped.outputs():
            self._add(source, absolute(source), outputs)
        for source, places in planned.jobs.places():
            self.unlisted |= not places
            self._add(source, absolute(source), [relative for _, relative in places])

    def has_any_below(self, folder: str) -> bool:
        """Whether there is any source below a folder."""
        root = os.path.join(os.path.abspath(folder), "")
        return any(os.path.join(one, "").startswith(root) for one in self._folders)

    def is_original(self, path: str, state: FileState) -> bool:
        """Whether the file at an absolute path is a source of the plan."""
        return hash(real_name(path)) in self.originals or state.inode in self.inodes

    def _add(self, source: Source, path: bytes, outputs: Sequence[str]) -> None:
        absolute = os.fsdecode(path)
        name = hash(real_name(absolute))
        self._folders.add(os.path.dirname(absolute))
        self.originals.add(name)
        if source.inode:
            self.inodes.add(source.inode)
        if outputs:
            above = "" if source.below else os.path.basename(os.path.abspath(source.root))
            folder = os.path.dirname(f"/{above}/{source.relative}") if above else ""
            self.sources[name] = folder
            self._add_targets(outputs)

    def _add_targets(self, outputs: Sequence[str]) -> None:
        self.targets.update(map(hash, outputs))
        self.folded.update(hash(folded(one)) for one in outputs)


class _Scope:
    """The sources that a scan of `folders` would have found, if they were there, and where what is
    made of them is."""

    def __init__(self, folders: Sequence[str], selection: Selection, subfolder: str) -> None:
        self._roots = {
            os.path.join(root, "")
            for folder in folders
            for root in (os.path.abspath(folder), os.path.realpath(folder))
        }
        self._recursive = selection.recursive
        self._patterns = selection.compiled()
        self._beside = os.path.join(*subfolder.split("/"), "") if subfolder else ""

    def has_place(self, path: str, source: str) -> bool:
        """Whether an output at an absolute path is where those of this run are, for its source."""
        beside = os.path.join(os.path.dirname(source), self._beside)
        return not self._beside or real_name(path).startswith(os.path.normcase(beside))

    def has(self, path: str) -> bool:
        """Whether a source with this absolute path belongs to them."""
        for root in self._roots:
            if path.startswith(root):
                relative = path[len(root) :].replace(os.sep, "/")
                return (self._recursive or "/" not in relative) and self._patterns.allow(relative)
        return False


def _judged(output: str, target: str, made: Made, known: _Known, scope: _Scope) -> LeftOver | None:
    """A target that is not in the plan, if it is left over."""
    place = _place(target, made)
    if not isinstance(made.source, bytes) or made.state is None or not _is_below(place):
        return None
    if made.source == FROM_STREAM:
        # Each was made of another picture.
        return None
    path, source = joined(output, place), os.fsdecode(made.source)
    name, own = real_name(source), os.path.abspath(path)
    if _is_itself(own, name, target, made, known) or not scope.has_place(own, name):
        return None
    reason: LeftOverReason
    if (folder := known.sources.get(hash(name))) is not None:
        if folder and os.path.dirname(f"/{place}").endswith(folder):
            # It may be of a run over more than the part that this one works on.
            return None
        reason = "not-made"
    elif (scope.has(source) or scope.has(name)) and is_gone(source):
        reason = "source-gone"
    else:
        return None
    there = local_files.state(path)
    if there is None or there.size != made.size:
        # Somebody has removed or changed it.
        return None
    if known.is_original(own, there):
        return None
    # On some systems this may be a file of the plan, under the name that it had before.
    if hash(folded(place)) in known.folded and has_other_names(path):
        return None
    return LeftOver(target, place, path, source, reason, made.state, made.hash)


def _is_itself(path: str, source: str, target: str, made: Made, known: _Known) -> bool:
    """Whether a file may have been changed in place, and so is itself an original."""
    if source == real_name(path) or isinstance(made.hash, bytes):
        return True
    return known.in_place and is_named_alike(made.source or b"", target)


def _place(target: str, made: Made) -> str:
    return target if made.path is None else os.fsdecode(made.path)


def _is_below(place: str) -> bool:
    """Whether a path that a journal gives is one of an output: anybody may have edited that."""
    names = place.split("/")
    return _NO_NAMES.isdisjoint(names) and not is_own(names) and not os.path.isabs(place)


def is_gone(path: str) -> bool:
    """Whether there certainly is no file at an absolute path, of all names in it.

    A link that leads nowhere may lead to a disk that is not mounted.
    """
    if not _is_missing(path):
        return False
    folder = os.path.dirname(path)
    while _is_missing(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) or not os.path.islink(folder)


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        # It may be there: the disk or the rights do not say.
        return False
    return False


def has_other_names(path: str) -> bool:
    """Whether the file is found by its name in other letters or another Unicode form, too."""
    folder, name = os.path.split(path)
    own = identity(path)
    forms = {name.swapcase(), *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))}
    return any(identity(os.path.join(folder, form)) == own for form in forms - {name})


def real_name(path: str) -> str:
    """An absolute path without links to folders, and in one case where that does not count."""
    folder, name = os.path.split(path)
    return os.path.normcase(os.path.join(_real(folder), name))


@lru_cache(maxsize=1000)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
