"""What the comparison of tuned and frozen blocks leaves out, and its table."""

from pathlib import Path

import numpy as np
import pytest

from veridical.io.samples import Label, Sample

pytest.importorskip("torch")

from benchmarks.generalisation import REALS
from benchmarks.tuning import page, rounds


def pictures() -> list[Sample]:
    def some(label: Label, source: str, generator: str, count: int) -> list[Sample]:
        return [
            Sample(
                path=Path(f"{source}-{generator}-{i}"),
                label=label,
                source=source,
                generator=generator,
                group=f"{source}-{i}",
            )
            for i in range(count)
        ]

    found = [one for source in REALS for one in some("real", source, "", 3)]
    for number in range(8):
        found += some("ai", f"web-{number}", f"generator-{number}", 15)
    # Reconstructions stand in the group of the photo that they were made from.
    found += some("ai", next(iter(REALS)), "taef2", 3)
    return [*found, *some("ai", "few", "rare", 3)]


def test_every_generator_and_every_family_of_reals_is_left_out_once_with_its_relatives() -> None:
    samples = pictures()
    found = rounds(samples)
    assert sorted(name for one in found for name in one.generators) == [
        f"generator-{number}" for number in range(8)
    ]
    assert sorted(one.reals for one in found) == sorted(set(REALS.values()))
    for one in found:
        judged = [samples[i] for i in one.judged]
        learnt = [samples[i] for i in one.learnt]
        assert {s.generator for s in judged if s.label == "ai"} == set(one.generators)
        assert {REALS[s.source] for s in judged if s.label == "real"} == {one.reals}
        assert not {s.group for s in judged} & {s.group for s in learnt}
    twins = [i for i, one in enumerate(samples) if one.generator == "taef2"]
    assert sum(bool(np.isin(twins, one.learnt).all()) for one in found) == 3


def test_the_frozen_network_has_one_row_and_ways_have_one_per_number_of_pictures() -> None:
    def ran(*means: float) -> list[dict[str, object]]:
        return [{"pictures": 640 * i, "auroc": {"a": m, "b": m}} for i, m in enumerate(means)]

    lines = page({"norms": [ran(0.8, 0.81), ran(0.7, 0.6)], "low rank": [ran(0.8, 0.9)] * 2})
    assert lines.splitlines()[2:] == [
        "| nothing | 0 | 0.800 | 0.700 | 0.750 |",
        "| norms | 640 | 0.810 | 0.600 | 0.705 |",
        "| low rank | 640 | 0.900 | 0.900 | 0.900 |",
    ]
