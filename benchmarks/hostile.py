"""Files made to hurt a reader of claims, and what they cost.

    python -m benchmarks.hostile --count 10000

Every mutant has to end in claims, or in a named silence, within 0.5 s and 200 MB
(docs/provenance.md). A mutant is a small painted file that says something (text, EXIF, XMP, IPTC, a
credential where c2pa is installed) with one to three blows: truncation, bit flips, lengths of 4 GB,
chunks in chunks, zip bombs, deep or recursive XML, loops of directories.
"""

import resource
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click
import numpy as np

from veridical.io.source import open_source
from veridical.provenance import read_claims

MOST_SECONDS, MOST_MEGABYTES = 0.5, 200
Random = np.random.Generator
_HUGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff\xff\xff\xf0")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one mutant cost: the blows, seconds of one core, and claims that it ended in."""

    blows: tuple[str, ...]
    seconds: float
    claims: int


def mutants(
    seeds: Sequence[bytes], count: int, seed: int = 0
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Give `count` mutants of some files, the same for the same seed."""
    random = np.random.default_rng(seed)
    names = list(BLOWS)
    for _ in range(count):
        data = seeds[int(random.integers(len(seeds)))]
        chosen = [names[i] for i in random.integers(len(names), size=int(random.integers(1, 4)))]
        for name in chosen:
            data = BLOWS[name](data, random)
        yield tuple(chosen), data


def cost_of(blows: tuple[str, ...], data: bytes) -> Cost:
    """Read the claims of one mutant; an error of any kind gets out."""
    start = time.process_time()
    claims = read_claims(open_source(data))
    return Cost(blows=blows, seconds=time.process_time() - start, claims=len(claims))


# --- blows -------------------------------------------------------------------------------------


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: int(random.integers(4, max(5, len(data))))]


def _flip(data: bytes, random: Random) -> bytes:
    hurt = bytearray(data)
    last = len(hurt) if random.random() < 0.5 else min(len(hurt), 400)
    for at in random.integers(last, size=int(random.integers(1, 20))):
        hurt[at] ^= 1 << int(random.integers(8))
    return bytes(hurt)


def _length(data: bytes, random: Random) -> bytes:
    at = int(random.integers(max(1, min(len(data), 2000) - 4)))
    huge = _HUGE[int(random.integers(len(_HUGE)))]
    return data[:at] + huge + data[at + 4 :]


def _nest(data: bytes, random: Random) -> bytes:
    at, size = int(random.integers(len(data))), int(random.integers(1, max(2, len(data))))
    return data[:at] + data[at : at + size] * int(random.integers(2, 8)) + data[at:]


def _insert(data: bytes, piece: bytes, random: Random) -> bytes:
    """Put a chunk or segment where the container takes one."""
    if data.startswith(b"\x89PNG"):
        return data[:33] + piece + data[33:]
    at = int(random.integers(min(len(data), 400)))
    return data[:at] + piece + data[at:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


_BOMB = zlib.compress(bytes(64 * 2**20), 9)  # 64 MB of nothing


def _bomb(data: bytes, random: Random) -> bytes:
    kinds = (b"zTXt", b"parameters\0\0" + _BOMB), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _BOMB)
    kind, body = kinds[int(random.integers(2))]
    return _insert(data, _chunk(kind, body) * int(random.integers(1, 12)), random)


def _xml(data: bytes, random: Random) -> bytes:
    bodies = (
        b"<a>" * 60_000,
        b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        b"<x " + b" ".join(b'a%d="1"' % i for i in range(50_000)) + b"/>",
        b"<x>" + b"<y/>" * 100_000 + b"</x>",
        b"<x>" + b"\xff" * 1000,
    )
    body = bodies[int(random.integers(len(bodies)))]
    if data.startswith(b"\xff\xd8"):
        piece = b"http://ns.adobe.com/xap/1.0/\0" + body[:65_000]
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(piece) + 2) + piece + data[2:]
    return _insert(data, _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + body), random)


def _json(data: bytes, random: Random) -> bytes:
    bodies = (
        b"prompt\0" + b'{"class_type":' * 50_000,
        b"prompt\0" + b'{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0]}}}',
        b"Comment\0" + b'{"uc": ' + b"9" * 100_000 + b"}",
        b"parameters\0" + b"Steps: 1, " + b"A" * 500_000 + b'"' * 1000,
        b"parameters\0Steps: 1, " + b'Model: "' * 20_000,
        b"workflow\0" + b'{"nodes": [' + b"[" * 50_000,
    )
    return _insert(data, _chunk(b"tEXt", bodies[int(random.integers(len(bodies)))]), random)


def _many(data: bytes, random: Random) -> bytes:
    return _insert(data, _chunk(b"tEXt", b"k\0v") * int(random.integers(1000, 60_000)), random)


def _loop(data: bytes, _: Random) -> bytes:
    """Point the EXIF directories at themselves."""
    at = data.find(b"Exif\0\0")
    at = at + 6 if at >= 0 else data.find(b"II*\0")
    if at < 0:
        return data
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8) * 300
    block = b"II*\0" + struct.pack("<IH", 8, 300) + entry + struct.pack("<I", 8)
    return data[:at] + block + data[at:]


BLOWS: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncation": _truncate,
    "bit flips": _flip,
    "4 GB lengths": _length,
    "nested chunks": _nest,
    "zip bombs": _bomb,
    "recursive XMP": _xml,
    "hostile JSON": _json,
    "many chunks": _many,
    "EXIF loops": _loop,
}
"""By name."""


# --- the command -------------------------------------------------------------------------------


def megabytes() -> float:
    """Return the most memory that this process has held."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


@click.command()
@click.option("--count", default=10_000, show_default=True, help="Mutants.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def main(count: int, seed: int) -> None:
    """Read the claims of mutants, and print the worst of them."""
    from tests.provenance.made import seeds

    files = seeds()
    for data in files:  # wake every reader before memory is measured
        read_claims(open_source(data))
    before, worst, over = megabytes(), Cost((), 0.0, 0), Counter[str]()
    ended: Counter[bool] = Counter()
    for blows, data in mutants(files, count, seed):
        cost = cost_of(blows, data)
        ended[cost.claims > 0] += 1
        worst = max(worst, cost, key=lambda one: one.seconds)
        if cost.seconds > MOST_SECONDS:
            over.update(blows)
    print(
        f"{count} mutants of {len(files)} files: {ended[True]} ended in claims or a named silence"
    )
    print(
        f"slowest: {worst.seconds:.3f} s ({', '.join(worst.blows)}); {over.total()} over the limit"
    )
    print(f"memory: {megabytes() - before:.0f} MB above the start, for all of them together")
    if ended[False] or over or megabytes() - before > MOST_MEGABYTES:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
