"""XMP and IPTC: the digital source type, the credit, the tool, the history."""

from collections.abc import Iterator

from veridical.claims import Claim, ClaimSource, Says, Standing, bounded, cut
from veridical.provenance.fields import Fields
from veridical.provenance.vocabulary import meaning, strongest, term

_TYPES = ("DigitalSourceType", "DigitalSourceFileType")
_TRAIL = ("CreatorTool", "softwareAgent", "Credit", "CreateDate", "ModifyDate", "DateCreated")


def read_source_type(fields: Fields) -> Iterator[Claim]:
    """Give a claim if XMP has a digital source type: of IPTC's vocabulary or another."""
    values = tuple(dict.fromkeys(text for name in _TYPES for text in fields.get(f"xmp:{name}")))
    if not values:
        return
    says = strongest(values) or Says.OTHER
    words = "; ".join(dict.fromkeys(meaning(value)[1] for value in values[:5]))
    credit = (*fields.get("xmp:Credit"), *fields.get("iptc:Credit"))
    yield Claim(
        source=ClaimSource.XMP,
        says=says,
        standing=Standing.UNSIGNED,
        by=None,  # a credit names an agency or a photographer, not what made the picture
        forgeable=True,
        plain=f"The file's description says: {words}. Anyone can write that.",
        technical=f"XMP digital source type: {', '.join(cut(term(v), 80) for v in values[:5])}.",
        raw=bounded({"DigitalSourceType": " ".join(values), "Credit": " ".join(credit[:1])}),
    )


def read_trail(fields: Fields) -> Iterator[Claim]:
    """Give what XMP says of tools and of the picture's history; information only."""
    found = {name: fields.get(f"xmp:{name}") for name in _TRAIL}
    derived = [one for one in fields.xmp if "DerivedFrom" in one.within]
    remote = [v for v in fields.get("xmp:provenance") if v.startswith(("http:", "https:"))]
    raw = {name: "; ".join(dict.fromkeys(texts)) for name, texts in found.items() if texts}
    if derived:
        raw["DerivedFrom"] = "; ".join(f"{one.name} {one.value}" for one in derived[:4])
    if remote:
        raw["provenance"] = remote[0]
    if not raw.keys() - {"CreateDate", "ModifyDate", "DateCreated"}:
        return
    tools = tuple(dict.fromkeys((*found["CreatorTool"], *found["softwareAgent"])))
    words = [f"passed through {', '.join(cut(one, 60) for one in tools[:4])}"] if tools else []
    words += ["was derived from another file"] if derived else []
    words += ["has a credential elsewhere, which was not fetched"] if remote else []
    words += ["has a credit line"] if not words else []
    yield Claim(
        source=ClaimSource.XMP,
        says=Says.OTHER,
        standing=Standing.UNSIGNED,
        by=cut(tools[0], 80) if tools else None,
        forgeable=True,
        plain=f"The file's description says that it {' and '.join(words)}. Anyone can write that.",
        technical=f"XMP: {'; '.join(f'{k} {cut(v, 120)}' for k, v in raw.items())}.",
        raw=bounded(raw),
    )
