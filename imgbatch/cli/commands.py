"""The command line: options become a Recipe and Settings, a Summary becomes an exit code.

Commands are imported when they are called, and import the rest of imgbatch when they run, so
`imgbatch --version` loads little more than click.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module

import click

import imgbatch
from imgbatch import signals
from imgbatch.cli import COMPLETING, safe_streams
from imgbatch.cli.output import complain, complain_of, dismiss, is_heard, tell_lines
from imgbatch.cli.reporting import Reporting, asked_for
from imgbatch.errors import ImgbatchError, PlanError, UsageError

_COMMANDS = {
    "resize": "Resize (and filter, and convert) pictures.",
    "convert": "Change the format; the size stays.",
    "filter": "Apply operations; the size stays.",
    "run": "Run a recipe: several pictures of each source.",
    "presets": "The recipes that can be run by name.",
    "formats": "What this installation reads and writes.",
    "operations": "What can be done to a picture.",
    "doctor": "Test this installation, for bug reports.",
    "completion": "Completion for a shell.",
}


class _Commands(click.Group):
    """A group that knows its commands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"imgbatch.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words that are left; raises click.UsageError if an option stands too early."""
        match args:
            case ["version", *_]:
                args = ["--version"]
            case ["help", *rest]:
                args = [*rest[:1], "--help"]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            command = next((word for word in args if word in _COMMANDS), "COMMAND")
            ctx.fail(
                f"{error.option_name} is not an option of imgbatch itself: options go after the "
                f"command, as in `imgbatch {command} {error.option_name} …`"
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        lost = args and args[0] not in _COMMANDS and not ctx.resilient_parsing
        if lost and not args[0].startswith("-"):
            from imgbatch.cli import defaults, remedies

            own: Collection[str] = ()
            with suppress(UsageError):
                own = defaults.read(None, no_config=False).presets()
            remedy = remedies.for_command(args[0], _COMMANDS, args[1:], own)
            ctx.fail(f"no such command {args[0]!r}: {remedy}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`imgbatch COMMAND --help` explains a command. Exit codes: 0 all done, 1 some files "
    "failed, 2 wrong usage (nothing was written), 3 no image found, 130 or 143 interrupted.",
)
@click.version_option(imgbatch.__version__, "-V", "--version", prog_name="imgbatch")
def group() -> None:
    """Turn folders of photographs into finished pictures, in parallel.

    Originals are never touched, unless --in-place says so, and a second run makes only what is new
    or changed.

    \b
    imgbatch resize shoot --size 1600    into the folder shoot-resized
    imgbatch resize a.jpg -o b.webp      one picture, in another format
    imgbatch run web-gallery shoot       several sizes of each, for the web
    """


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code. A user's mistake never shows a traceback."""
    safe_streams.make_safe()
    words = sys.argv[1:] if arguments is None else arguments
    if request := os.environ.get(COMPLETING):
        from imgbatch.cli import completion

        return completion.answer(group, request)
    code = 1
    try:
        code = _reported(words)
    finally:
        dismiss(code)
    return code


def _reported(words: list[str]) -> int:
    reporting = Reporting(words)
    try:
        return _ran(words, reporting)
    except (click.Abort, KeyboardInterrupt, signals.Interrupted) as error:
        number = error.number if isinstance(error, signals.Interrupted) else signal.SIGINT
        reporting.fail(128 + number, "interrupted", "it was interrupted")
        return signals.die_by(number)
    finally:
        reporting.close()


def _ran(words: list[str], reporting: Reporting) -> int:
    """The exit code of a command line, of whose end its report has been told."""
    try:
        code = group.main(words, prog_name="imgbatch", standalone_mode=False, obj=reporting)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        _log_late(words)
        complain_of(error)
        code, kind, message = error.exit_code, UsageError.category, error.format_message()
    except ImgbatchError as error:
        _log_late(words)
        first, *others = str(error).split("\n") if isinstance(error, PlanError) else [str(error)]
        complain(first, "ERROR")
        tell_lines(others, err=True)
        code, kind, message = error.exit_code, error.category, str(error)
    except OSError as error:
        # Standard output could not be written: the disk is full, for instance.
        complain(_message_of(error), "ERROR")
        code, kind, message = 1, ImgbatchError.category, _message_of(error)
    else:
        return code if isinstance(code, int) else 0
    reporting.fail(code, kind, message)
    return code


def _log_late(words: list[str]) -> None:
    """Open the log of a command line that was wrong before its log could be opened."""
    path, report = asked_for("--log", words), asked_for("--report", words)
    if path is None or is_heard():
        return
    if report is not None and os.path.realpath(path) == os.path.realpath(report):
        return
    from imgbatch.cli.log import Log

    # It may be the log that is wrong.
    with suppress(UsageError):
        Log.open(path)


def _message_of(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the folder that this was started in no longer exists"
    return error.strerror or str(error)
