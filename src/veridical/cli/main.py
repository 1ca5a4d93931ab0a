"""The command line: parse, call, print. No judgement lives here.

Exit status: 0 if every picture was judged, `undecided` included; 3 if some could not be read, 4 if
none could; 2 for a wrong command line; 130 after Ctrl-C; 1 for anything else that stopped the work
(a reader that is gone, too), and for a filed report that `verify` finds changed.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from veridical._version import VERSION
from veridical.cli.options import OUT, STDOUT
from veridical.errors import NotReady, VeridicalError

STOPPED = 130  # by Ctrl-C, as shells have it

COMMANDS = (
    *("inspect", "scan", "summary", "report", "verify", "provenance", "train", "audit"),
    *("evaluate", "calibrate", "card", "schema", "serve"),
)
_GIVEN = f"{__name__}.given"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class ErrorGroup(click.Group):
    """Imports each command when it is asked for, and turns errors into one clean message.

    Without a command, pictures are inspected: `veridical portrait.jpg`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"veridical.cli.{name}"), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the command `inspect` where an option of it, `-` or `--` comes first."""
        ctx.meta[_GIVEN] = tuple(args)
        if args and args[0].startswith("-") and self._is_of_inspect(ctx, args[0]):
            args = ["inspect", *args]
        with _names_of_files(ctx):
            return super().parse_args(ctx, args)

    def _is_of_inspect(self, ctx: click.Context, first: str) -> bool:
        inspect = self.get_command(ctx, "inspect")
        assert inspect is not None
        known = {
            name for option in inspect.params for name in (*option.opts, *option.secondary_opts)
        }
        return first.partition("=")[0] in {"-", "--", *known}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments; what is no command may be a picture to inspect."""
        name = args[0]
        if self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        if not name or _is_path(name):
            return "inspect", self.get_command(ctx, "inspect"), args
        close = get_close_matches(name, COMMANDS, n=1)
        wanted = f"did you mean {close[0]!r}?" if close else f"commands are {', '.join(COMMANDS)}."
        raise click.UsageError(f"There is no command and no file {name!r}; {wanted}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors raised on purpose and those of the system become a message."""
        told = [(f"{STDOUT} is closed.", "Send it to a file, a pipe or /dev/null.")]
        if sys.stdout is not None:  # else every answer would be lost in silence
            try:
                with _names_of_files(ctx):
                    return super().invoke(ctx)
            except VeridicalError as error:
                problems = error.problems if isinstance(error, NotReady) else (error,)
                told = [(one.message, one.cli_hint or one.hint) for one in problems]
            except OSError as error:
                if error.errno == errno.EPIPE:  # the reader went away: click ends quietly
                    raise
                message = f"{_place(error, ctx)}: {error.strerror or error}."
                hint = "Check the path, its permissions and the space on its disk."
                told = [(message, "" if error.errno in _FULL else hint)]
            except KeyboardInterrupt:
                return self._stopped(ctx)
        from veridical.present.words import printable

        for message, hint in told:
            click.secho(f"error: {printable(message)}", fg="red", err=True)
            if hint:
                click.echo(f"  {printable(hint)}", err=True)
        return ctx.exit(1)

    def _stopped(self, ctx: click.Context) -> Any:
        from veridical.cli.stages import stopped
        from veridical.present.words import printable

        click.echo(f"\n{printable(stopped())}", err=True)
        return ctx.exit(STOPPED)


@contextmanager
def _names_of_files(ctx: click.Context) -> Iterator[None]:
    """Where something is no option, and there is a file of that name, say how to name it."""
    try:
        yield
    except click.NoSuchOption as error:
        odd = (one for one in ctx.meta[_GIVEN] if one.startswith("-") and os.path.lexists(one))
        if (name := next(odd, None)) is None:
            raise
        from veridical.present.words import printable

        message = f"{error.message} For the file of that name write {printable(f'./{name}')}"
        raise click.NoSuchOption(error.option_name, message, ctx=error.ctx) from error


def _is_path(name: str) -> bool:
    """Return whether somebody means a file by it, there or not."""
    separators = {os.sep, os.altsep or os.sep, "/", "."}
    return os.path.lexists(name) or any(one in name for one in separators)


def _place(error: OSError, ctx: click.Context) -> str:
    """Return what could not be read or written. A full disk does not say which file it was."""
    place = ctx.meta.get(OUT, STDOUT) if error.filename is None else error.filename
    try:
        sys.stdout.flush()
    except OSError:
        place = STDOUT
        with suppress(OSError, ValueError):  # or Python would try again, and complain, at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return os.fsdecode(place)


@click.group(cls=ErrorGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="veridical")
def main() -> None:
    """Tell photographs of people from AI-generated ones. Nothing leaves this machine.

    `veridical PHOTO` is short for `veridical inspect PHOTO`.
    """
