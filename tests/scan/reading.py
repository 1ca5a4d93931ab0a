"""Read results back, by hand and by other tools."""

from pathlib import Path
from typing import Any

from veridical.scan.columns import COLUMNS
from veridical.scan.ledger import parts
from veridical.scan.sinks import FORMATS


def rows(folder: Path, table: str = "pictures", format_: str = "jsonl") -> list[dict[str, Any]]:
    names = [one.name for one in COLUMNS[table]]
    found = []
    for path in parts(folder, table, FORMATS[format_]):
        for batch in FORMATS[format_].read(path, table, names):
            columns = [batch[name] for name in names]
            found += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return found
