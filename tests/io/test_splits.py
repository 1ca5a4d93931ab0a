import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.errors import TooFewPhotos
from veridical.io import splits
from veridical.io.samples import Label, Sample
from veridical.io.splits import near_duplicates, split_groups, subsample

SHARES = {"fit": 0.7, "validation": 0.15, "calibration": 0.15}
LABELS: list[Label] = ["real", "ai"]


def sample(n: int, label: Label, source: str, group: str) -> Sample:
    return Sample(path=Path(f"{n}.jpg"), label=label, source=source, generator="", group=group)


@st.composite
def data_sets(draw: st.DrawFn) -> list[Sample]:
    """Groups of any size, some with both classes in them, and enough of each class to deal."""
    cells = st.sampled_from(LABELS), st.sampled_from(["s0", "s1", "s2"])
    rows = draw(st.lists(st.tuples(*cells, st.integers(0, 15)), max_size=60))
    rows += [(label, "s3", 100 * i + j) for i, label in enumerate(LABELS, 1) for j in (1, 2, 3)]
    return [sample(n, label, s, f"g{group}") for n, (label, s, group) in enumerate(rows)]


@settings(deadline=None)
@given(data_sets(), st.integers(), st.randoms(use_true_random=False))
def test_each_sample_lies_in_one_part_each_group_too_whatever_the_order(
    samples: list[Sample], seed: int, chance: random.Random
) -> None:
    parts = split_groups(samples, shares=SHARES, seed=seed)
    dealt = [sample for part in parts.values() for sample in part]
    assert sorted(s.path for s in dealt) == sorted(s.path for s in samples)
    where = {(sample.group, name) for name, part in parts.items() for sample in part}
    assert len(where) == len({sample.group for sample in samples})
    assert all({sample.label for sample in part} == {"real", "ai"} for part in parts.values())
    shuffled = chance.sample(samples, len(samples))
    assert split_groups(shuffled, shares=SHARES, seed=seed) == parts


@settings(deadline=None)
@given(data_sets(), st.dictionaries(st.integers(0, 65), st.integers(0, 40)), st.integers(0, 9))
def test_near_duplicates_lie_in_one_part_through_any_number_of_steps(
    samples: list[Sample], low: dict[int, int], seed: int
) -> None:
    samples += [
        sample(100 + n, "real" if n % 2 else "ai", "s4", f"lone{n}") for n in range(8)
    ]  # without a hash, so there is something to deal when all others are joined
    hashes = {Path(f"{n}.jpg"): value for n, value in low.items()}
    parts = split_groups(samples, shares=SHARES, seed=seed, hashes=hashes, distance=2)
    home = {sample.path: name for name, part in parts.items() for sample in part}
    for one, other in itertools.combinations(home.keys() & hashes.keys(), 2):
        if (hashes[one] ^ hashes[other]).bit_count() <= 2:
            assert home[one] == home[other]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(LABELS), st.sampled_from("abcdef")), st.integers(1, 40)
    ),
    st.integers(0, 99),
)
def test_lone_pictures_are_dealt_to_within_two_of_each_sources_share(
    sizes: dict[tuple[Label, str], int], seed: int
) -> None:
    sizes |= {("real", "base"): 20, ("ai", "base"): 20}
    cells = [cell for cell, size in sizes.items() for _ in range(size)]
    samples = [sample(n, label, source, f"g{n}") for n, (label, source) in enumerate(cells)]
    for name, part in split_groups(samples, shares=SHARES, seed=seed).items():
        got = Counter((sample.label, sample.source) for sample in part)
        for (label, source), size in sizes.items():
            assert abs(got[label, source] - SHARES[name] * size) <= len(SHARES) - 1 + 1e-9


def test_three_groups_a_class_are_enough_for_three_parts_and_two_are_not() -> None:
    labels: list[Label] = ["real", "real", "real", "ai", "ai", "ai"]
    enough = [sample(n, label, "s", f"g{n}") for n, label in enumerate(labels)]
    parts = split_groups(enough, shares=SHARES, seed=0)
    assert [len(part) for part in parts.values()] == [2, 2, 2]
    with pytest.raises(TooFewPhotos, match="2 independent groups of real pictures, for 3 parts"):
        split_groups(enough[1:], shares=SHARES, seed=0)
    copies = dict.fromkeys([enough[0].path, enough[1].path], 0)
    with pytest.raises(TooFewPhotos, match="2 independent groups of real"):
        split_groups(enough, shares=SHARES, seed=0, hashes=copies)


def test_another_seed_is_another_split() -> None:
    samples = [sample(n, "real" if n % 2 else "ai", "s", f"g{n}") for n in range(60)]
    parts = [split_groups(samples, shares=SHARES, seed=seed)["fit"] for seed in range(5)]
    assert len(set(parts)) == 5


def test_a_split_does_not_depend_on_where_the_data_lies() -> None:
    here = [sample(n, "real" if n % 2 else "ai", "s", f"g{n}") for n in range(60)]
    there = [
        Sample(path=Path("/mnt") / s.path, label=s.label, source="s", generator="", group=s.group)
        for s in here
    ]
    names = [
        {s.path.name for s in split_groups(data, shares=SHARES, seed=3)["fit"]}
        for data in (here, there)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    "shares", [{}, {"a": 0.5, "b": 0.4}, {"a": 1.0, "b": 0.0}, {"a": float("nan")}]
)
def test_shares_that_are_no_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        split_groups([], shares=shares, seed=0)


# --- near-duplicates -------------------------------------------------------------------------


def brute(hashes: list[int], distance: int) -> set[tuple[int, int]]:
    pairs = itertools.combinations(range(len(hashes)), 2)
    return {(i, j) for i, j in pairs if (hashes[i] ^ hashes[j]).bit_count() <= distance}


def components(count: int, pairs: set[tuple[int, int]]) -> set[frozenset[int]]:
    of = {i: {i} for i in range(count)}
    for i, j in pairs:
        if of[i] is not of[j]:
            of[i] |= of[j]
            of.update(dict.fromkeys(of[j], of[i]))
    return {frozenset(group) for group in of.values()}


bits = st.sets(st.integers(0, 63), max_size=5).map(lambda places: sum(1 << n for n in places))
kin = st.tuples(st.sampled_from([0, 2**64 - 1, 0xDEADBEEF12345678]), bits)
kindred = st.lists(kin.map(lambda pair: pair[0] ^ pair[1]) | st.integers(0, 2**64 - 1), max_size=50)


@pytest.mark.parametrize("crowd", [1, 256])
@settings(deadline=None)
@given(hashes=kindred, distance=st.integers(0, 8))
def test_bands_find_what_comparing_all_pairs_finds(
    crowd: int, hashes: list[int], distance: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_CROWD", crowd)
        distinct = list(dict.fromkeys(hashes))
        found = near_duplicates(distinct, distance=distance)
        assert found == sorted(brute(distinct, distance))
        linked = set(near_duplicates(hashes, distance=distance))
    wanted = brute(hashes, distance)
    assert linked <= wanted
    assert components(len(hashes), linked) == components(len(hashes), wanted)


def test_at_the_largest_distance_only_opposites_are_not_near() -> None:
    assert near_duplicates([0, 2**64 - 1, 5], distance=63) == [(0, 2), (1, 2)]


def test_copies_are_chained_and_not_paired_each_with_each() -> None:
    assert near_duplicates([7] * 20_000) == [(n, n + 1) for n in range(19_999)]


def test_a_crowd_in_one_band_is_searched_by_its_other_bits() -> None:
    chance = random.Random(0)
    hashes = [chance.getrandbits(48) for _ in range(20_000)]  # the highest band is 0 in all
    hashes[7] = hashes[3] ^ 0b111
    assert (3, 7) in near_duplicates(hashes)


@pytest.mark.parametrize(("hashes", "distance"), [([-1], 3), ([1 << 64], 3), ([0], -1), ([0], 64)])
def test_what_is_no_hash_or_no_distance_is_refused(hashes: list[int], distance: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        near_duplicates(hashes, distance=distance)


def test_thinning_leaves_the_small_alone_and_draws_from_the_large() -> None:
    many = [sample(n, "real", "large", f"g{n}") for n in range(50)]
    few = [sample(n, "ai", "small", f"g{n}") for n in range(50, 57)]
    kept = subsample([*many, *few], 20, seed=1)
    assert [s for s in kept if s.source == "small"] == few
    drawn = [s for s in kept if s.source == "large"]
    assert len(drawn) == 20
    assert drawn == [s for s in many if s in set(drawn)]  # the order stays
    assert kept == subsample([*many, *few], 20, seed=1)
    assert kept != subsample([*many, *few], 20, seed=2)
    with pytest.raises(ValueError, match="At least one"):
        subsample(many, 0, seed=1)
