"""`veridical card`: print a model's card."""

from pathlib import Path

import click

from veridical.cli import options


@click.command()
@click.argument("model", default="default", type=options.PATH)
def card(model: Path) -> None:
    """Print the card of MODEL: what it is, what it was trained on, and what it promises.

    MODEL is a folder; without it, the model in the package is described.
    """
    import json

    from veridical.io.model import read_model

    folder = read_model(options.model_folder(model))
    entries = {"identity": folder.identity, **folder.card}
    click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
