"""`veridical card`: print a model's card."""

from pathlib import Path

import click

from veridical.cli import options


@click.command(short_help="Print what a model is.")
@click.argument("model", default="default", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="Print all entries as one JSON object.")
def card(model: Path, as_json: bool) -> None:
    """Print the card of MODEL: what it is, what it was trained on, and what it promises.

    MODEL is a folder; without it, the model in the package is described.
    """
    import json

    from veridical.io.model import read_model
    from veridical.present.model_card import card_page

    folder = read_model(options.model_folder(model))
    if as_json:
        entries = {"identity": folder.identity, **folder.card}
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    else:
        click.echo(card_page(folder.identity, folder.card, str(folder.path)))
