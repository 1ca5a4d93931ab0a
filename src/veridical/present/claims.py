"""Claims of a file for people: the headline, a line for each claim, an entry on the page.

What a claim says is written by its reader (`provenance/`); here are the words around it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from veridical.claims import Claim, ClaimSource, FileClaims, Says, Standing
from veridical.provenance.headline import Origin, headline
from veridical.report import Report
from veridical.video import VideoReport

ABOUT = (
    "These are the file's own words. They do not change what the pixels were judged to be, and a "
    "file that says nothing is no evidence."
)
_PLACES = {
    ClaimSource.C2PA: "C2PA credential",
    ClaimSource.XMP: "XMP description",
    ClaimSource.IPTC: "IPTC fields",
    ClaimSource.TEXT: "Text of a generator",
    ClaimSource.EXIF: "EXIF fields",
    ClaimSource.ALPHA: "Text hidden in the transparency",
    ClaimSource.FILE: "The file itself",
}
_KNOWN = {
    Standing.SIGNED_TRUSTED: "signature checked, signer on a trust list",
    Standing.SIGNED_UNTRUSTED: "signature intact, signer cannot be verified",
    Standing.BROKEN: "signature or hash does not fit: it proves nothing",
    Standing.UNCHECKED: "not checked",
    Standing.UNSIGNED: "not signed",
    Standing.OBSERVED: "seen in the file",
}
SAYS = {
    Says.AI: "AI-generated",
    Says.AI_PART: "partly AI-generated",
    Says.AI_AND_CAPTURE: "AI-generated, and taken by a camera",
    Says.CAPTURE: "taken by a camera",
    Says.OTHER: "nothing of a camera or a generative model",
    Says.NOTHING: "nothing",
    Says.UNREADABLE: "cannot be read",
}
"""What is claimed, in words."""
_MOST_SHOWN = 300  # characters of a raw value on a page


def lead(report: Report | VideoReport) -> str:
    """Return the headline of a report where the file says something; else nothing."""
    silent = headline(report.claims).origin is Origin.NONE
    return "" if silent else report.headline


def lines(claims: Sequence[Claim], *, technical: bool = False) -> Iterator[tuple[str, str]]:
    """Say what the claims are, as (label, line).

    Args:
        claims: Of one file.
        technical: Say it for experts, with what only informs.
    """
    label = "Claims"
    for claim in claims:
        informs = claim.standing is Standing.OBSERVED or claim.says is Says.OTHER
        if technical or not (informs and claim.source is not ClaimSource.C2PA):
            yield label, claim.technical if technical else claim.plain
            label = ""


def summary(found: FileClaims, *, technical: bool = False) -> Iterator[str]:
    """Give the lines about one file that was not judged: its name, headline, claims."""
    yield found.path or "a file without a name"
    yield f"  {found.headline}"
    yield from (f"    - {text}" for _, text in lines(found.claims, technical=technical))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the page shows of one claim.

    Attributes:
        title: Where it stands.
        plain: In a sentence.
        rows: Labels and values.
    """

    title: str
    plain: str
    rows: tuple[tuple[str, str], ...]


def entries(claims: Sequence[Claim]) -> tuple[Entry, ...]:
    """Return an entry for each claim."""
    return tuple(
        Entry(title=_PLACES[one.source], plain=one.plain, rows=tuple(_rows(one))) for one in claims
    )


def _rows(claim: Claim) -> Iterator[tuple[str, str]]:
    if claim.says is Says.NOTHING:
        return
    if claim.by:
        yield "Says who", claim.by
    yield "Known by", _KNOWN[claim.standing]
    yield "Anyone could write it", "yes" if claim.forgeable else "no"
    yield "In detail", claim.technical
    for name, value in claim.raw.items():
        if value:
            more = "..." if len(value) > _MOST_SHOWN else ""
            yield name, f"{value[:_MOST_SHOWN]}{more}"
