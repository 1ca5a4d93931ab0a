"""`veridical provenance`: what files say about their own origin, without judging them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options
from veridical.cli.inspect import ALL_FAILED, SOME_FAILED

if TYPE_CHECKING:
    from veridical.claims import FileClaims


@click.command(short_help="Say what files say of their own origin.")
@click.argument("paths", nargs=-1, required=True, type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file and line.")
@options.trust_list
@click.option("--verbose", "-v", is_flag=True, help="Print the claims for experts.")
def provenance(
    paths: tuple[Path, ...], as_json: bool, trust_list: Path | None, verbose: bool
) -> None:
    """Say what PATHS say about their own origin: files of any kind, or folders of pictures.

    No picture is judged, so videos and damaged files can be asked too. Exits with 3 if some files
    could not be read, 4 if none could.

    \b
    Example:
        veridical provenance portrait.png clip.mp4 --json
    """
    from veridical.engines import engine_of, outcomes
    from veridical.io.source import open_source
    from veridical.io.walk import photos
    from veridical.present.claims import summary
    from veridical.present.words import printable
    from veridical.provenance import claims_of
    from veridical.provenance.trust import read_trust
    from veridical.report import Failure

    trust = read_trust(trust_list)

    def ask(path: Path) -> "FileClaims":
        return claims_of(open_source(path), trust)

    failed = total = 0
    for found in outcomes(ask, photos(paths), engine_of(1)):
        total += 1
        failed += isinstance(found, Failure)
        if as_json:
            click.echo(found.to_json())
        elif isinstance(found, Failure):
            options.warn(f"{found.error} {found.hint}")
        else:
            for line in summary(found, technical=verbose):
                click.echo(printable(line))
            click.echo()
    if failed:
        raise SystemExit(ALL_FAILED if failed == total else SOME_FAILED)
