"""`imgbatch.run` as a guest in programs with processes, threads and settings of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from toolkit.folders import files, plant
from toolkit.library import script

PHOTOS: Final = tuple(f"photos/{number:02}.jpg" for number in range(12))

RUN: Final = """
import imgbatch
RECIPE = imgbatch.Recipe.from_options(sizes=["30"])
def results(output, jobs=2, photos="photos", recipe=RECIPE):
    return imgbatch.run(recipe, [photos], output=output, jobs=jobs)
def statuses(output, jobs=2):
    return sorted({result.status for result in results(output, jobs)})
"""

CHILDREN: Final = (
    RUN
    + """
import multiprocessing, os, signal, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor

def sleep():
    time.sleep(600)
def fail():
    sys.exit(1)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def square(number):
    return number * number

if __name__ == "__main__":
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        arriving = results(method)
        done = [next(arriving).status]
        children = [context.Process(target=target) for target in (sleep, fail, die)]
        for child in children:
            child.start()
        for child in children[1:]:
            child.join()
        program = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        with context.Pool(2) as pool, ProcessPoolExecutor(2, mp_context=context) as others:
            squares = pool.map(square, range(9)), list(others.map(square, range(9)))
            done += [result.status for result in arriving]
            squares += pool.map(square, range(9)), list(others.map(square, range(9)))
        print(len(done), sorted(set(done)), squares.count([n * n for n in range(9)]))
        print([child.exitcode for child in children], program.poll())
        children[0].kill()
        children[0].join()
        program.communicate()
"""
)


@pytest.mark.slow
def test_host_children_are_neither_killed_nor_reaped(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS)

    run = script(tmp_path, CHILDREN)

    assert run.stderr == ""
    assert (
        run.stdout.splitlines()
        == [
            *("12 ['done'] 4", "[None, 1, -9] None"),
        ]
        * 3
    )


THREADS: Final = (
    RUN
    + """
import threading
if __name__ == "__main__":
    short, told = [], []
    def several(name):
        for number in range(3):
            short.extend(result.status for result in results(f"{name}{number}", photos="few"))
    def long():
        told.extend(result.status for result in results("long"))
    threads = [threading.Thread(target=target, args=args) for target, args in
               ((several, ("a",)), (several, ("b",)), (long, ()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(short), set(short), len(told), set(told))
"""
)


@pytest.mark.slow
def test_runs_in_several_threads_do_not_interfere(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS, "few/a.jpg", "few/b.jpg")

    run = script(tmp_path, THREADS)

    assert run.stderr == ""
    assert run.stdout == "12 {'done'} 12 {'done'}\n"


SETTINGS: Final = (
    RUN
    + """
import gc, multiprocessing, os, signal, sys, tempfile, threading, warnings
from multiprocessing import spawn
import PIL.Image, PIL.ImageFile
def settings():
    return [
        multiprocessing.get_start_method(allow_none=True), list(sys.warnoptions),
        list(warnings.filters), dict(os.environ), sys.excepthook, sys.stdout, sys.stderr,
        spawn.get_preparation_data, spawn.get_executable(), gc.get_freeze_count(), gc.isenabled(),
        tempfile.tempdir, os.getcwd(), PIL.Image.MAX_IMAGE_PIXELS,
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES, multiprocessing.active_children(),
        signal.pthread_sigmask(signal.SIG_BLOCK, ()), threading.excepthook,
        *map(signal.getsignal, (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)),
    ]
if __name__ == "__main__":
    statuses("first", 1)
    before = settings()
    for jobs in (1, 2):
        statuses(str(jobs), jobs)
        print([one for one in zip(before, settings()) if one[0] != one[1]])
"""
)


@pytest.mark.slow
def test_host_settings_are_restored(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS)

    run = script(tmp_path, SETTINGS)

    assert run.stderr == ""
    assert run.stdout.splitlines() == ["[]", "[]"]


DAEMONIC: Final = (
    RUN
    + """
import multiprocessing
def by_camera(output):
    recipe = imgbatch.Recipe.from_options(sizes=["30"], template="{camera}-{stem}{ext}")
    return [result.status for result in results(output, photos="named", recipe=recipe)]
if __name__ == "__main__":
    with multiprocessing.get_context("METHOD").Pool(1) as pool:
        print(pool.map(statuses, ["a", "b"]), pool.map(by_camera, ["c"])[0].count("done"))
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_daemonic_process_does_the_work_itself(tmp_path: Path, method: str) -> None:
    plant(tmp_path, *PHOTOS)
    (tmp_path / "named").mkdir()
    # Enough that several processes would read their headers; only one test, because it is slow.
    many = 612 if method == "fork" else 12
    for number in range(many):
        os.link(tmp_path / PHOTOS[0], tmp_path / f"named/{number:03}.jpg")

    run = script(tmp_path, DAEMONIC.replace("METHOD", method))

    assert run.stderr == ""
    assert run.stdout == f"[['done'], ['done']] {many}\n"


EXECUTOR: Final = (
    RUN
    + """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("METHOD")) as executor:
        print(list(executor.map(statuses, ["a", "b"])))
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_run_in_process_pool_executor_starts_workers(tmp_path: Path, method: str) -> None:
    plant(tmp_path, *PHOTOS)

    run = script(tmp_path, EXECUTOR.replace("METHOD", method))

    assert run.stderr == ""
    assert run.stdout == "[['done'], ['done']]\n"


def run_as(folder: Path, how: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a file, from standard input, as an argument or in an interactive shell."""
    if how == "file":
        return script(folder, text)
    words = {"stdin": ["-"], "argument": ["-c", text], "shell": ["-i", "-q", "-c", ""]}[how]
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        input="\n".join(line for line in text.splitlines() if line) + "\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


PLAIN: Final = """
import imgbatch
recipe = imgbatch.Recipe.from_options(sizes=["30"])
print([result.status for result in imgbatch.run(recipe, ["photos"], output="out", jobs=2)])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "stdin", "argument", "shell"])
def test_program_needs_no_main_guard_and_no_file(tmp_path: Path, how: str) -> None:
    plant(tmp_path, *PHOTOS)

    run = run_as(tmp_path, how, PLAIN)

    assert run.stdout == f"{['done'] * 12}\n"
    assert run.stderr.replace(">>> ", "").strip() == ""


OWN_OPERATION: Final = """
import imgbatch
from imgbatch.operations.base import Operation, register
from dataclasses import dataclass
@register
@dataclass(frozen=True, slots=True)
class Mine(Operation):
    '''Do nothing.'''
    name = "mine"
    def apply(self, picture):
        return picture
GUARD:
    recipe = imgbatch.Recipe.from_options(filters=["mine"])
    print([result.status for result in imgbatch.run(recipe, ["photos"], output="out", jobs=2)])
"""


@pytest.mark.slow
def test_operation_defined_in_the_program_is_imported_from_its_file(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS)

    run = script(tmp_path, OWN_OPERATION.replace("GUARD", 'if __name__ == "__main__"'))

    assert run.stderr == ""
    assert run.stdout == f"{['done'] * 12}\n"


@pytest.mark.slow
def test_operation_in_a_program_without_main_guard_gives_advice_once(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS)

    run = script(tmp_path, OWN_OPERATION.replace("GUARD", "if True"))

    assert run.returncode == 1
    assert run.stderr.count("Traceback") == 1
    assert "WorkersError: the worker processes cannot start" in run.stderr
    assert "put the call of imgbatch under `if __name__ == '__main__':`" in run.stderr
    assert files(tmp_path / "out") == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stdin", "argument"])
def test_operation_in_a_program_without_a_file_runs_in_process(tmp_path: Path, how: str) -> None:
    plant(tmp_path, *PHOTOS)

    run = run_as(tmp_path, how, OWN_OPERATION.replace("GUARD", 'if __name__ == "__main__"'))

    assert run.stdout == f"{['done'] * 12}\n"
    assert run.stderr.count("RuntimeWarning: no worker process can be started") == 1
    assert "a main module that has no file" in run.stderr
