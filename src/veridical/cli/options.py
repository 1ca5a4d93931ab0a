"""What several commands share: options, cores, folders, progress and warnings."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from veridical.io.formats import Limits

T = TypeVar("T")


# --- options -------------------------------------------------------------------------------------

PATH = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

DEVICES = ("cpu", "cuda", "tensorrt", "rocm", "openvino", "directml", "coreml")
"""The keys of `vision.runtime.DEVICES`, which is not imported to print a help text."""

jobs = click.option(
    "--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]"
)
seed = click.option("--seed", default=0, show_default=True, help="Random seed.")
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="cpu",
    show_default=True,
    help="Processor for the networks. All but `cpu` need another build of ONNX Runtime.",
)
recipe = click.option(
    "--recipe",
    type=click.Choice(["default", "reference"]),
    default="default",
    show_default=True,
    help="How to train; `reference` reproduces the reference pipeline.",
)
fast = click.option(
    "--fast",
    is_flag=True,
    help="Look at each face alone, without what is around it: half of the time, a little less "
    "accurate.",
)

recheck = click.option(
    "--recheck/--no-recheck",
    default=True,
    show_default=True,
    help="Before a face is called ai, judge three perturbed copies of it; withdraw the verdict if "
    "it changes.",
)
_LIMITS = (
    click.option(
        "--max-megapixels",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Most megapixels.  [default: 250]",
    ),
    click.option(
        "--max-mbytes",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Most MiB of a file.  [default: 200]",
    ),
    click.option(
        "--max-seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Most seconds to decode.  [default: 20]",
    ),
)


def limits(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how much one picture may ask of us."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command


def limits_of(
    max_megapixels: float | None, max_mbytes: float | None, max_seconds: float | None
) -> "Limits":
    """Return these limits; where nothing is asked for, the usual ones."""
    from veridical.io.formats import Limits

    usual = Limits()
    pixels = usual.max_pixels if max_megapixels is None else round(max_megapixels * 1e6)
    return Limits(
        max_bytes=usual.max_bytes if max_mbytes is None else round(max_mbytes * 2**20),
        max_pixels=pixels,
        # Who asks for more pixels is to get them, whatever the shape.
        max_side=usual.max_side if pixels <= usual.max_pixels else pixels,
        max_seconds=usual.max_seconds if max_seconds is None else max_seconds,
    )


_DATA = (
    click.argument("data", type=PATH),
    click.option("--real", metavar="NAME", help="Name of the class that is real."),
    click.option("--ai", metavar="NAME", help="Name of the class that is AI-generated."),
    click.option("--split", metavar="NAME", help="Part of the data to use, if it has parts."),
)


def data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command DATA, and the options that say what is in it."""
    for option in reversed(_DATA):
        command = option(command)
    return command


def share(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    """Accept only a share between 0 and 1: the callback of an option."""
    if value is None or 0 < value < 1:
        return value
    raise click.BadParameter(
        f"A share is more than 0 and less than 1; got {value:g}. One in a hundred is 0.01."
    )


# --- cores and folders ---------------------------------------------------------------------------


def share_cores(jobs: int | None, *, many: bool) -> tuple[int, int]:
    """Return pictures at a time and threads for each; 0 lets ONNX Runtime take all cores.

    One thread per picture and one picture per core is fastest for many pictures. A single picture
    gets all the cores.
    """
    if not many:
        return 1, 0
    from veridical.engines import cores

    return jobs or cores(), 1


def model_folder(model: Path) -> Path:
    """Return the folder of a model; `default` is the model in the package."""
    from veridical.assembly import default_model

    return default_model() if str(model) == "default" else model


def is_folder(path: Path) -> bool:
    """Return whether it is a folder; no if the system cannot tell."""
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long: reading it will give the error
        return False


def ready(folder: Path) -> None:
    """Make a folder for results, and fail before the work if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


# --- messages at standard error ------------------------------------------------------------------


def warn(text: str) -> None:
    """Print a warning; control characters in it are escaped."""
    from veridical.present.words import printable

    click.secho(printable(text), fg="yellow", err=True)


def track(items: Iterable[T], task: str, total: int) -> Iterator[T]:
    """Pass items on and show at standard error how many there were, how fast, and the time left."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    rate = TextColumn("left, {task.fields[rate]},")
    columns = (*Progress.get_default_columns(), rate, MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown = progress.add_task(task, total=total, rate="-/s")
        for item in items:
            yield item
            progress.advance(shown)
            if speed := progress.tasks[shown].speed:
                progress.update(shown, rate=f"{speed:.2g}/s")
