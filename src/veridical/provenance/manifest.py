"""What holds of a C2PA manifest store, fact by fact, out of c2pa-rs's own report.

c2pa-rs says one word, and its "Invalid" covers an expired certificate as well as a picture that
was swapped under a signature. So the facts are taken from its validation codes (C2PA specification
2.2, "Validation"), which are for the active manifest and for each ingredient.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from veridical.claims import Credential, InTime, cut
from veridical.provenance.trust import Trust
from veridical.provenance.vocabulary import term

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
DOUBTED = "signingCredential."


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
    manifests = dict(list(part_of(store, "manifests").items())[:_MOST_MANIFESTS])
    label = store.get("active_manifest")
    active = manifests.get(str(label))
    if not isinstance(active, dict):
        return None
    results = part_of(part_of(store, "validation_results"), "activeManifest")
    good, bad, told = (_codes(results, kind) for kind in ("success", "failure", "informational"))
    torn, broken = bool(bad & set(_TORN)), bool(bad & set(_BROKEN))
    bound = not good.isdisjoint(_BOUND)
    signed = "claimSignature.validated" in good
    certificate = _certificate(certificates, str(label))
    stamped = "timeStamp.trusted" in good
    ancestors = _ancestors(store, manifests, str(label))
    return Credential(
        source_types=types_of(active),
        ancestor_types=tuple(
            dict.fromkeys(t for one in ancestors for t in types_of(manifests[one]))
        ),
        actions=_few(str(a.get("action", "")) for a in actions_of(active)),
        agents=_few(_agents(active)),
        device=_device(active),
        bytes_intact=False if torn else True if bound else None,
        signature_intact=signed and not broken,
        signer=_name(certificate, "subject") or signature_of(active).get("issuer"),
        issuer=_name(certificate, "issuer"),
        trusted="signingCredential.trusted" in good
        and not any(code.startswith(DOUBTED) for code in bad),
        trust_list=trust.named,
        in_time=_in_time(certificate, bad, stamped, now or datetime.now(UTC)),
        signed_at=_short(signature_of(active).get("time")),
        manifests=len(manifests),
        state=str(store.get("validation_state", "")),
        codes=tuple(sorted(bad | ({"timeStamp.untrusted"} & told)))[:_MOST_NAMES],
    )


def _in_time(certificate: Json, bad: set[str], stamped: bool, now: datetime) -> InTime | None:
    if stamped:
        return InTime.STAMPED
    if "signingCredential.expired" in bad:
        return InTime.EXPIRED
    validity = part_of(certificate, "validity")
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
        label
        for label, codes in failures_of(store).items()
        if codes & {*_TORN, *_BROKEN, *_SWAPPED}
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


def failures_of(store: Json) -> dict[str, set[str]]:
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
            return part_of(part_of(_mapping(one), "signature"), "certificateInfo")
    return {}


def _name(certificate: Json, whose: str) -> str | None:
    entry = part_of(certificate, whose)
    return _short(entry.get("O") or entry.get("CN"))


def signature_of(manifest: Json) -> Json:
    """Return what a manifest says of its signature."""
    return part_of(manifest, "signature_info")


def _assertions(manifest: Json, label: str, *, vouched: bool = False) -> Iterator[Json]:
    """Give the data of assertions; those that the signer vouches for, or all.

    Since claims of version 2 a signer may gather assertions of others, and does not vouch for them
    (C2PA specification 2.2, "Claim": `created_assertions`, `gathered_assertions`).
    """
    for one in _list(manifest, "assertions")[:500]:
        own = _mapping(one).get("created") is True or manifest.get("claim_version", 1) == 1
        if str(_mapping(one).get("label", "")).startswith(label) and (own or not vouched):
            yield part_of(_mapping(one), "data")


def actions_of(manifest: Json, *, vouched: bool = False) -> list[Json]:
    """Return the actions of a manifest; those that its signer vouches for, or all."""
    return [
        _mapping(action)
        for data in _assertions(manifest, "c2pa.actions", vouched=vouched)
        for action in _list(data, "actions")[:500]
    ]


def types_of(manifest: Json, *, vouched: bool = False) -> tuple[str, ...]:
    """Return the digital source types of a manifest, likewise."""
    told = [action.get("digitalSourceType") for action in actions_of(manifest, vouched=vouched)]
    for label in ("stds.iptc", "stds.metadata", "c2pa.metadata", "cawg.metadata"):
        for data in _assertions(manifest, label, vouched=vouched):
            told += [v for k, v in data.items() if k.endswith("DigitalSourceType")]
    return _few(term(one) for one in told if isinstance(one, str))


def _agents(manifest: Json) -> Iterator[str]:
    for action in actions_of(manifest):
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


def part_of(value: Json, key: str) -> Json:
    """Return an object within an object; an empty one where there is none."""
    return _mapping(value.get(key))


def _list(value: Json, key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []


def active_of(store: Json) -> Json:
    """Return the active manifest."""
    return part_of(part_of(store, "manifests"), str(store.get("active_manifest")))
