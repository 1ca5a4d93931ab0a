"""C2PA: what a credential claims, read and checked by c2pa-python without a network."""

import io
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from mmap import mmap
from typing import Any

from veridical._optional import need
from veridical.claims import (
    MOST_ACTIONS,
    Claim,
    ClaimSource,
    Credential,
    InTime,
    Says,
    Standing,
    bounded,
    cut,
)
from veridical.errors import MissingExtra
from veridical.io.metadata import Metadata
from veridical.provenance.manifest import (
    DOUBTED,
    Json,
    actions_of,
    active_of,
    facts,
    failures_of,
    signature_of,
    types_of,
)
from veridical.provenance.trust import Trust, shipped
from veridical.provenance.vocabulary import GENERATED, meaning, strongest


def read_credential(data: bytes | mmap, metadata: Metadata, trust: Trust) -> Iterator[Claim]:
    """Give the claim of a file's C2PA credential, if its bytes hold one."""
    if not metadata.credential:
        return
    try:
        library: Any = need("c2pa", extra="provenance", to="check C2PA credentials")
    except MissingExtra:
        yield _unread(
            Standing.UNCHECKED,
            "A C2PA credential is in this file, unchecked (install veridical[provenance]).",
            "The bytes of a C2PA manifest store are there; the package c2pa is not installed.",
        )
        return
    if metadata.mime is None or not metadata.whole:
        yield _unread(
            Standing.UNCHECKED,
            "Bytes of a C2PA credential are in this file, of a kind or size that is not checked.",
            f"C2PA manifest store in a file of format {metadata.format or 'unknown'}"
            f"{'' if metadata.whole else ', of too many parts'}.",
        )
        return
    try:
        context = _context(trust, os.getpid())
        stream = data if isinstance(data, mmap) else io.BytesIO(data)
        with library.Reader(metadata.mime, stream, context=context) as reader:
            store, certificates = json.loads(reader.json()), json.loads(reader.crjson())
    except (library.C2paError, ValueError, RecursionError) as error:
        why = cut(" ".join(str(error).split()), 200)
        yield _unread(
            Standing.UNCHECKED,
            "A C2PA credential is in this file and cannot be read.",
            f"c2pa-rs: {why}.",
        )
        return
    credential = facts(store, certificates, trust)
    if credential is None:
        yield _unread(
            Standing.UNCHECKED,
            "A C2PA credential is in this file and cannot be read.",
            "The manifest store names no active manifest.",
        )
        return
    yield claim_of(credential, store)


def _unread(standing: Standing, plain: str, technical: str) -> Claim:
    return Claim(
        source=ClaimSource.C2PA,
        says=Says.UNREADABLE,
        standing=standing,
        forgeable=True,
        plain=plain,
        technical=technical,
    )


@lru_cache(maxsize=4)
def _context(trust: Trust, _process: int) -> Any:
    """Return c2pa's settings as an object; a forked process needs one of its own."""
    library: Any = need("c2pa", extra="provenance", to="check C2PA credentials")
    return library.Context.from_dict(
        {
            "version": 1,
            "trust": {
                "trust_anchors": shipped(),
                **({"user_anchors": trust.own} if trust.own else {}),
            },
            "verify": {
                "verify_trust": True,
                "verify_timestamp_trust": True,
                "ocsp_fetch": False,
                "remote_manifest_fetch": False,
            },
            "core": {"allowed_network_hosts": []},
        }
    )


# --- the claim ---------------------------------------------------------------------------------


def standing_of(credential: Credential) -> Standing:
    """Return how a credential's claim can be known.

    A credential that binds no bytes (a hash that fits is missing) is as good as one that is broken:
    it can be put on any picture.
    """
    if not (credential.bytes_intact and credential.signature_intact):
        return Standing.BROKEN
    timely = credential.in_time in (InTime.STAMPED, InTime.CURRENT)
    return Standing.SIGNED_TRUSTED if credential.trusted and timely else Standing.SIGNED_UNTRUSTED


def says_of(credential: Credential, *, ancestors_trusted: bool) -> tuple[Says, bool]:
    """Return what a credential claims, and whether only its ancestors claim it."""
    own = strongest(credential.source_types)
    if own in GENERATED:
        return own, False
    behind = strongest(credential.ancestor_types)
    if behind is Says.AI and own is Says.CAPTURE:
        return Says.AI_AND_CAPTURE, not ancestors_trusted
    if behind in GENERATED:
        return (Says.AI_PART if own else behind), not ancestors_trusted
    return own or Says.OTHER, False


def claim_of(credential: Credential, store: Json) -> Claim:
    """Return the claim of a credential."""
    standing = standing_of(credential)
    trusted = _ancestors_trusted(store)
    says, borrowed = says_of(credential, ancestors_trusted=trusted)
    vouched = strongest(types_of(active_of(store), vouched=True))
    borrowed = borrowed or (
        says is not Says.OTHER and bool(credential.source_types) and vouched != says
    )
    if borrowed and standing is Standing.SIGNED_TRUSTED:
        standing = Standing.SIGNED_UNTRUSTED  # the signer vouches for its own words only
    signer = credential.signer
    return Claim(
        source=ClaimSource.C2PA,
        says=says,
        standing=standing,
        by=signer,
        forgeable=standing is not Standing.SIGNED_TRUSTED,
        plain=_plain(credential, standing),
        technical=_technical(credential),
        raw=bounded(
            {
                "active manifest": str(store.get("active_manifest", "")),
                "signature": json.dumps(signature_of(active_of(store)), default=str),
                "actions": json.dumps(actions_of(active_of(store))[:MOST_ACTIONS], default=str),
            }
        ),
        credential=credential,
    )


def _ancestors_trusted(store: Json) -> bool:
    """Return whether no manifest in the store has a signer that is doubted."""
    codes = {code for codes in failures_of(store).values() for code in codes}
    return not any(code.startswith(DOUBTED) for code in codes)


def _told(credential: Credential) -> str:
    """Return what a credential says, and what it only repeats of an earlier version."""
    own, behind = (
        "; ".join(dict.fromkeys(meaning(one)[1] for one in types[:5]))
        for types in (credential.source_types, credential.ancestor_types)
    )
    told = [own] if own else []
    if behind and behind != own:
        told.append(f"of an earlier version carried in it, {behind}")
    return "; ".join(told) or "nothing of how the picture was made"


def _plain(credential: Credential, standing: Standing) -> str:
    words = _told(credential)
    name = f"“{credential.signer}”" if credential.signer else "somebody without a name"
    if standing is Standing.BROKEN:
        torn = (
            "this is not byte for byte the file that was signed. Ordinary editing or saving is "
            "enough for that"
            if credential.bytes_intact is False
            else "the credential holds no hash of this picture"
            if credential.bytes_intact is None
            else "the credential was changed after it was signed"
        )
        return f"The credential in the name of {name} does not fit: {torn}. It proves nothing."
    if standing is Standing.SIGNED_TRUSTED:
        return f"{name} signed: {words}. The signature was checked and the file is unchanged."
    doubts = [] if credential.trusted else ["the signer is on no trust list that was asked"]
    if credential.in_time is InTime.EXPIRED:
        doubts.append("its certificate has run out, with no trusted time stamp of when it was used")
    why = " and ".join(doubts) or "it repeats what another signer said"
    return (
        f"A credential in the name of {name} says: {words}. The file is unchanged since, but "
        f"{why}. Anyone can make a credential like that."
    )


def _technical(credential: Credential) -> str:
    intact = {True: "intact", False: "broken", None: "not bound"}
    times = {
        InTime.STAMPED: "valid at its trusted time stamp",
        InTime.CURRENT: "valid today, no trusted time stamp",
        InTime.EXPIRED: "expired or not yet valid, no trusted time stamp",
        None: "of unknown validity",
    }
    own = ", ".join(credential.source_types) or "none"
    behind, codes = ", ".join(credential.ancestor_types), ", ".join(credential.codes)
    return (
        f"C2PA, {credential.manifests} manifest(s): source types {own}"
        f"{f', of ancestors {behind}' if behind else ''}; bytes {intact[credential.bytes_intact]}, "
        f"signature {intact[credential.signature_intact]}; signer "
        f"{'' if credential.trusted else 'not '}on the list ({credential.trust_list}); certificate "
        f"{times[credential.in_time]}"
        f"{f'; signed {credential.signed_at}' if credential.signed_at else ''}; c2pa-rs says "
        f"{credential.state}{f' ({codes})' if codes else ''}."
        f"{''.join(f' {told}' for told in _explained(credential))}"
    )


def _explained(credential: Credential) -> Iterator[str]:
    """Explain the words of C2PA that are used above."""
    if credential.ancestor_types:
        yield (
            "An ancestor is an earlier version of this file, whose credential was carried along in "
            "this one."
        )
    if any(code.endswith(".malformed") for code in credential.codes):
        yield (
            "Malformed means that an entry of the credential breaks the rules for writing it; that "
            "is no sign that the picture was changed."
            if credential.bytes_intact and credential.signature_intact
            else "Malformed means that an entry of the credential breaks the rules for writing it."
        )
