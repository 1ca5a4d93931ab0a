"""The curve of what more data would bring: what a share of it is, and the table."""

import pytest

pytest.importorskip("torch")

from benchmarks.fitting import PSEUDO
from benchmarks.learning import AXES, page, parts, settings

from tests.benchmarks.test_tuning import pictures


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_share_of_the_generators_keeps_all_photos_and_a_share_of_sources_their_twins(
    share: float,
) -> None:
    samples = pictures()
    real = [sample.label == "real" for sample in samples]
    twin = [sample.generator in PSEUDO for sample in samples]
    kept = parts(samples, share, AXES[0], 0)
    assert kept[real].all()
    assert kept[twin].all()
    names = {one.generator for one, own in zip(samples, kept, strict=True) if own} - {"", *PSEUDO}
    assert len(names) == round(share * 9)
    kept = parts(samples, share, AXES[1], 0)
    chosen = {one.source for one, own, r in zip(samples, kept, real, strict=True) if own and r}
    assert len(chosen) == round(share * len({s.source for s in samples if s.label == "real"}))
    for one, own in zip(samples, kept, strict=True):
        if one.generator in PSEUDO:
            assert own == (one.source in chosen)
        elif one.label == "ai":
            assert own


def test_a_share_of_the_pictures_takes_whole_groups() -> None:
    samples = pictures()
    kept = parts(samples, 0.5, AXES[2], 0)
    assert 0.3 < kept.mean() < 0.7
    own = {one.group for one, k in zip(samples, kept, strict=True) if k}
    assert all(k == (one.group in own) for one, k in zip(samples, kept, strict=True))
    assert (parts(samples, 0.5, AXES[2], 1) != kept).any()


def test_the_table_has_a_row_per_axis_and_one_column_for_everything() -> None:
    found: dict[tuple[str, float], list[float]] = {}
    for axis, share, _ in settings(2):
        found.setdefault((axis, share), []).append(share / 2)
    lines = page(found).splitlines()
    assert lines[0] == "| share of the | 25% | 50% | 100% |"
    assert lines[2:] == [f"| {axis} | 0.125 | 0.250 | 0.500 |" for axis in AXES]
