"""C2PA: what a credential claims, and what holds of it, each fact by itself.

c2pa-rs says one word, and its "Invalid" covers an expired certificate as well as a picture that
was swapped under a signature. So the facts are taken from its validation codes (C2PA specification
2.2, "Validation"), which are for the active manifest and for each ingredient.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from veridical._optional import need
from veridical.claims import (
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
from veridical.io.source import File
from veridical.provenance.trust import Trust, shipped
from veridical.provenance.vocabulary import meaning, strongest, term

Json = Mapping[str, Any]
_MOST_MANIFESTS = 200
_MOST_NAMES = 30
_BOUND = ("assertion.dataHash.match", "assertion.boxesHash.match", "assertion.bmffHash.match")
_TORN = (  # of the picture's bytes
    *("assertion.dataHash.mismatch", "assertion.dataHash.malformed"),
    *("assertion.boxesHash.mismatch", "assertion.boxesHash.malformed"),
    *("assertion.boxesHash.unknownBox", "assertion.bmffHash.mismatch"),
    *("assertion.bmffHash.malformed", "assertion.collectionHash.mismatch"),
    *("assertion.collectionHash.malformed", "assertion.collectionHash.incorrectItemCount"),
)
_BROKEN = (  # of what was signed
    *("claimSignature.mismatch", "claimSignature.missing", "assertion.hashedURI.mismatch"),
    *("assertion.missing", "assertion.undeclared", "assertion.inaccessible"),
    *(
        "claim.missing",
        "claim.multiple",
        "hashedURI.mismatch",
        "ingredient.claimSignature.mismatch",
    ),
)
_SWAPPED = ("ingredient.manifest.mismatch", "ingredient.hashedURI.mismatch")
_DOUBTED = "signingCredential."


def read_credential(file: File, metadata: Metadata, trust: Trust) -> Iterator[Claim]:
    """Give the claim of the file's C2PA credential, if its bytes hold one."""
    if not metadata.credential or file.data is None:
        return
    try:
        library: Any = need("c2pa", extra="provenance", to="check C2PA credentials")
    except MissingExtra:
        yield _unread(
            Standing.UNCHECKED,
            "A C2PA credential is in this file; install veridical[provenance] to check it.",
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
        with library.Reader(metadata.mime, io.BytesIO(file.data), context=context) as reader:
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


# --- the facts ---------------------------------------------------------------------------------


def facts(
    store: Json, certificates: Json, trust: Trust, now: datetime | None = None
) -> Credential | None:
    """Return what holds of a manifest store, fact by fact; None if it has no active manifest.

    Args:
        store: c2pa's `Reader.json()`.
        certificates: Its `Reader.crjson()`, which has the certificates.
        trust: Which lists were asked.
        now: The time that a certificate has to be valid at, where no time stamp says another.
    """
    manifests = dict(list(_dict(store, "manifests").items())[:_MOST_MANIFESTS])
    label = store.get("active_manifest")
    active = manifests.get(str(label))
    if not isinstance(active, dict):
        return None
    results = _dict(_dict(store, "validation_results"), "activeManifest")
    good, bad, told = (_codes(results, kind) for kind in ("success", "failure", "informational"))
    torn, broken = bool(bad & set(_TORN)), bool(bad & set(_BROKEN))
    bound = not good.isdisjoint(_BOUND)
    signed = "claimSignature.validated" in good
    certificate = _certificate(certificates, str(label))
    stamped = "timeStamp.trusted" in good
    ancestors = _ancestors(store, manifests, str(label))
    return Credential(
        source_types=_types(active),
        ancestor_types=tuple(dict.fromkeys(t for one in ancestors for t in _types(manifests[one]))),
        actions=_few(str(a.get("action", "")) for a in _actions(active)),
        agents=_few(_agents(active)),
        device=_device(active),
        bytes_intact=False if torn else True if bound else None,
        signature_intact=signed and not broken,
        signer=_name(certificate, "subject") or _signature(active).get("issuer"),
        issuer=_name(certificate, "issuer"),
        trusted="signingCredential.trusted" in good
        and not any(code.startswith(_DOUBTED) for code in bad),
        trust_list=trust.named,
        in_time=_in_time(certificate, bad, stamped, now or datetime.now(UTC)),
        signed_at=_short(_signature(active).get("time")),
        manifests=len(manifests),
        state=str(store.get("validation_state", "")),
        codes=tuple(sorted(bad | ({"timeStamp.untrusted"} & told)))[:_MOST_NAMES],
    )


def _in_time(certificate: Json, bad: set[str], stamped: bool, now: datetime) -> InTime | None:
    if stamped:
        return InTime.STAMPED
    if "signingCredential.expired" in bad:
        return InTime.EXPIRED
    validity = _dict(certificate, "validity")
    try:
        begin, end = (datetime.fromisoformat(validity[key]) for key in ("notBefore", "notAfter"))
        return InTime.CURRENT if begin <= now <= end else InTime.EXPIRED
    except (KeyError, TypeError, ValueError):
        return None


def _ancestors(store: Json, manifests: Mapping[str, Any], active: str) -> list[str]:
    """Return the manifests behind the active one, without those that a failure tears off.

    Not those that were merely put in (`inputTo`): a picture made after a photograph is not one.
    """
    torn = {
        label for label, codes in _failures(store).items() if codes & {*_TORN, *_BROKEN, *_SWAPPED}
    }
    found: list[str] = []
    waiting = [active]
    while waiting and len(found) < _MOST_MANIFESTS:
        for one in _list(_mapping(manifests.get(waiting.pop())), "ingredients"):
            label = _mapping(one).get("active_manifest")
            if (
                isinstance(label, str)
                and label in manifests
                and label not in (*found, active)
                and label not in torn
                and _mapping(one).get("relationship") != "inputTo"
            ):
                found.append(label)
                waiting.append(label)
    return found


def _failures(store: Json) -> dict[str, set[str]]:
    """Return the failures of every manifest by its label, wherever in the store they stand."""
    found: dict[str, set[str]] = {}
    waiting: list[Any] = [store]
    seen = 0
    while waiting and seen < 100_000:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("failure", "validation_status") and isinstance(inner, list):
                    for one in inner:
                        label = str(_mapping(one).get("url", "")).partition("/c2pa/")[2]
                        found.setdefault(label.partition("/")[0], set()).add(
                            str(_mapping(one).get("code", ""))
                        )
                else:
                    waiting.append(inner)
        elif isinstance(value, list):
            waiting += value
    return found


def _codes(results: Json, kind: str) -> set[str]:
    return {str(_mapping(one).get("code", "")) for one in _list(results, kind)}


def _certificate(certificates: Json, label: str) -> Json:
    for one in _list(certificates, "manifests")[:_MOST_MANIFESTS]:
        if _mapping(one).get("label") == label:
            return _dict(_dict(_mapping(one), "signature"), "certificateInfo")
    return {}


def _name(certificate: Json, whose: str) -> str | None:
    entry = _dict(certificate, whose)
    return _short(entry.get("O") or entry.get("CN"))


def _signature(manifest: Json) -> Json:
    return _dict(manifest, "signature_info")


def _assertions(manifest: Json, label: str, *, vouched: bool = False) -> Iterator[Json]:
    """Give the data of assertions; those that the signer vouches for, or all.

    Since claims of version 2 a signer may gather assertions of others, and does not vouch for them
    (C2PA specification 2.2, "Claim": `created_assertions`, `gathered_assertions`).
    """
    for one in _list(manifest, "assertions")[:500]:
        own = _mapping(one).get("created") is True or manifest.get("claim_version", 1) == 1
        if str(_mapping(one).get("label", "")).startswith(label) and (own or not vouched):
            yield _dict(_mapping(one), "data")


def _actions(manifest: Json, *, vouched: bool = False) -> list[Json]:
    return [
        _mapping(action)
        for data in _assertions(manifest, "c2pa.actions", vouched=vouched)
        for action in _list(data, "actions")[:500]
    ]


def _types(manifest: Json, *, vouched: bool = False) -> tuple[str, ...]:
    told = [action.get("digitalSourceType") for action in _actions(manifest, vouched=vouched)]
    for label in ("stds.iptc", "stds.metadata", "c2pa.metadata", "cawg.metadata"):
        for data in _assertions(manifest, label, vouched=vouched):
            told += [v for k, v in data.items() if k.endswith("DigitalSourceType")]
    return _few(term(one) for one in told if isinstance(one, str))


def _agents(manifest: Json) -> Iterator[str]:
    for action in _actions(manifest):
        agent = action.get("softwareAgent")
        yield str(agent.get("name", "")) if isinstance(agent, dict) else str(agent or "")
    for one in _list(manifest, "claim_generator_info"):
        yield str(_mapping(one).get("name", ""))
    yield str(manifest.get("claim_generator") or "")


def _device(manifest: Json) -> str | None:
    """Return make and model in an EXIF assertion (`stds.exif`, or `c2pa.metadata` since 2.1)."""
    for label in ("stds.exif", "c2pa.metadata", "stds.metadata"):
        for data in _assertions(manifest, label):
            parts = [
                str(value)
                for name in ("Make", "Model")
                for key, value in data.items()
                if key.rpartition(":")[2].lower() == name.lower() and isinstance(value, str)
            ]
            if parts:
                return _short(" ".join(parts))
    return None


def _few(texts: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(cut(text, 120) for text in texts if text))[:_MOST_NAMES]


def _short(value: object) -> str | None:
    return cut(" ".join(value.split()), 80) if isinstance(value, str) and value.strip() else None


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _dict(value: Json, key: str) -> Json:
    return _mapping(value.get(key))


def _list(value: Json, key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


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
    if own in (Says.AI, Says.AI_PART):
        return own, False
    behind = strongest(credential.ancestor_types)
    if behind in (Says.AI, Says.AI_PART):
        return (Says.AI_PART if own else behind), not ancestors_trusted
    return own or Says.OTHER, False


def claim_of(credential: Credential, store: Json) -> Claim:
    """Return the claim of a credential."""
    standing = standing_of(credential)
    trusted = _ancestors_trusted(store)
    says, borrowed = says_of(credential, ancestors_trusted=trusted)
    vouched = strongest(_types(_active(store), vouched=True))
    borrowed = borrowed or (
        says is not Says.OTHER and bool(credential.source_types) and vouched != says
    )
    if borrowed and standing is Standing.SIGNED_TRUSTED:
        standing = Standing.SIGNED_UNTRUSTED  # the signer vouches for its own words only
    signer = credential.signer
    types = (*credential.source_types, *credential.ancestor_types)
    words = "; ".join(dict.fromkeys(meaning(one)[1] for one in types[:5]))
    return Claim(
        source=ClaimSource.C2PA,
        says=says,
        standing=standing,
        by=signer,
        forgeable=standing is not Standing.SIGNED_TRUSTED,
        plain=_plain(credential, standing, words or "nothing of how the picture was made"),
        technical=_technical(credential),
        raw=bounded(
            {
                "active manifest": str(store.get("active_manifest", "")),
                "signature": json.dumps(_signature(_active(store)), default=str),
                "actions": json.dumps(_actions(_active(store))[:20], default=str),
            }
        ),
        credential=credential,
    )


def _active(store: Json) -> Json:
    return _dict(_dict(store, "manifests"), str(store.get("active_manifest")))


def _ancestors_trusted(store: Json) -> bool:
    """Return whether no manifest in the store has a signer that is doubted."""
    codes = {code for codes in _failures(store).values() for code in codes}
    return not any(code.startswith(_DOUBTED) for code in codes)


def _plain(credential: Credential, standing: Standing, words: str) -> str:
    name = f"“{credential.signer}”" if credential.signer else "somebody without a name"
    if standing is Standing.BROKEN:
        torn = (
            "the picture is not the one that was signed"
            if credential.bytes_intact is False
            else "the credential holds no hash of this picture"
            if credential.bytes_intact is None
            else "the credential was changed after it was signed"
        )
        return f"The credential in the name of {name} does not fit: {torn}. It is worth nothing."
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
    behind = ", ".join(credential.ancestor_types)
    return (
        f"C2PA, {credential.manifests} manifest(s): source types {own}"
        f"{f', of ancestors {behind}' if behind else ''}; bytes {intact[credential.bytes_intact]}, "
        f"signature {intact[credential.signature_intact]}; signer "
        f"{'' if credential.trusted else 'not '}on the list ({credential.trust_list}); certificate "
        f"{times[credential.in_time]}"
        f"{f'; signed {credential.signed_at}' if credential.signed_at else ''}; c2pa-rs says "
        f"{credential.state}{f' ({chr(44).join(credential.codes)})' if credential.codes else ''}."
    )
