"""Groups of the same picture in other bytes: perceptual hashes that differ in few bits.

Two of 64 bits that differ in at most four agree in at least one of five bands of bits, so only
hashes that share a band are compared (Norouzi et al., "Fast Exact Search in Hamming Space with
Multi-Index Hashing", arXiv:1307.2982, section 2).
"""

from itertools import pairwise

import numpy as np

from veridical.arrays import ndarray

MOST_BITS = 4  # in which copies of one picture may differ
_WHOLE = 64


def groups(hashes: ndarray, most: int = MOST_BITS) -> ndarray:
    """Return the group of each hash: the place of its first member (int64).

    Whoever is near to a member of a group belongs to it.

    Args:
        hashes: Of the pictures, 64 bits each (uint64).
        most: Bits in which neighbours may differ.
    """
    if not len(hashes):
        return np.zeros(0, np.int64)
    unique, inverse = np.unique(hashes, return_inverse=True)
    parent = np.arange(len(unique))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = int(parent[at])
        return at

    edges = np.linspace(0, _WHOLE, most + 2).astype(int)
    for low, high in pairwise(edges.tolist()):
        band = (unique >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=np.uint64(2**63))).tolist()
        for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
            members = order[begin:end]
            for at, one in enumerate(members[:-1]):
                rest = members[at + 1 :]
                near = rest[np.bitwise_count(unique[rest] ^ unique[one]) <= most]
                for other in near:
                    a, b = root(int(one)), root(int(other))
                    parent[max(a, b)] = min(a, b)
    roots = np.array([root(at) for at in range(len(unique))], dtype=np.int64)[inverse]
    _, first, again = np.unique(roots, return_index=True, return_inverse=True)
    return np.asarray(first[again], dtype=np.int64)
