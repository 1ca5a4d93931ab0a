"""What a file says about its own origin, beside what its pixels say.

    claims = read_claims(file)

One small reader for each kind of claim, all fed by the one parser of metadata (`io/metadata.py`).
Nothing is fetched from a network. A reader that fails costs its own claim, and says so.
"""

import os
from collections.abc import Callable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import cast

from veridical.claims import Claim, ClaimSource, FileClaims, Says, Standing
from veridical.errors import PhotoError, PhotoTooLarge
from veridical.io.formats import Limits
from veridical.io.metadata import Metadata, read_mapped
from veridical.io.source import File, open_source
from veridical.provenance.credential import read_credential
from veridical.provenance.facts import read_exif_facts, read_file_facts
from veridical.provenance.fields import Fields, fields_of
from veridical.provenance.headline import headline
from veridical.provenance.marks import read_marks, table
from veridical.provenance.properties import read_source_type, read_trail
from veridical.provenance.stealth import read_stealth
from veridical.provenance.trust import NO_OTHERS, Trust

__all__ = ["Trust", "claims_of", "claims_of_clip", "read_claims"]


def read_claims(file: File, trust: Trust = NO_OTHERS) -> tuple[Claim, ...]:
    """Read everything a file says about its own origin; never raises for what is in the file.

    The picture need not be one that can be judged: videos and damaged files have claims too.

    Args:
        file: Any file; what came as pixels has no claims, and says so.
        trust: Whose signatures count.

    Returns:
        The claims, those of credentials first. Where there are none, one that says so: no claim is
        no evidence.
    """
    if file.data is None or file.metadata is None:
        return (_nothing("The picture came without its file.", "Pixels came, and no bytes."),)
    return _claims(file.data, file.metadata, trust, file)


def claims_of_clip(
    source: str | os.PathLike[str] | bytes | File, trust: Trust = NO_OTHERS
) -> tuple[Claim, ...]:
    """Read what a clip says about its own origin; see `read_claims`.

    A file over `HELD` is not read as a whole, unless a credential in it has to be checked.

    Args:
        source: A path, bytes, or a `File`.
        trust: Whose signatures count.
    """
    most = max(HELD, len(source)) if isinstance(source, bytes) else HELD
    try:
        return read_claims(open_source(source, Limits(max_bytes=most)), trust)
    except PhotoTooLarge:
        return _of_large(os.fspath(cast("str | os.PathLike[str]", source)), trust)
    except PhotoError as error:
        return (_unread(str(error)),)


def _of_large(path: str, trust: Trust) -> tuple[Claim, ...]:
    try:
        with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _claims(data, read_mapped(data), trust, None)
    except (OSError, ValueError) as error:  # no file, or one that changes meanwhile
        return (_unread(str(error)),)


def _unread(why: str) -> Claim:
    return _nothing("What this clip says about its origin was not read.", why)


HELD = 64 * 2**20
"""Bytes of the largest clip that is held while its claims are read."""


def _claims(
    data: bytes | mmap, metadata: Metadata, trust: Trust, file: File | None
) -> tuple[Claim, ...]:
    """Ask every reader; those of pixels and tables only of a file that is held."""
    claims = [*_safely("credential", lambda: read_credential(data, metadata, trust))]
    try:
        fields = fields_of(metadata)
    except Exception as error:  # our fault: it costs these readers, and says so
        return (*claims, _failed("metadata", error))
    taken = {mark.field.lower() for mark in table() if mark.found_in(fields) is not None}
    readers: dict[str, Callable[[], Iterator[Claim]]] = {
        "marks": lambda: read_marks(fields),
        "source type": lambda: read_source_type(fields),
        "alpha": lambda: _stealth(file, metadata),
        "EXIF": lambda: read_exif_facts(fields, taken=taken),
        "XMP": lambda: read_trail(fields),
        "file": lambda: read_file_facts(file, fields) if file else iter(()),
        "gaps": lambda: _gaps(fields),
    }
    for name, read in readers.items():
        claims += _safely(name, read)
    if all(one.standing is Standing.OBSERVED or one.says is Says.UNREADABLE for one in claims) and (
        not metadata.credential
    ):
        claims.append(
            _nothing(
                "The file says nothing about its origin. That is no evidence.",
                "No credential, no mark of a generator, no source type and no camera was found.",
            )
        )
    return tuple(claims)


def claims_of(file: File, trust: Trust = NO_OTHERS) -> FileClaims:
    """Return what a file says, with its headline, for files that are not judged."""
    claims = read_claims(file, trust)
    told = headline(claims)
    return FileClaims(
        path=file.path,
        sha256=file.sha256,
        headline=told.text,
        declared=told.declared,
        claims=claims,
    )


def _stealth(file: File | None, metadata: Metadata) -> Iterator[Claim]:
    if file and metadata.format == "PNG":
        yield from read_stealth(file)


def _gaps(fields: Fields) -> Iterator[Claim]:
    for why in fields.gaps[:20]:
        yield Claim(
            source=ClaimSource.FILE,
            says=Says.UNREADABLE,
            standing=Standing.UNCHECKED,
            plain="A part of what the file says could not be read.",
            technical=why,
        )


def _safely(name: str, read: Callable[[], Iterator[Claim]]) -> list[Claim]:
    try:
        return list(read())
    except Exception as error:  # our fault: it costs this reader's claims, and says so
        return [_failed(name, error)]


def _failed(name: str, error: Exception) -> Claim:
    return Claim(
        source=ClaimSource.FILE,
        says=Says.UNREADABLE,
        standing=Standing.UNCHECKED,
        plain="A part of what the file says could not be read, by a fault of veridical.",
        technical=f"Internal error in the reader of {name} ({type(error).__name__}); please "
        "report it.",
    )


def _nothing(plain: str, technical: str) -> Claim:
    return Claim(
        source=ClaimSource.FILE,
        says=Says.NOTHING,
        standing=Standing.OBSERVED,
        forgeable=True,
        plain=plain,
        technical=f"{technical} That is no evidence: anybody can remove what a file says.",
    )
