"""The command line: parse, call, print. No judgement lives here.

Exit status: 0 if every picture was judged, `undecided` included; 3 if some could not be read, 4 if
none could; 2 for a wrong command line; 1 for anything else that stopped the work.
"""

import os
from importlib import import_module
from typing import Any

import click

from veridical._version import VERSION
from veridical.errors import VeridicalError

COMMANDS = ("inspect", "train", "audit", "evaluate", "calibrate", "card", "schema")


class ErrorGroup(click.Group):
    """Imports each command when it is asked for, and turns errors into one clean message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"veridical.cli.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors raised on purpose and those of the system become a message."""
        try:
            return super().invoke(ctx)
        except VeridicalError as error:
            message, hint = error.message, error.cli_hint or error.hint
        except OSError as error:
            if error.filename is None:  # such as a closed pipe, which click handles
                raise
            message = f"{os.fsdecode(error.filename)}: {error.strerror or error}."
            hint = "Check the path, its permissions and the space on its disk."
        from veridical.present.words import printable

        click.secho(f"error: {printable(message)}", fg="red", err=True)
        click.echo(f"  {printable(hint)}", err=True)
        return ctx.exit(1)


@click.group(cls=ErrorGroup)
@click.version_option(VERSION, prog_name="veridical")
def main() -> None:
    """Tell photographs of people from AI-generated ones. Nothing leaves this machine."""
