"""`veridical verify`: check filed reports and their log."""

import json
from pathlib import Path

import click

from veridical.cli import options

MARK = {"same": "same", "differs": "DIFFERS", "unchecked": "NOT CHECKED", "note": "note"}


@click.command()
@click.argument("folder", required=False, type=options.PATH)
@click.option(
    "--photo",
    type=options.PATH,
    metavar="FILE",
    help="The picture.  [default: the copy in FOLDER, else the path in the report]",
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
    named. Exits with 0 if all is the same, with 1 if something differs or could not be checked.
    Another machine or version is only noted.

    \b
    Example:
        veridical verify case-17/ --photo photo.jpg --log reports.log
    """
    from veridical.encode import plain
    from veridical.present import verifying
    from veridical.present.dossier_words import FORGERY
    from veridical.present.words import printable

    if folder is None and log is None:
        raise click.UsageError("Name the FOLDER of a report, a --log, or both.")
    if head is not None and log is None:
        raise click.UsageError("--head needs --log FILE: it is the hash of that log's last line.")
    checks: list[verifying.Check] = []

    def told(check: verifying.Check) -> None:
        checks.append(check)
        if not as_json:
            colour = {"same": "green", "differs": "red", "unchecked": "yellow"}.get(check.state)
            click.secho(f"{MARK[check.state]:<12}", fg=colour, nl=False)
            click.echo(printable(f"{check.name}: {check.says}"))

    if log:
        told(verifying.verify_log(log, head))
    if folder:
        for check in verifying.verify_case(folder, options.model_folder(model), photo, log):
            told(check)
    passed = all(check.passed for check in checks)
    if as_json:
        found = {"schema": "veridical.verify/1", "same": passed, "checks": plain(checks)}
        click.echo(json.dumps(found))
    elif log:
        click.echo(FORGERY)
    if not passed:
        raise SystemExit(1)
