"""One job becomes one result. Knows pictures and files, but no processes.

`process` never raises for what a file or a disk can do: it returns a failed Result.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from imgbatch import atomic
from imgbatch.errors import PictureError
from imgbatch.imaging import decode, encode, formats
from imgbatch.imaging import resample as _resample  # noqa: F401
from imgbatch.imaging.encode import Encoded
from imgbatch.imaging.picture import Picture
from imgbatch.model import Failure, Job, Notice, Result, Source, Target, Written
from imgbatch.operations import Operation
from imgbatch.recipe import Recipe

# Loaded here, and `resample` above, because nearly every job needs them and workers are forked
# from a process that has imported this module.
formats.load_plugin(formats.BY_NAME["jpeg"])

# Pillow keeps this many freed 16 MB blocks for the next picture instead of giving them back:
# a full decode of 24 MP takes a third less time for it.
_KEPT_BLOCKS = 16


def tune_process() -> None:
    """Set a process that does nothing but this up for it; not for a process that is a guest."""
    # The workers already share the processors between them. NumPy is not loaded yet, if at all.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # The type stubs of Pillow's C part leave this out.
    Image.core.set_blocks_max(_KEPT_BLOCKS)  # type: ignore[attr-defined]


def process(job: Job, recipe: Recipe, run: str) -> Result:
    """Make all outputs of one source, or none.

    Everything is encoded before anything is written, and everything is written under temporary
    names, marked with the word `run`, before the first is published.
    """
    begun = time.perf_counter()
    try:
        encoded = _encode_all(job, recipe)
        written = _write_all(job, encoded, run)
    except PictureError as error:
        return _failed(job.source, error.failure, begun)
    except MemoryError:
        failure = Failure("operate", "memory", "not enough memory for this picture")
        return _failed(job.source, failure, begun)
    except Exception as error:
        message = f"{type(error).__name__}: {error} (this is a mistake in imgbatch)"
        return _failed(job.source, Failure("operate", "internal", message), begun)
    notices = _unique(notice for one in encoded for notice in one.notices)
    return Result(job.source, "done", written, notices, seconds=time.perf_counter() - begun)


def lost(job: Job, kind: str, message: str) -> Result:
    """The outcome of a job whose worker process died."""
    return Result.failed(job.source, Failure("worker", kind, message))


def failed(result: Result) -> bool:
    """Whether it counts as a failure."""
    return result.status == "failed"


def _failed(source: Source, failure: Failure, begun: float) -> Result:
    return Result.failed(source, failure, time.perf_counter() - begun)


def _encode_all(job: Job, recipe: Recipe) -> list[Encoded]:
    picture = decode.decode(job.source.path, recipe.needed_size)
    picture = _operate(picture, recipe.prepare)
    # Some outputs may be there already: then the job has no target for them.
    wanted = {target.output for target in job.targets}
    return [
        encode.encode(_operate(picture, output.operations).upright(), output.encoding)
        for output in recipe.outputs
        if output.name in wanted
    ]


def _operate(picture: Picture, operations: Iterable[Operation]) -> Picture:
    for operation in operations:
        try:
            picture = operation.apply(picture if operation.turns else picture.upright())
        except (PictureError, MemoryError):
            raise
        except Exception as error:
            raise PictureError(
                "operate", operation.name, f"{operation.name}: {type(error).__name__}: {error}"
            ) from error
    return picture


def _write_all(job: Job, encoded: Sequence[Encoded], run: str) -> tuple[Written, ...]:
    targets = [_settled(target, one) for target, one in zip(job.targets, encoded, strict=True)]
    staged: list[atomic.Staged] = []
    published: list[str] = []
    path = ""
    try:
        for target, one in zip(targets, encoded, strict=True):
            path = target.path
            staged.append(atomic.stage(target.path, one.data, run))
        for target, file in zip(targets, staged, strict=True):
            path = target.path
            file.publish(replace=target.replace)
            if not target.replace:
                published.append(target.path)
    except OSError as error:
        # All or none: what replaced something cannot be taken back, what was new can.
        for path_before in published:
            with suppress(OSError):
                os.unlink(path_before)
        raise PictureError("write", *_explained(error, path)) from error
    finally:
        # Those that were published are gone from under their temporary names.
        for file in staged:
            file.discard()
    return tuple(
        Written(target.output, target.path, *one.size, len(one.data), one.format.name)
        for target, one in zip(targets, encoded, strict=True)
    )


def _settled(target: Target, encoded: Encoded) -> Target:
    """With the suffix of the format that the source turned out to have.

    Such a path was not checked by the plan, so it may not replace anything.
    """
    stem, suffix = os.path.splitext(target.path)
    right = encoded.format.suffix_for(suffix)
    if not target.any_suffix or right == suffix:
        return target
    return replace(target, path=stem + right, replace=False)


def _explained(error: OSError, path: str) -> tuple[str, str]:
    if isinstance(error, FileExistsError):
        return "exists", f"{path} exists already and was left as it is (see --on-conflict)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full", f"no space left to write {path}"
    if error.errno == errno.EFBIG:
        return "file-too-large", f"the file system or a limit does not allow the size of {path}"
    return "unwritable", f"cannot write {path}: {error.strerror}"


def _unique(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    return tuple(dict.fromkeys(notices))
