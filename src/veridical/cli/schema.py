"""`veridical schema`: print the shape of JSON lines."""

import click


@click.command(short_help="Print the JSON Schema of the answers.")
def schema() -> None:
    """Print the JSON Schema of what `inspect --json` writes."""
    import json

    from veridical.present import records

    click.echo(json.dumps(records.schema(), indent=2))
