"""A table of text, as spreadsheets save it: any of their encodings and separators, one reading."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veridical.errors import ManifestError
from veridical.io.labels import listed

COLUMNS = ("path", "label", "source", "generator", "group", "split")
"""What is read of a manifest; other columns are ignored."""

_ALSO = {
    "path": (
        *("file", "filename", "filepath", "image", "imagepath", "imagefile", "imagename"),
        *("img", "imgpath", "picture", "photo"),
    ),
    "label": ("labels", "class", "classname"),
}
"""Other names of the two columns that are needed; the first name wins where both are there."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BOMS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
_WINDOWS = "Windows-1252"  # what Excel's plain "CSV" is in most of Europe and America


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        line: Of the file, from 1; the last one, if a cell goes over several.
        cells: By the names in `COLUMNS`; "" where there is no such column.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table whose columns are known.

    Attributes:
        path: The file.
        names: What the file calls the columns of `COLUMNS` that it has.
        rows: All rows that are not empty.
        guessed: Name of the encoding, if it was only guessed; else "".
    """

    path: Path
    names: Mapping[str, str]
    rows: tuple[Row, ...]
    guessed: str


def read_table(path: Path) -> Table:
    """Read a table with at least the columns `path` and `label`.

    Raises:
        ManifestError: If it is no such table.
    """
    text, guessed = _text(path)
    lines, separator = _separated(path, text)
    header = [_column(name) for name in lines[0][1]] if lines else []
    places = _places(path, header, lines, separator)
    needed = max(places["path"], places["label"]) + 1
    uneven = [
        str(line) for line, cells in lines[1:] if any(cells[len(header) :]) or len(cells) < needed
    ]
    if uneven:
        raise ManifestError(
            f"{path}: lines {listed(uneven, 3)} do not have the header's {len(header)} cells.",
            hint=f"Put cells that hold {_SEPARATORS.get(separator, 'separators')} into double "
            "quotes, and give every row its path and label.",
        )
    rows = tuple(
        Row(
            line=line,
            cells={
                name: cells[at] if (at := places.get(name)) is not None and at < len(cells) else ""
                for name in COLUMNS
            },
        )
        for line, cells in lines[1:]
    )
    if not rows:
        raise ManifestError(f"{path}: a header and no rows.", hint="Add a row per picture.")
    return Table(
        path=path,
        names={name: lines[0][1][at] for name, at in places.items()},
        rows=rows,
        guessed=guessed,
    )


# --- bytes to text -------------------------------------------------------------------------------


def _text(path: Path) -> tuple[str, str]:
    """Return the text, and the name of its encoding if that is a guess."""
    data = path.read_bytes()
    marked = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    if encoding := marked or _wide(data):
        try:
            return data.decode(encoding), ""
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"{path}: begins like {encoding.upper()} text, and is none (byte {error.start}).",
                hint="Save it as CSV UTF-8.",
            ) from error
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        try:
            return data.decode(_WINDOWS), _WINDOWS
        except UnicodeDecodeError:
            raise ManifestError(
                f"{path}: neither UTF-8 text (byte {error.start}) nor {_WINDOWS}.",
                hint="Save it as CSV UTF-8.",
            ) from error


def _wide(data: bytes) -> str | None:
    """Name the UTF-16 without a mark: every other byte of Latin letters is zero."""
    start = data[:200]
    half = len(start) // 2
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        if half > 3 and start[first::2].count(0) > 0.8 * half:
            return name
    return None


# --- text to cells -------------------------------------------------------------------------------

_Lines = Sequence[tuple[int, list[str]]]


def _separated(path: Path, text: str) -> tuple[_Lines, str]:
    """Return the cells of each line that has some, and what stands between them."""
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.lower().startswith("sep=") and len(first.strip()) <= 5:  # Excel's own first line
        separators, text, skipped = [first[4:5] if first[4:].strip("\r") else "\t"], rest, 1
    else:
        header = next((line for line in text.splitlines() if line.strip()), "")
        separators = sorted(_SEPARATORS, key=lambda one: -_known(header, one))
    try:
        return list(_cells(text, separators[0], skipped)), separators[0]
    except csv.Error as error:
        raise ManifestError(
            f"{path}: a cell of it is longer than 131,072 letters, or holds what no cell can.",
            hint="Look for a quotation mark that is never closed, and save it as CSV UTF-8.",
        ) from error


def _known(header: str, separator: str) -> int:
    """Return how many columns we know, if this stands between them."""
    try:
        names = {_column(name) for row in csv.reader([header], delimiter=separator) for name in row}
    except csv.Error:
        return 0
    return sum(not names.isdisjoint((column, *_ALSO.get(column, ()))) for column in COLUMNS)


def _cells(text: str, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num + skipped, cells


def _column(name: str) -> str:
    """Return a column's name in lower case, without spaces and underscores."""
    return "".join(c for c in name.strip("\ufeff \"'").lower() if c not in " _-")


def _places(path: Path, header: list[str], lines: _Lines, separator: str) -> dict[str, int]:
    """Return where each known column is."""
    places: dict[str, int] = {}
    twice: list[str] = []
    for column in COLUMNS:
        own = [at for at, name in enumerate(header) if name == column]
        own = own or [at for at, name in enumerate(header) if name in _ALSO.get(column, ())]
        if len(own) > 1:
            twice.append(column)
        if own:
            places[column] = own[0]
    if twice or not {"path", "label"} <= places.keys():
        named = listed(map(repr, lines[0][1])) if lines else "none"
        between = f" (with {_SEPARATORS[separator]} between)" if separator in _SEPARATORS else ""
        raise ManifestError(
            f"{path}: the columns are {named}{between if lines else ''}; `path` and `label` are "
            "needed, each once.",
            hint="Write the names into the first line, with commas between them.",
        )
    return places
