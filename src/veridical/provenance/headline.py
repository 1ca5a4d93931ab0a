"""One sentence about a picture's origin: what leads among the claims, and the pixels beside it.

The table of docs/provenance.md is written from `LEADS` and `PIXELS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from veridical.claims import Claim, ClaimSource, Credential, Declared, Says, Standing, cut
from veridical.provenance.vocabulary import GENERATED
from veridical.report import Decision


class Origin(StrEnum):
    """What leads, strongest first: of several claims the first in this list is told first."""

    TAMPERED = "tampered"
    SIGNED_TRUSTED_AI = "signed_trusted_ai"
    SIGNED_TRUSTED_CAPTURE = "signed_trusted_capture"
    SIGNED_UNTRUSTED_AI = "signed_untrusted_ai"
    UNSIGNED_AI = "unsigned_ai"
    SIGNED_TRUSTED_OTHER = "signed_trusted_other"
    SIGNED_UNTRUSTED_CAPTURE = "signed_untrusted_capture"
    SIGNED_UNTRUSTED_OTHER = "signed_untrusted_other"
    CREDENTIAL_UNREADABLE = "credential_unreadable"
    UNSIGNED_CAMERA = "unsigned_camera"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is known of a picture's origin.

    Attributes:
        origin: What leads.
        declared: The same for programs.
        text: One sentence.
    """

    origin: Origin
    declared: Declared
    text: str


LEADS: dict[Origin, str] = {
    Origin.TAMPERED: ("{broken}, so what the credential says proves nothing"),
    Origin.SIGNED_TRUSTED_AI: "Declared {made} by {by} (signature checked)",
    Origin.SIGNED_TRUSTED_CAPTURE: "Declared taken by a camera, by {by} (signature checked)",
    Origin.SIGNED_UNTRUSTED_AI: (
        "The file says it is {made}, in a credential in the name of {by}, which cannot be verified"
    ),
    Origin.UNSIGNED_AI: "The file says it is {made}{with}, which anyone can write",
    Origin.SIGNED_TRUSTED_OTHER: (
        "Signed by {by} (signature checked), which does not say whether a camera or a model made it"
    ),
    Origin.SIGNED_UNTRUSTED_CAPTURE: (
        "The file says a camera took it, in a credential in the name of {by}, which cannot be "
        "verified"
    ),
    Origin.SIGNED_UNTRUSTED_OTHER: (
        "The file has a credential in the name of {by}, which cannot be verified and does not say "
        "whether a camera or a model made it"
    ),
    Origin.CREDENTIAL_UNREADABLE: "{unread}, so nothing can be concluded from it",
    Origin.UNSIGNED_CAMERA: "The file says a camera took it{with}, which anyone can write",
    Origin.NONE: "The {silent}, which is no evidence",
}
"""How each sentence begins."""

MADE = {
    Says.AI: "AI-generated",
    Says.AI_PART: "partly AI-generated",
    Says.AI_AND_CAPTURE: (
        "both AI-generated and taken by a camera (a composite, or a contradiction)"
    ),
}
"""How a claim of a generator is worded."""

SILENT = (
    "file says nothing about its origin",
    "file does not say whether a camera or a model made it",
)

BROKEN = {
    "bytes": (
        "The content no longer matches the credential in the name of {by} (ordinary editing or "
        "saving is enough for that)"
    ),
    "unbound": "The credential in the name of {by} is bound to no picture",
    "claim": "The credential in the name of {by} was changed after it was signed",
}
"""What does not hold of a credential: the picture's bytes, no hash of them, or what was signed."""

_DIRECTION: dict[Origin, Says] = {
    Origin.SIGNED_TRUSTED_AI: Says.AI,
    Origin.SIGNED_UNTRUSTED_AI: Says.AI,
    Origin.UNSIGNED_AI: Says.AI,
    Origin.SIGNED_TRUSTED_CAPTURE: Says.CAPTURE,
    Origin.SIGNED_UNTRUSTED_CAPTURE: Says.CAPTURE,
    Origin.UNSIGNED_CAMERA: Says.CAPTURE,
}
PIXELS: dict[tuple[Says | None, Decision], str] = {
    (Says.AI, Decision.AI): "the pixels look AI-generated too",
    (Says.AI, Decision.REAL): "the pixels alone look real: file and pixels disagree",
    (Says.AI, Decision.UNDECIDED): "the pixels alone are undecided",
    (Says.CAPTURE, Decision.AI): "the pixels look AI-generated: file and pixels disagree",
    (Says.CAPTURE, Decision.REAL): "the pixels look real too",
    (Says.CAPTURE, Decision.UNDECIDED): "the pixels alone are undecided",
    (None, Decision.AI): "the pixels look AI-generated",
    (None, Decision.REAL): "the pixels look real",
    (None, Decision.UNDECIDED): "the pixels are undecided",
}
"""How each sentence ends, by what the file says and what the pixels say."""

_BESIDE = {
    Says.AI: "another part of the file says it is AI-generated",
    Says.CAPTURE: "another part of the file says a camera took it",
}
DECLARED: dict[Origin, Declared] = {
    Origin.TAMPERED: Declared.TAMPERED,
    Origin.SIGNED_TRUSTED_AI: Declared.AI_SIGNED,
    Origin.SIGNED_TRUSTED_CAPTURE: Declared.CAPTURE_SIGNED,
    Origin.SIGNED_UNTRUSTED_AI: Declared.AI_UNVERIFIED,
    Origin.UNSIGNED_AI: Declared.AI_UNVERIFIED,
    Origin.SIGNED_UNTRUSTED_CAPTURE: Declared.CAPTURE_UNVERIFIED,
    Origin.UNSIGNED_CAMERA: Declared.CAPTURE_UNVERIFIED,
}


def headline(claims: Sequence[Claim], decision: Decision | None = None) -> Headline:
    """Put the claims and the pixels' decision into one sentence; neither hides the other.

    Args:
        claims: Of the file.
        decision: About the pixels; None where they were not judged.
    """
    ranked = sorted(claims, key=lambda claim: list(Origin).index(origin_of(claim)))
    lead = ranked[0] if ranked else None
    origin = origin_of(lead) if lead else Origin.NONE
    parts = [LEADS[origin].format(**_words(lead), silent=_silent(claims))]
    direction = _direction(lead)
    for said, words in _BESIDE.items():
        other = {_direction(claim) for claim in ranked[1:]}
        if said in other and direction is not said and origin is not Origin.NONE:
            parts.append(words)
    if decision is not None:
        parts.append(PIXELS[direction, decision])
    known = (DECLARED[one] for one in map(origin_of, ranked) if one in DECLARED)
    return Headline(
        origin=origin,
        declared=next(known, Declared.NONE),
        text=f"{'; '.join(parts)}.",
    )


def against(claims: Sequence[Claim], decision: Decision) -> str:
    """Return how the strongest claim begins that contradicts the pixels; empty where none does."""
    other = {Decision.AI: Says.CAPTURE, Decision.REAL: Says.AI}.get(decision)
    ranked = sorted(claims, key=lambda claim: list(Origin).index(origin_of(claim)))
    for claim in ranked:
        if other is not None and _direction(claim) is other:
            return LEADS[origin_of(claim)].format(**_words(claim), silent="")
    return ""


def origin_of(claim: Claim) -> Origin:
    """Return what a claim would lead with if it were alone."""
    ai = claim.says in GENERATED
    capture = claim.says is Says.CAPTURE
    if claim.standing is Standing.BROKEN:
        return Origin.TAMPERED
    if claim.standing is Standing.SIGNED_TRUSTED:
        if ai:
            return Origin.SIGNED_TRUSTED_AI
        return Origin.SIGNED_TRUSTED_CAPTURE if capture else Origin.SIGNED_TRUSTED_OTHER
    if claim.standing is Standing.SIGNED_UNTRUSTED:
        if ai:
            return Origin.SIGNED_UNTRUSTED_AI
        return Origin.SIGNED_UNTRUSTED_CAPTURE if capture else Origin.SIGNED_UNTRUSTED_OTHER
    if claim.source is ClaimSource.C2PA:
        return Origin.CREDENTIAL_UNREADABLE
    if claim.standing is Standing.UNSIGNED and ai:
        return Origin.UNSIGNED_AI
    if claim.standing is Standing.UNSIGNED and capture:
        return Origin.UNSIGNED_CAMERA
    return Origin.NONE


def _direction(claim: Claim | None) -> Says | None:
    """Return what a claim says of the whole picture; of a part, the pixels may say otherwise."""
    whole = claim is not None and claim.says in (Says.AI, Says.CAPTURE)
    return _DIRECTION.get(origin_of(claim)) if claim and whole else None


def _silent(claims: Sequence[Claim]) -> str:
    """Return what there is to say where nobody names a camera or a model."""
    nothing = next((claim.plain for claim in claims if claim.says is Says.NOTHING), None)
    if nothing is None:
        return SILENT[1] if claims else SILENT[0]
    return nothing.removeprefix("The ").partition(",")[0].partition(".")[0]


def _words(claim: Claim | None) -> dict[str, str]:
    """Return what is put into a sentence; a name that nobody vouches for stands in quotes."""
    by = cut((claim.by if claim else None) or "somebody without a name", 80)
    trusted = claim is not None and claim.standing is Standing.SIGNED_TRUSTED
    quoted = by if trusted or not (claim and claim.by) else f"“{by.translate(_QUOTES)}”"
    return {
        "by": quoted,
        "made": MADE.get(claim.says, "") if claim else "",
        "broken": _broken(claim.credential if claim else None).format(by=quoted),
        "with": f" ({quoted})" if claim and claim.by else "",
        "unread": claim.plain.removesuffix(".") if claim else "",
    }


def _broken(credential: Credential | None) -> str:
    if credential is None or credential.bytes_intact is False:
        return BROKEN["bytes"]
    return BROKEN["unbound" if credential.bytes_intact is None else "claim"]


_QUOTES = str.maketrans({"“": "'", "”": "'", '"': "'"})
