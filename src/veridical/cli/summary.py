"""`veridical summary`: what the results of a scan say."""

from pathlib import Path

import click

from veridical.cli import options


@click.command(short_help="Say what the results of a scan hold.")
@click.argument("results", type=options.FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print all as one JSON object.")
@click.option("--html", "page", type=options.FILE, metavar="FILE", help="Also write a page.")
@click.option("--thumbnails", is_flag=True, help="With --html: small copies of the pictures.")
@click.option("--group-copies", is_flag=True, help="Look for copies of one picture.")
@click.option(
    "--show",
    "most",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Pictures and groups that are named.",
)
def summary(
    results: Path, as_json: bool, page: Path | None, thumbnails: bool, group_copies: bool, most: int
) -> None:
    """Say what RESULTS, the folder of a scan, hold: counts, failures, and what awaits a person."""
    if thumbnails and not page:
        raise click.UsageError("--thumbnails needs --html FILE: that is where they show.")
    import json

    from rich.console import Console

    from veridical.present import summary as present
    from veridical.scan.results import summarise

    found = summarise(results, most=most, copies=group_copies)
    if page:
        with options.naming(str(page)):
            page.write_text(present.page(found, thumbnails=thumbnails), encoding="utf-8")
    with options.naming(options.STDOUT):
        if as_json:
            click.echo(json.dumps(found.to_dict()))
        else:
            present.show(Console(), found)
