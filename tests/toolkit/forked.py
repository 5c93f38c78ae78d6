"""The command in a process forked from one that has loaded it, as the server of its workers may be.

Most of the cost of a short command is the start of four interpreters. From the first line of
`imgbatch.__main__` on it is the same, with processes and workers of its own, and in its own
session; but no interpreter is started, so tests of what matters there (encodings, `-W`) need a real
one.

This module is the script of that process, and its client (`Forks`). Linux only.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

# What an interpreter reads when it starts.
_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENBLAS_")
# What the command sets if nobody has; it may also run in the process of the tests, which keeps it.
_SET_BY_THE_COMMAND: Final = {"OPENBLAS_NUM_THREADS": "1"}
_LOADED: Final = (
    "imgbatch.executors.pool",
    "imgbatch.executors.serial",
    "imgbatch.recipes.memory",
    "imgbatch.recipes.presets",
    "imgbatch.recipes.toml",
    "imgbatch.running.batch",
    "imgbatch.running.preloaded",
    "imgbatch.running.report",
    "imgbatch.running.worker_tasks",
    "imgbatch.store.journal",
    "importlib.metadata",
    "importlib.resources",
    "multiprocessing.popen_forkserver",
    "multiprocessing.queues",
    "multiprocessing.sharedctypes",
    "multiprocessing.synchronize",
    "numpy",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
)
_LOADED_WHOLE: Final = ("imgbatch.cli", "imgbatch.operations")
_STREAMS: Final = 3
_NUMBER_BYTES: Final = 8
_one_at_a_time: Final = threading.Lock()


class HangsError(Exception):
    """A command did not end in time."""


class Forks:
    """A process that forks commands, one at a time.

    `environment` is that of its interpreter. Without `servers` the servers of workers are
    interpreters of their own, as usual. `entered` ("module:function") is called in each fork, right
    before it becomes the command.
    """

    def __init__(
        self, environment: Mapping[str, str], *, servers: bool = True, entered: str = ""
    ) -> None:
        self.environment = dict(environment)
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), str(int(servers)), entered],
                pass_fds=[theirs.fileno()],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def run(
        self,
        words: Sequence[str],
        cwd: Path,
        streams: Sequence[int],
        *,
        environment: Mapping[str, str],
        timeout: float,
        begun: Callable[[int], None] = lambda pid: None,
    ) -> tuple[int, int]:
        """Run `python -m imgbatch WORDS` in the folder `cwd`; return its process id and exit code.

        `streams` are descriptors of files for its standard input, output and error. `begun` is
        called with its process id. Raises HangsError if it takes longer than `timeout` seconds;
        then it is killed, with its workers.
        """
        # As bytes, which mean other characters where there is another encoding.
        raw = [os.fsencode(word).decode("latin-1") for word in words]
        request = {"words": raw, "cwd": str(cwd), "env": {**environment}, "mask": _umask()}
        data = json.dumps(request).encode()
        self._socket.settimeout(timeout)
        socket.send_fds(self._socket, [_as_bytes(len(data))], [*streams])
        self._socket.sendall(data)
        pid = self._answer()
        try:
            begun(pid)
            return pid, self._answer()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self._answer()
            raise

    def completed(
        self,
        words: Sequence[str],
        cwd: Path,
        stdin: bytes = b"",
        timeout: float = 300,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """As `run`, with its streams captured in files: an orphan would keep a pipe open."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as error,
        ):
            given.write(stdin)
            given.seek(0)
            _, code = self.run(
                words,
                cwd,
                [stream.fileno() for stream in (given, out, error)],
                environment=self.environment if environment is None else environment,
                timeout=timeout,
            )
            out.seek(0)
            error.seek(0)
            return subprocess.CompletedProcess([*words], code, out.read(), error.read())

    def close(self) -> None:
        atexit.unregister(self.close)
        # Whatever copies of the socket other forks of this process have.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._process.wait()

    def _answer(self) -> int:
        try:
            answer = self._socket.recv(_NUMBER_BYTES, socket.MSG_WAITALL)
        except TimeoutError:
            raise HangsError(f"it did not end in {self._socket.gettimeout():.0f} s") from None
        if len(answer) < _NUMBER_BYTES:
            raise RuntimeError("the process that forks commands is gone")
        return int.from_bytes(answer, "big", signed=True)


def run(
    words: Sequence[str | bytes],
    cwd: Path,
    stdin: bytes,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run `python -m imgbatch WORDS`; return None if the environment needs a new interpreter."""
    environment = os.environ if env is None else env
    with _one_at_a_time:
        forks = _forks(os.getpid())
        if _at_start(forks.environment) != _at_start(environment):
            return None
        return forks.completed(
            [os.fsdecode(word) for word in words], cwd, stdin, timeout, environment
        )


@functools.cache
def _forks(_pid: int) -> Forks:
    return Forks({**_SET_BY_THE_COMMAND, **os.environ})


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in {**_SET_BY_THE_COMMAND, **environment}.items()
        # What is looked for along this path is found later, too.
        if name.startswith(_AT_START) and name != "PYTHONPATH"
    }


def _umask() -> int:
    """This process's umask; os.umask reads it only by setting it, which other threads would see."""
    told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(told.partition("\nUmask:")[2].split()[0], 8)


def _as_bytes(number: int) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big", signed=True)


def _serve(connection: socket.socket, entered: Callable[[], object]) -> None:
    """Fork a process for each request, which returns from here to become the command."""
    while True:
        length, streams, *_ = socket.recv_fds(connection, _NUMBER_BYTES, _STREAMS)
        if not length:
            os._exit(0)
        with connection.makefile("rb", buffering=0) as file:
            request = b""
            while len(request) < int.from_bytes(length, "big"):
                request += file.read(int.from_bytes(length, "big") - len(request))
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become(json.loads(request), streams)
            entered()
            return
        for stream in streams:
            os.close(stream)
        connection.sendall(_as_bytes(pid))
        _, status = os.waitpid(pid, 0)
        connection.sendall(_as_bytes(os.waitstatus_to_exitcode(status)))


def _become(request: dict[str, Any], streams: list[int]) -> None:
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.umask(request["mask"])
    ours, theirs = (one.get("PYTHONPATH", "") for one in (os.environ, request["env"]))
    if ours != theirs:
        sys.path[1:1] = [folder for folder in theirs.split(os.pathsep) if folder]
    os.environ.clear()
    os.environ.update(request["env"])
    # What is remembered of the environment.
    tempfile.tempdir = None
    time.tzset()
    sys.path[0] = request["cwd"]
    sys.argv[1:] = [os.fsdecode(word.encode("latin-1")) for word in request["words"]]


def _spawn_forked(usual: Any) -> Any:
    """Replaces multiprocessing's own: servers are forked as well, since they are loaded, too."""

    def spawned(path: bytes, args: list[str], passed: Sequence[int]) -> int:
        code = args[args.index("-c") + 1]
        if not code.startswith(
            ("from multiprocessing.forkserver", "from multiprocessing.resource_tracker")
        ):
            return int(usual(path, args, passed))
        if pid := os.fork():
            return pid
        try:
            _leave_behind({0, 1, 2, *map(int, passed)})
            if any(os.fsdecode(word).startswith("-Wignore") for word in args):
                warnings.simplefilter("ignore")
            exec(code, {"__name__": "__main__"})
        except SystemExit:
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    return spawned


def _leave_behind(kept: set[int]) -> None:
    """What a process loses when it executes another program."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in os.listdir("/dev/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue


def _end(code: int) -> NoReturn:
    """End as an interpreter does, without freeing every object: each would first be copied."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def _named(function: str) -> Callable[[], object]:
    module, _, name = function.partition(":")
    found: Callable[[], object] = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    from multiprocessing import util

    for module in _LOADED:
        importlib.import_module(module)
    for package in map(importlib.import_module, _LOADED_WHOLE):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    if sys.argv[2] == "1":
        util.spawnv_passfds = _spawn_forked(util.spawnv_passfds)
    # What is shared with forks would be copied when their garbage collectors scan it.
    gc.freeze()
    _serve(
        socket.socket(fileno=int(sys.argv[1])),
        _named(sys.argv[3]) if sys.argv[3] else lambda: None,
    )
    try:
        runpy.run_module("imgbatch", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        _end(ended.code)
