"""`veridical verify`: check filed reports and their log."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options
from veridical.cli.stages import Stages

if TYPE_CHECKING:
    from veridical.present.checks import Check

DIFFERS, UNCHECKED = 5, 6
MARK = {"same": "same", "differs": "DIFFERS", "unchecked": "NOT CHECKED", "note": "note"}
COLOUR = {"same": "green", "differs": "red", "unchecked": "yellow"}


@click.command(short_help="Check a filed report.")
@click.argument("folder", required=False, type=options.PATH)
@click.option(
    "--photo",
    type=options.PATH,
    metavar="FILE",
    help="The picture.  [default: found by its hash in FOLDER or beside it]",
)
@options.model
@click.option("--log", type=options.PATH, metavar="FILE", help="Also check this log of reports.")
@click.option("--head", metavar="HASH", help="The log's last hash, as it was noted elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    folder: Path | None,
    photo: Path | None,
    model: Path,
    log: Path | None,
    head: str | None,
    as_json: bool,
) -> None:
    """Check the report in FOLDER: its files, the picture, the model; and repeat the judgement.

    With --log alone, only the log: the first line that was changed, is missing or was moved is
    named. The first line is the result of all checks. Exits with 0 if all is the same, 5 if
    something differs, 6 if nothing differs but something could not be checked, 1 if the check
    broke off. Another machine or version is only noted.

    \b
    Example:
        veridical verify case-17/ --photo photo.jpg --log reports.log
    """
    from veridical.encode import plain
    from veridical.errors import VeridicalError
    from veridical.present import verifying, verifying_log
    from veridical.present.checks import result
    from veridical.present.dossier_words import FORGERY

    if folder is None and log is None:
        raise click.UsageError("Name the FOLDER of a report, a --log, or both.")
    if head is not None and log is None:
        raise click.UsageError("--head needs --log FILE: it is the hash of that log's last line.")
    checks: list[Check] = []
    try:
        with Stages(quiet=True) as progress:
            progress.say("Checking")
            if log:
                checks += verifying_log.verify_log(log, head)
            if folder:
                found = verifying.verify_case(folder, options.model_folder(model), photo, log)
                for check in found:  # one by one: those before an error are kept
                    checks.append(check)
                    progress.say(f"Checking: {len(checks)} done")
    except VeridicalError:  # what was found before it is told, too
        if not as_json:
            _tell(checks)
        raise
    word, told = result(checks)
    if as_json:
        answer = {
            "schema": "veridical.verify/1",
            "same": word == "same",
            "result": word,
            "checks": plain(checks),
        }
        click.echo(json.dumps(answer))
    else:
        click.secho(told, fg=COLOUR[word], bold=True)
        _tell(checks)
        if log and head is None:
            click.echo(FORGERY)
    if word != "same":
        raise SystemExit(DIFFERS if word == "differs" else UNCHECKED)


def _tell(checks: "list[Check]") -> None:
    from veridical.present.words import printable

    for check in checks:
        click.secho(f"{MARK[check.state]:<12}", fg=COLOUR.get(check.state), nl=False)
        click.echo(printable(f"{check.name}: {check.says}"))
