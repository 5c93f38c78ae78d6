"""The command in a process forked from one that has loaded it, as have its workers' server.

Most of what a short command costs is the start of four interpreters. From the first line of
`imgbatch.__main__` on it is the same, with processes and workers of its own; but interpreters
are not started, so what matters from there (encodings, `-W`, injected modules) needs a real one.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

# What an interpreter looks at when it starts.
_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OPENBLAS_")
_LOADED: Final = (
    "imgbatch.cli.resize",
    "imgbatch.running.batch",
    "imgbatch.executors.pool",
    "imgbatch.store.journal",
    "imgbatch.cli.progress",
    "imgbatch.running.report",
    "imgbatch.running.worker_tasks",
    "imgbatch.running.worker",
    "multiprocessing.popen_forkserver",
    "multiprocessing.sharedctypes",
    "numpy",
    "PIL.JpegImagePlugin",
)
_STREAMS: Final = 3
_one_at_a_time: Final = threading.Lock()


def run(
    words: Sequence[str | bytes], cwd: Path, stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[bytes] | None:
    """`python -m imgbatch WORDS`; nothing if this environment needs an interpreter of its own."""
    mask = os.umask(0)
    os.umask(mask)
    arguments = [os.fsdecode(word) for word in words]
    request = {"words": arguments, "cwd": str(cwd), "env": dict(os.environ), "mask": mask}
    with _one_at_a_time:
        server = _server(os.getpid())
        if server.environment != _environment():
            return None
        streams = [tempfile.TemporaryFile() for _ in range(_STREAMS)]
        given, said, complained = streams
        given.write(stdin)
        given.seek(0)
        try:
            code = server.ask(request, [stream.fileno() for stream in streams], timeout)
            for stream in (said, complained):
                stream.seek(0)
            return subprocess.CompletedProcess(arguments, code, said.read(), complained.read())
        finally:
            for stream in streams:
                stream.close()


@functools.cache
def _server(_pid: int) -> _Server:
    return _Server()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_AT_START)}


class _Server:
    def __init__(self) -> None:
        self.environment = _environment()
        self._socket, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            ).returncode = 0  # It ends with this process, which need not wait for it.
        self._answers = self._socket.makefile("r")
        atexit.register(self._socket.close)

    def ask(self, request: dict[str, object], streams: list[int], timeout: float) -> int:
        data = json.dumps(request).encode()
        socket.send_fds(self._socket, [len(data).to_bytes(8, "big")], streams)
        self._socket.sendall(data)
        pid = int(self._answers.readline())
        watch = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
        watch.start()
        try:
            return int(self._answers.readline())
        finally:
            watch.cancel()


def _serve(connection: socket.socket) -> None:
    """Fork a process for each request, which returns from here to become the command."""
    answers = connection.makefile("w")
    while True:
        length, streams, *_ = socket.recv_fds(connection, 8, _STREAMS)
        if not length:
            os._exit(0)
        with connection.makefile("rb", buffering=0) as file:
            request = b""
            while len(request) < int.from_bytes(length, "big"):
                request += file.read(int.from_bytes(length, "big") - len(request))
        pid = os.fork()
        if pid == 0:
            _become(json.loads(request), streams)
            connection.close()
            return
        for stream in streams:
            os.close(stream)
        print(pid, file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.umask(request["mask"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = request["cwd"]
    sys.argv[1:] = request["words"]


def _spawn_forked(usual: Any) -> Any:
    """Instead of multiprocessing's own: servers are forked as well, since they are loaded, too."""

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
    """What a process loses that executes another program."""
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


if __name__ == "__main__":
    from multiprocessing import util

    for module in _LOADED:
        __import__(module)
    util.spawnv_passfds = _spawn_forked(util.spawnv_passfds)
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("imgbatch", run_name="__main__", alter_sys=True)
