"""A page as one picture, for places that show no HTML: the same blocks, with Pillow alone.

Pillow's own font has ASCII only; what else there is in a file's name is written as escapes.
"""

from PIL import Image, ImageDraw

from veridical.render.blocks import Block, Facts, Figure, Gallery, Heading, Items, Page, Words
from veridical.render.overlay import GREY, HUE, INK, LINE, font, wrapped

WIDTH = 1000  # px
_MARGIN = 40  # px
_COLUMN = WIDTH - 2 * _MARGIN
_GAP = 28  # px, between figures
_LABEL = 120  # px, column of the labels of facts
_TEXT, _SMALL, _DETAIL = 18, 16, 14  # px
_HEADINGS = {1: 24, 2: 26, 3: 21}  # px
_ROLES = {"plain": _TEXT, "answer": 38, "lead": 21}  # px


def picture(page: Page) -> Image.Image:
    """Draw the page from top to bottom; it is `WIDTH` px wide and as high as it has to be."""
    strips = [_strip(block) for block in page.blocks]
    height = 2 * _MARGIN + sum(strip.height for strip in strips)
    canvas = Image.new("RGB", (WIDTH, height), "white")
    top = _MARGIN
    for strip in strips:
        canvas.paste(strip, (_MARGIN, top))
        top += strip.height
    return canvas


def _strip(block: Block) -> Image.Image:
    """Draw one block, as wide as the column."""
    if isinstance(block, Heading):
        return _heading(block)
    if isinstance(block, Words):
        ink = HUE[block.decision] if block.decision else INK
        return _written(block.text, _ROLES[block.role], _COLUMN, ink=ink, below=12)
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Items):
        return _items(block)
    if isinstance(block, Gallery):
        return _gallery(block)
    return _stacked([_figure(block, min(block.width, _COLUMN), _COLUMN)], below=8)


def _heading(block: Heading) -> Image.Image:
    size = _HEADINGS[block.level]
    above = {1: 0, 2: 44, 3: 26}[block.level]
    strip = _written(block.text, size, _COLUMN, above=above, below=8)
    if block.level == 2:
        ImageDraw.Draw(strip).line((0, 22, _COLUMN, 22), LINE)
    return strip


def _facts(block: Facts) -> Image.Image:
    rows = []
    for label, text in block.rows:
        named = _written(label, _SMALL, _LABEL - 8, ink=GREY, above=6)
        said = _written(text, _TEXT, _COLUMN - _LABEL, above=5, below=7)
        row = Image.new("RGB", (_COLUMN, max(named.height, said.height)), "white")
        row.paste(named, (0, 0))
        row.paste(said, (_LABEL, 0))
        ImageDraw.Draw(row).line((0, row.height - 1, _COLUMN, row.height - 1), LINE)
        rows.append(row)
    return _stacked(rows, below=14)


def _items(block: Items) -> Image.Image:
    rows = []
    for item in block.items:
        said = _written(item, _TEXT, _COLUMN - 24, below=8)
        row = Image.new("RGB", (_COLUMN, said.height), "white")
        row.paste(said, (24, 0))
        middle = round(0.7 * _TEXT)
        ImageDraw.Draw(row).ellipse((6, middle - 3, 12, middle + 3), INK)
        rows.append(row)
    return _stacked(rows, below=8)


def _gallery(block: Gallery) -> Image.Image:
    """Two by two: three beside each other would be smaller than on a phone."""
    cell = (_COLUMN - _GAP) // 2
    drawn = [_figure(one, min(one.width, cell), cell) for one in block.figures]
    rows = []
    for pair in (drawn[at : at + 2] for at in range(0, len(drawn), 2)):
        row = Image.new("RGB", (_COLUMN, max(one.height for one in pair)), "white")
        for number, one in enumerate(pair):
            row.paste(one, (number * (cell + _GAP), 0))
        rows.append(row)
    return _stacked(rows, below=4)


def _figure(figure: Figure, width: int, caption: int) -> Image.Image:
    """Draw a figure at most `width` px wide, and its caption in at most `caption` px."""
    image = figure.image
    scale = min(1.0, width / image.width)
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    parts = [image.convert("RGB")]
    if figure.caption:
        parts.append(_written(figure.caption, _SMALL, caption, above=6))
    if figure.detail:
        parts.append(_written(figure.detail, _DETAIL, caption, ink=GREY, above=4))
    return _stacked(parts, below=14, width=caption)


def _stacked(parts: list[Image.Image], below: int, width: int = _COLUMN) -> Image.Image:
    strip = Image.new("RGB", (width, sum(part.height for part in parts) + below), "white")
    top = 0
    for part in parts:
        strip.paste(part, (0, top))
        top += part.height
    return strip


def _written(
    text: str,
    size: int,
    width: int,
    *,
    ink: tuple[int, int, int] = INK,
    above: int = 0,
    below: int = 0,
) -> Image.Image:
    """Write text into lines; a word too long for one, such as a hash, is broken."""
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    words = " ".join(piece for word in ascii_only.split() for piece in _pieces(word, size, width))
    lines = wrapped(words, width, size)
    step = round(1.45 * size)
    strip = Image.new("RGB", (width, above + step * len(lines) + below), "white")
    pen = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        pen.text((0, above + number * step + size), line, ink, font(size), "ls")
    return strip


def _pieces(word: str, size: int, width: int) -> list[str]:
    pieces = [""]
    for letter in word:
        if font(size).getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
