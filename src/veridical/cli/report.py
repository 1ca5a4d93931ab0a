"""`veridical report`: examine a picture and file the report."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from veridical.cli import options
from veridical.cli.stages import Stages

_FIRST = 1990  # year: before it there were no such reports


def _time(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Accept a time with its zone: the callback of an option."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter(
            f"A time with its zone was wanted, such as 2026-11-28T12:00:00Z; got {value!r}."
        )
    if at.year < _FIRST or at > datetime.now(UTC) + timedelta(days=1):
        raise click.BadParameter(
            f"A time from {_FIRST} on and at most a day in the future was wanted; got {value!r}."
        )
    return at.replace(microsecond=0)


@click.command(short_help="File a report about a picture.")
@click.argument("photo", type=options.PATH)
@click.option(
    "--out",
    type=options.PATH,
    required=True,
    metavar="DIR",
    help="Folder to make.",
)
@click.option("--case", default="", metavar="NR", help="Number of the case.")
@click.option("--exhibit", default="", metavar="NR", help="Number of the exhibit.")
@click.option("--examiner", default="", metavar="NAME", help="Who makes the report.")
@click.option("--note", default="", metavar="TEXT", help="Remarks.")
@click.option(
    "--redact",
    is_flag=True,
    help="Cover faces; hide names and values of the file. Hashes and your own words stay.",
)
@click.option("--keep-original", is_flag=True, help="Also put a copy of PHOTO there.")
@click.option(
    "--at",
    callback=_time,
    metavar="TIME",
    help="Time of the report, ISO 8601 with its zone; it is marked as given.  [default: now]",
)
@click.option("--log", type=options.PATH, metavar="FILE", help="Add a line to this log of reports.")
@options.model
@options.whole_image
@click.option(
    "--prior",
    type=options.SHARE,
    callback=options.share,
    metavar="SHARE",
    help="Also answer for this share of AI-generated pictures, e.g. 0.01.",
)
def report(
    photo: Path,
    out: Path,
    case: str,
    exhibit: str,
    examiner: str,
    note: str,
    redact: bool,
    keep_original: bool,
    at: datetime | None,
    log: Path | None,
    model: Path,
    whole_image: bool,
    prior: float | None,
) -> None:
    """Examine PHOTO and file a report: the same as PDF, HTML and JSON, with their hashes.

    \b
    Example:
        veridical report photo.jpg --out case-17/ --case 17 --exhibit 3 --log reports.log
    """
    from veridical.io.source import open_source
    from veridical.present import dossier_words, filing
    from veridical.present.dossier import Filing
    from veridical.present.pdf import typesetter
    from veridical.present.words import printable

    if redact and keep_original:
        raise click.UsageError(
            "--redact hides what --keep-original would show: keep the picture elsewhere."
        )
    typesetter()
    filing.refuse_existing(out)
    file = open_source(photo)
    given = Filing(
        at=at or datetime.now(UTC).replace(microsecond=0),
        at_given=at is not None,
        case=case,
        exhibit=exhibit,
        examiner=examiner,
        note=note,
        redact=redact,
        whole_image=whole_image,
        prior=prior,
        original=filing.original_name(file) if keep_original else None,
    )
    with Stages(quiet=True) as progress:
        progress.say("Loading the model")
        detector, basis = filing.examiner(options.model_folder(model), prior)
        progress.say("Judging the picture and testing its maps")
        filed = filing.file_report(detector, basis, file, given, out, log)
    click.echo(filed.conclusion)
    if redact:
        click.echo(dossier_words.REDACTED_COPY)
    click.echo(printable(f"{out}: {', '.join(filing.FORMS)}, {filing.SUMS}"))
    click.echo(f"SHA-256 of {filing.SUMS}: {filed.sums}")
    if filed.entry:
        click.echo(f"Line {filed.entry['seq']} of the log, its head: {filed.entry['hash']}")
    click.echo(dossier_words.FILE_ELSEWHERE)
    again = ["veridical", "verify", str(out)]
    again += [] if keep_original else ["--photo", str(photo)]
    again += [] if str(model) == "default" else ["--model", str(model)]
    again += ["--log", str(log), "--head", str(filed.entry["hash"])] if filed.entry else []
    click.echo(printable(f"To verify it: {shlex.join(again)}"))
