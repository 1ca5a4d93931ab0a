"""A page as one HTML file that needs nothing else: no script, no font, no address.

Whatever comes from a file is text here, never markup: every string is escaped, once, where it is
put into a tag. A policy in the head forbids the rest, should a mistake ever let something through.
"""

import io
from base64 import b64encode
from collections.abc import Iterator
from html import escape

from PIL import Image

from veridical.present.blocks import Block, Facts, Figure, Gallery, Heading, Items, Page, Words
from veridical.present.figure import HUE, INK, LINE

_QUALITY = 88  # of photographs, on libjpeg's scale, colours at full resolution
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html(page: Page) -> str:
    """Return the page as HTML; encode it as UTF-8."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light">'
    yield f"<title>{escape(page.title)}</title>"
    yield f"<style>{_STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    inside = False
    for block in page.blocks:
        if isinstance(block, Heading) and block.level == 2:
            if inside:
                yield "</section>"
            inside = True
            yield "<section>"
        yield from _block(block)
    if inside:
        yield "</section>"
    yield "</main>"
    yield "</body>"
    yield "</html>"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    elif isinstance(block, Words):
        kind = f"{block.role} {block.decision.value}" if block.decision else block.role
        yield f'<p class="{kind}">{escape(block.text)}</p>'
    elif isinstance(block, Facts):
        yield "<dl>"
        for label, text in block.rows:
            yield f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>"
        yield "</dl>"
    elif isinstance(block, Items):
        yield "<ul>"
        yield from (f"<li>{escape(item)}</li>" for item in block.items)
        yield "</ul>"
    elif isinstance(block, Gallery):
        yield '<div class="gallery">'
        for figure in block.figures:
            yield from _figure(figure)
        yield "</div>"
    else:
        yield from _figure(block)


def _figure(figure: Figure) -> Iterator[str]:
    width, height = figure.image.size
    yield f'<figure style="max-width:{figure.width}px">'
    yield (
        f'<img src="{_address(figure)}" width="{width}" height="{height}" '
        f'alt="{escape(figure.says)}">'
    )
    if figure.caption:
        detail = f"<small>{escape(figure.detail)}</small>" if figure.detail else ""
        yield f"<figcaption>{escape(figure.caption)}{detail}</figcaption>"
    yield "</figure>"


def _address(figure: Figure) -> str:
    """Return the picture itself in the place of an address."""
    into = io.BytesIO()
    if figure.photo:
        figure.image.save(into, format="JPEG", quality=_QUALITY, subsampling=0)
    else:
        # Nothing but our own few colours: a palette holds them, exactly or nearly so.
        figure.image.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            into, format="PNG"
        )
    kind = "jpeg" if figure.photo else "png"
    return f"data:image/{kind};base64,{b64encode(into.getvalue()).decode()}"


def _css(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


_STYLE = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #fff; color: {_css(INK)};
  font: 1rem/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.25rem; line-height: 1.3; margin: 0 0 .5rem; font-weight: 600; }}
h2 {{ font-size: 1.375rem; line-height: 1.3; margin: 0 0 .5rem; }}
h3 {{ font-size: 1.125rem; line-height: 1.3; margin: 2rem 0 .5rem; }}
p, ul, dl {{ margin: .5rem 0 1rem; max-width: 44rem; }}
section {{ border-top: 1px solid {_css(LINE)}; margin-top: 2rem; padding-top: 1.5rem; }}
.answer {{ font-size: 2rem; line-height: 1.2; font-weight: 700; margin: 0; }}
{" ".join(f".answer.{decision.value} {{ color: {_css(hue)}; }}" for decision, hue in HUE.items())}
.lead {{ font-size: 1.125rem; }}
figcaption small {{ display: block; margin-top: .25rem; font-size: .8125rem; color: #4b5563; }}
figure {{ margin: 1rem 0; }}
img {{ display: block; max-width: 100%; height: auto; }}
figcaption {{ font-size: .9375rem; margin-top: .375rem; }}
.gallery {{ display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }}
.gallery figure {{ margin: .5rem 0; }}
ul {{ padding-left: 1.25rem; }}
li {{ margin: .375rem 0; }}
dl > div {{ display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 1rem; padding: .375rem 0;
  border-bottom: 1px solid {_css(LINE)}; }}
dt {{ color: #4b5563; }}
dd {{ margin: 0; }}
@media (max-width: 30rem) {{ dl > div {{ grid-template-columns: 1fr; }} }}
@media print {{ main {{ max-width: none; padding: 0; }}
  figure, dl > div, li {{ break-inside: avoid; }} h2, h3 {{ break-after: avoid; }}
  img {{ max-height: 14cm; width: auto; }} }}
"""
