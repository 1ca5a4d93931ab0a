"""What several commands share: options, engines, progress, and how a failure is told."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from veridical.errors import VeridicalError

T = TypeVar("T")


class ErrorGroup(click.Group):
    """Turns what was raised on purpose, and what the system refuses, into one clean message."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from veridical.present.terminal import printable

        try:
            return super().invoke(ctx)
        except VeridicalError as error:
            message, hint = error.message, error.hint
        except OSError as error:
            if error.filename is None:  # a closed pipe, say, which click looks after
                raise
            message = f"{os.fsdecode(error.filename)}: {error.strerror or error}."
            hint = "Check the path, its permissions and the space on its disk."
        click.secho(f"error: {printable(message)}", fg="red", err=True)
        click.echo(f"  {printable(hint)}", err=True)
        return ctx.exit(1)


def share(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse what is no share, as an option's callback."""
    if value is None or 0 < value < 1:
        return value
    raise click.BadParameter(
        f"It is a share, more than 0 and less than 1; got {value:g}. One in a hundred is 0.01."
    )


MAPS_THROUGH = (
    "integrated-gradients",
    "attention-rollout",
    "grad-cam",
    "layer-gradients",
    "input-gradient",
)  # those of `train/gradients.py`, which is not woken to print a help text


def explainers(detector: Any, backbone: str, methods: Iterable[str]) -> tuple[Any, ...]:
    """Return what makes maps through a detector's whole network."""
    from veridical.train.gradients import Network, Through

    network = Network.of(detector, backbone)
    return tuple(Through(name=name, network=network) for name in methods)


stability_option = click.option(
    "--stability/--no-stability",
    default=True,
    show_default=True,
    help="Take a verdict back if it changes in copies of the picture, saved again and made "
    "smaller. Three more looks at each face that has a verdict; none at the others.",
)


_data_options = (
    click.option("--real", metavar="NAME", help="Name of the class that is real."),
    click.option("--ai", metavar="NAME", help="Name of the class that is AI-generated."),
    click.option("--split", metavar="NAME", help="Part of the data to use, if it has parts."),
)


def with_data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is in a labelled folder or manifest."""
    for option in reversed(_data_options):
        command = option(command)
    return command


def share_cores(jobs: int | None, *, many: bool) -> tuple[int, int]:
    """Return pictures at a time and threads for each; 0 lets ONNX Runtime take all cores.

    One thread per picture and a picture per core is the fastest way through many; one picture
    alone gets all the cores.
    """
    if not many:
        return 1, 0
    from veridical.engines import cores

    return jobs or cores(), 1


def is_folder(path: Path) -> bool:
    """Return whether it is a folder; no if the system cannot tell."""
    try:
        return path.is_dir()
    except OSError:  # a name too long, say: judging it will tell
        return False


def ready(folder: Path) -> None:
    """Make a folder for results before the work, not after it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def engine_of(jobs: int) -> Any:
    """Return the engine that looks at so many pictures at a time."""
    from veridical.engines import Serial, Threads

    return Serial() if jobs == 1 else Threads(jobs)


def cache_folder() -> Path:
    """Return where exported backbones and features are kept unless the user says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veridical"


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Pass items on and show at standard error how many there were."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, rate="")
        for item in items:
            yield item
            progress.advance(task)
            speed = progress.tasks[task].speed
            progress.update(task, rate=f"{speed:.1f}/s" if speed else "")


def say(what: str) -> None:
    """Tell what is being done, at standard error."""
    click.echo(what, err=True)
