"""What several commands share: options, cores, folders, progress and warnings."""

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from veridical.io.formats import Limits
    from veridical.io.walk import Skip, Skipped

T = TypeVar("T")


# --- options -------------------------------------------------------------------------------------


class Named(click.Path):
    """A path that is not empty: pathlib takes an empty one for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what an unset variable of the shell leaves."""
        if not os.fspath(value):
            self.fail("an empty path came; is a variable of the shell empty?", param, ctx)
        return super().convert(value, param, ctx)


GIVEN = Named()
"""A path as it was given: a string, which pathlib would change (`./a.jpg`)."""
PATH = Named(path_type=Path)
FILE = Named(dir_okay=False, path_type=Path)
FOLDER = Named(file_okay=False, path_type=Path)

STDOUT = "standard output"
OUT = f"{__name__}.out"
"""The key in a context of the folder that the results go to."""
_LIST = f"{__name__}.list_skipped"

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
model = click.option(
    "--model",
    type=PATH,
    default="default",
    help="Model folder.  [default: the model in the package]",
)
whole_image = click.option(
    "--whole-image", is_flag=True, help="Judge the whole frame instead of the faces in it."
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
trust_list = click.option(
    "--trust-list",
    type=PATH,
    metavar="PEM",
    help="Certificates whose C2PA credentials you trust, beside the lists in the package.",
)
cache = click.option(
    "--cache",
    type=PATH,
    metavar="DIRECTORY",
    envvar="VERIDICAL_CACHE",
    help="For exported backbones and features.  [default: ~/.cache/veridical]",
)
list_skipped = click.option(
    "--list-skipped",
    is_flag=True,
    expose_value=False,
    callback=lambda context, _parameter, value: context.meta.update({_LIST: value}),
    help="Name what is passed over in folders.",
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
    list_skipped,
)


def data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command DATA, and the options that say what is in it."""
    for option in reversed(_DATA):
        command = option(command)
    return command


class _Share(click.ParamType[float]):
    """A share: 0.01, or 1%."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        text = str(value).strip()
        try:
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"A share was wanted, such as 0.01 or 1%; got {value!r}.", param, ctx)


SHARE = _Share()


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


def cache_folder() -> Path:
    """Return the folder of the cache, where none is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "veridical"


def ready(folder: Path) -> None:
    """Make a folder for results, and fail before the work if nothing can be written there."""
    if context := click.get_current_context(silent=True):
        context.meta[OUT] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Name what is written meanwhile in errors that do not: a full disk names no file."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno != errno.EPIPE:
            error.filename = place
        raise


# --- messages at standard error ------------------------------------------------------------------


def warn(text: str) -> None:
    """Print a warning; control characters in it are escaped."""
    from veridical.present.words import printable

    with suppress(OSError):  # nobody reads it: no reason to stop the work
        click.secho(printable(text), fg="yellow", err=True)


def at_hand(outcome: T) -> T:
    """Return an outcome whose hint, if it is a failure, names options and no arguments."""
    from veridical.report import Failure

    if isinstance(outcome, Failure) and outcome.cli_hint:
        return replace(outcome, hint=outcome.cli_hint)
    return outcome


def passed_over() -> "Skip":
    """Return what a walk tells of everything it passes over: counted, and told when all is done.

    With --list-skipped each is named.
    """
    context, counts = click.get_current_context(), Counter[str]()
    listed: bool = context.meta[_LIST]

    def skip(one: "Skipped") -> None:
        counts[one.why] += 1
        if listed:
            warn(f"passed over: {one.path}: {one.detail}")

    def tell() -> None:
        from veridical.present.words import passed_over

        if counts and not isinstance(sys.exc_info()[1], OSError):  # the reader is gone
            warn(passed_over(counts, listed=listed))

    context.call_on_close(tell)
    return skip
