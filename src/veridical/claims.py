"""What a file says about its own origin, as values: claims, what each can be known by, a headline.

A claim is what somebody wrote into a file. It is kept apart from the verdict on the pixels, and
moves no number of it. Readers of claims are in `provenance/`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from veridical.encode import plain

MOST_RAW = 40  # raw values of one claim
MOST_ACTIONS = 20  # of a credential that are kept whole
MOST_CHARACTERS = 2000  # of one raw value


class Declared(StrEnum):
    """What the file says, in one word for programs. The verdict on the pixels is `decision`."""

    AI_SIGNED = "ai_signed"
    AI_UNVERIFIED = "ai_unverified"
    CAPTURE_SIGNED = "capture_signed"
    CAPTURE_UNVERIFIED = "capture_unverified"
    TAMPERED = "tampered"
    NONE = "none"


class ClaimSource(StrEnum):
    """Where in the file a claim stands."""

    C2PA = "c2pa"
    XMP = "xmp"
    IPTC = "iptc"
    TEXT = "text"
    EXIF = "exif"
    ALPHA = "alpha"
    FILE = "file"


class Says(StrEnum):
    """What is claimed. `ai_part`: parts of it; `nothing`: no claim, which is no evidence.

    `ai_and_capture`: a trained model and a camera are both named as its source:
    a composite, or a contradiction.
    """

    AI = "ai"
    AI_PART = "ai_part"
    AI_AND_CAPTURE = "ai_and_capture"
    CAPTURE = "capture"
    OTHER = "other"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"


class Standing(StrEnum):
    """How a claim can be known.

    `signed_trusted`: bytes and signature are intact, and the signer is on a trust list.
    `signed_untrusted`: intact, but the signer is not on a list, or its certificate was not in time.
    `broken`: the signature or a hash does not fit the file. `unchecked`: a credential that was not
    checked. `unsigned`: text without a signature. `observed`: seen in the file itself.
    """

    SIGNED_TRUSTED = "signed_trusted"
    SIGNED_UNTRUSTED = "signed_untrusted"
    BROKEN = "broken"
    UNCHECKED = "unchecked"
    UNSIGNED = "unsigned"
    OBSERVED = "observed"


class InTime(StrEnum):
    """Whether the signer's certificate was valid when it signed.

    `stamped`: a trusted time stamp says when that was. `current`: no such stamp; the certificate is
    valid today. `expired`: no such stamp, and it has run out or is not valid yet.
    """

    STAMPED = "stamped"
    CURRENT = "current"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a C2PA credential holds, its facts kept apart.

    Attributes:
        source_types: IPTC digital source types that the active manifest claims.
        ancestor_types: The same of the manifests of what the picture was made from.
        actions: What was done, such as `c2pa.created`.
        agents: Software named by the actions or as the generator of the claim.
        device: Make and model of a camera in the manifest; null where none is named.
        bytes_intact: Whether the file is the one that was signed; null where it could not be
            checked.
        signature_intact: Whether the signature fits the claim; null where it could not be checked.
        signer: Organisation in the signer's certificate; null where none is named. Anybody can make
            a certificate with any name: see `trusted`.
        issuer: Who issued the certificate, by its own word.
        trusted: Whether the certificate leads to one on a trust list.
        trust_list: Which lists were asked, and of what date.
        in_time: Whether the certificate was valid when it signed; null where that is not known.
        signed_at: When it was signed, by a time stamp (ISO 8601); null where there is none.
        manifests: How many manifests are in the file.
        state: The one word of c2pa-rs for all of this.
        codes: What c2pa-rs found wrong with the active manifest.
    """

    source_types: tuple[str, ...] = ()
    ancestor_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    device: str | None = None
    bytes_intact: bool | None = None
    signature_intact: bool | None = None
    signer: str | None = None
    issuer: str | None = None
    trusted: bool = False
    trust_list: str = ""
    in_time: InTime | None = None
    signed_at: str | None = None
    manifests: int = 0
    state: str = ""
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One thing that a file says about its own origin.

    Attributes:
        source: Where in the file it stands.
        says: What is claimed.
        standing: How it can be known.
        by: Who says it: the signer, or the software or camera that is named; null where nobody is.
        forgeable: Whether anybody could have written it.
        plain: One sentence for anybody.
        technical: One sentence for an expert.
        raw: Values as they stand in the file, by name; long ones are cut.
        credential: The facts of a C2PA credential; null for other claims.
    """

    source: ClaimSource
    says: Says
    standing: Standing
    by: str | None = None
    forgeable: bool = True
    plain: str
    technical: str
    raw: Mapping[str, str] = field(default_factory=dict)
    credential: Credential | None = None

    def __post_init__(self) -> None:
        if len(self.raw) > MOST_RAW or any(len(v) > MOST_CHARACTERS for v in self.raw.values()):
            raise ValueError(
                f"A claim holds at most {MOST_RAW} raw values of {MOST_CHARACTERS} characters."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClaims:
    """What one file says about its own origin, whether or not it is a picture to be judged.

    Attributes:
        path: As it was given.
        sha256: Of the bytes.
        headline: In one sentence.
        declared: In one word.
        claims: One by one.
    """

    path: str | None
    sha256: str
    headline: str
    declared: Declared
    claims: tuple[Claim, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain values; `schema` names the shape."""
        found = plain(self)
        assert isinstance(found, dict)
        return {"schema": "veridical.provenance/1", **found}

    def to_json(self) -> str:
        """Return the same as one line of ASCII JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def bounded(raw: Mapping[str, str]) -> dict[str, str]:
    """Return raw values cut to what a claim may hold; what is cut says so."""
    return {key[:200]: cut(value) for key, value in list(raw.items())[:MOST_RAW]}


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text of at most `most` characters, which says if it is longer."""
    more = f"... ({len(text)} characters)"
    return text if len(text) <= most else f"{text[: most - len(more)]}{more}"
