import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.engines import Serial, Threads
from veridical.errors import Confounded, OneClassOnly
from veridical.io.samples import Label, Sample
from veridical.train.audit import Audit, audit, refuse_confounded, sentence
from veridical.train.audit_files import AUDIT, markdown, record
from veridical.train.facts import PROBES, STAGES, Observed, Probe, Stage
from veridical.train.probes import FEWEST, REFUSE, Case, Fact, Finding, Typical, ask
from veridical.vision.crop import CropConfig
from veridical.vision.faces import Face

pytest.importorskip("sklearn")
pytest.importorskip("imagehash")

CROP = CropConfig(size_px=64)
COUNT = 40  # pictures per class
Painter = Callable[..., ndarray]
Place = Callable[[np.random.Generator, Label], tuple[float, float, float, float]]


class MagentaFinder:
    """Finds the one magenta rectangle; no gradient has its colour."""

    name = "magenta"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        red, green, blue = np.moveaxis(np.asarray(image).astype(int), 2, 0)
        rows, columns = np.nonzero((red > 240) & (green < 40) & (blue > 240))
        if not rows.size:
            return ()
        left, top = float(columns.min()), float(rows.min())
        across, down = float(np.ptp(columns)) + 1, float(np.ptp(rows)) + 1
        box = Box(left=left, top=top, width=across, height=down)
        return (Face(box=box, landmarks=((left, top),) * 5, score=1.0),)


def anywhere(draw: np.random.Generator, _label: Label) -> tuple[float, float, float, float]:
    side = draw.integers(36, 56)
    return (*draw.integers(4, 60, 2), side, side + 8)


@dataclass(frozen=True)
class Album:
    """Paints labelled pictures in which the classes differ in nothing but what is asked for."""

    folder: Path
    painter: Painter

    def __call__(
        self,
        *,
        count: int = COUNT,
        place: Place = anywhere,
        kinds: tuple[str, str] = ("png", "png"),
        brighter: int = 0,
        seed: int = 0,
    ) -> list[Sample]:
        draw = np.random.default_rng(seed)
        found = []
        for number in range(2 * count):
            label: Label = "ai" if number % 2 else "real"
            pixels = self.painter(128, 128, seed=int(draw.integers(2**31))).astype(int)
            pixels = np.clip(pixels + (brighter if label == "ai" else 0), 0, 237).astype(np.uint8)
            left, top, width, height = map(int, place(draw, label))
            pixels[top : top + height, left : left + width] = (255, 0, 255)
            path = self.folder / f"{seed}-{number}.{kinds[number % 2]}"
            if path.suffix == ".jpg":
                Image.fromarray(pixels).save(path, quality=92, subsampling=0)
            else:
                Image.fromarray(pixels).save(path)
            found.append(
                Sample(path=path, label=label, source=label, generator="", group=str(number))
            )
        return found


@pytest.fixture
def album(painter: Painter, tmp_path: Path) -> Album:
    return Album(tmp_path, painter)


def audited(samples: Sequence[Sample], **changes: Any) -> Audit:
    options: dict[str, Any] = {
        "finder": MagentaFinder(),
        "configs": [CROP],
        "views": 2,
        "engine": Threads(2),
    }
    return audit(samples, **(options | changes))


def at(found: Audit, stage: Stage, probe: Probe) -> Finding:
    (one,) = (one for one in found.findings if (one.stage, one.probe) == (stage, probe))
    return one


# --- guilt and innocence --------------------------------------------------------------------


@pytest.mark.slow
def test_classes_that_differ_in_nothing_are_not_told_apart(album: Album) -> None:
    found = audited(album(count=100))
    assert len(found.findings) == len(STAGES) * len(PROBES)
    assert not found.not_applicable
    assert not found.refusals
    assert sum(f.warns for f in found.findings) <= 1  # nine questions, asked at 95 %
    values = [finding.auroc.value for finding in found.findings]
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)
    refuse_confounded(found)
    assert "refuses" not in markdown(found)
    calm = replace(found, findings=tuple(one for one in found.findings if not one.warns))
    assert "No probe could tell the classes apart." in markdown(calm)


@pytest.mark.slow
def test_a_format_of_each_class_is_caught_and_named(album: Album) -> None:
    found = audited(album(kinds=("jpg", "png")))
    guilty = at(found, "raw", "file")
    assert guilty.auroc.value > 0.99
    assert (guilty.warns, guilty.refuses) == (True, True)
    fact = next(fact for fact in guilty.facts if fact.name == "format")
    assert fact.auroc == 1.0
    assert sentence(fact) == (
        "AI pictures are PNG (100 %), real ones JPEG (100 %): re-encode both classes alike"
    )
    assert sentence(fact) in markdown(found)
    assert [one.probe for one in found.refusals] == ["file"]
    assert not at(found, "raw", "framing").warns
    # Encoded anew, a crop does not tell how its picture came.
    assert not at(found, "view", "file").warns
    with pytest.raises(Confounded) as caught:
        refuse_confounded(found)
    assert "AI pictures are PNG (100 %)" in caught.value.message
    assert "`allow_confounds`" in caught.value.hint
    assert "--allow-confounds" in (caught.value.cli_hint or "")


def test_centred_faces_of_one_class_are_caught_and_named_and_cutting_mends_it(
    album: Album,
) -> None:
    def centred(draw: np.random.Generator, label: Label) -> tuple[float, float, float, float]:
        if label == "ai":
            return (42.0, 38.0, 44.0, 52.0)
        return (*draw.choice([4.0, 76.0], 2), 44.0, 48.0)

    found = audited(album(place=centred))
    guilty = at(found, "raw", "framing")
    assert guilty.refuses
    assert not at(found, "raw", "file").refuses
    page = markdown(found)
    assert "stops training" in page
    assert "crop both classes alike" in page
    assert any("space" in fact.name or "centre" in fact.name for fact in guilty.facts)
    after = at(found, "cut", "framing").auroc
    assert after.value <= guilty.auroc.value


def test_a_studio_of_one_class_is_caught_and_named(album: Album) -> None:
    found = audited(album(brighter=150))
    guilty = at(found, "raw", "background")
    assert guilty.refuses
    assert all("background" in sentence(f) or "brightness" in sentence(f) for f in guilty.facts)
    assert "add pictures with the background of the other class" in markdown(found)
    assert not at(found, "raw", "framing").warns


# --- how it asks ------------------------------------------------------------------------------


def sighted(facts: ndarray, truth: ndarray, groups: Sequence[int], hashes: Sequence[int]) -> Case:
    """A case of one made-up fact."""
    seen = [
        (
            Sample(
                path=Path(f"{n}.png"),
                label="ai" if is_ai else "real",
                source="made up",
                generator="",
                group=str(group),
            ),
            Observed(hash=bits, facts={("raw", "file"): {"width": float(fact)}}),
        )
        for n, (fact, is_ai, group, bits) in enumerate(
            zip(facts, truth, groups, hashes, strict=True)
        )
    ]
    return Case.of(seen, 0)


def far(count: int) -> list[int]:
    """Hashes of pictures that are not alike."""
    draw = np.random.default_rng(1)
    return [int(bits) for bits in draw.integers(0, 2**63, count)]


@pytest.mark.parametrize("kin", ["groups", "near-duplicates"])
def test_what_belongs_together_is_on_one_side_of_every_fold(kin: str) -> None:
    """Each cluster has a width of its own, which says nothing about others, and everything
    about its copies.
    """
    copies, clusters = 6, 4 * FEWEST
    draw = np.random.default_rng(0)
    widths = draw.permutation(clusters).repeat(copies)
    truth = draw.permutation(np.arange(clusters) % 2 == 0).repeat(copies)
    one_each = list(range(clusters * copies))
    together = [n // copies for n in one_each]
    hashes = far(clusters)
    case = (
        sighted(widths, truth, together, far(len(one_each)))
        if kin == "groups"
        else sighted(widths, truth, one_each, [hashes[n] for n in together])
    )
    alone = sighted(widths, truth, one_each, far(len(one_each)))
    leaky, found = ask("file", "raw", alone), ask("file", "raw", case)
    assert isinstance(leaky, Finding)
    assert isinstance(found, Finding)
    assert leaky.auroc.value > 0.95
    assert found.auroc.low < 0.5 < found.auroc.high + 0.05
    assert found.auroc.high - found.auroc.low > 1.5 * (leaky.auroc.high - leaky.auroc.low)


@pytest.mark.slow
def test_noise_in_the_smallest_set_that_is_audited_never_stops_training() -> None:
    values = []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        truth = np.arange(2 * FEWEST) % 2 == 0
        count = len(truth)
        case = sighted(draw.normal(size=count), truth, range(count), far(count))
        found = ask("file", "raw", replace(case, seed=seed))
        assert isinstance(found, Finding)
        assert not found.refuses
        values.append(found.auroc.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)


def test_a_perfect_confound_in_the_smallest_set_does_stop_it() -> None:
    truth = np.arange(2 * FEWEST) % 2 == 0
    case = sighted(np.where(truth, 512, 1024), truth, range(len(truth)), far(len(truth)))
    found = ask("file", "raw", case)
    assert isinstance(found, Finding)
    assert found.refuses
    assert found.auroc.low > REFUSE


def test_too_few_pictures_are_not_audited_and_stop_nothing(album: Album) -> None:
    found = audited(album(count=FEWEST - 1, kinds=("jpg", "png")))
    assert not found.findings
    assert len(found.not_applicable) == len(STAGES) * len(PROBES)
    assert all(one.because.startswith("too few to audit") for one in found.not_applicable)
    assert f"{FEWEST - 1} real and {FEWEST - 1} AI-generated" in found.not_applicable[0].because
    refuse_confounded(found)
    assert "too few to audit" in markdown(found)
    assert "Nothing could be measured" in markdown(found)


def test_without_background_only_that_probe_is_silent(album: Album) -> None:
    def filling(_draw: np.random.Generator, _label: Label) -> tuple[float, float, float, float]:
        return (4.0, 4.0, 120.0, 120.0)

    found = audited(album(place=filling))
    assert [(one.stage, one.probe) for one in found.not_applicable][:1] == [("raw", "background")]
    assert "with enough background" in found.not_applicable[0].because
    assert ("raw", "file") in {(one.stage, one.probe) for one in found.findings}
    assert "not measured" in markdown(found)


def test_what_is_left_out_is_counted(album: Album) -> None:
    samples = album()
    Image.new("RGB", (64, 64)).save(samples[0].path)
    samples[3].path.write_bytes(b"")
    found = audited(samples)
    assert (found.given, found.real, found.ai) == (2 * COUNT, COUNT - 1, COUNT - 1)
    assert (found.faceless, found.unreadable) == (1, 1)
    with pytest.raises(OneClassOnly, match="0 real and 0 AI-generated pictures can be read"):
        audited([replace(s, path=Path("nowhere.png")) for s in samples])


def test_at_most_so_many_are_drawn_half_of_each_class(album: Album) -> None:
    found = audited(album(count=12), sample=20)
    assert (found.given, found.real, found.ai) == (24, 10, 10)


def test_the_reference_s_recipe_sees_frames_without_a_face_too(album: Album) -> None:
    samples = album(kinds=("jpg", "png"))
    for sample in samples[::20]:
        Image.new("RGB", (64, 64), "white").save(sample.path)
    found = audited(samples, configs=[CropConfig(size_px=64, through_px=48, whole=True)], views=1)
    assert (found.faceless, found.real, found.ai) == (0, COUNT, COUNT)
    assert {one.stage for one in found.findings} == {"raw", "cut"}
    assert at(found, "raw", "file").refuses


@pytest.mark.slow
def test_equal_seeds_give_equal_audits_on_any_engine(album: Album) -> None:
    samples = album(count=FEWEST)
    one = audited(samples, engine=Serial())
    assert one == audited(samples, engine=Threads(3))
    assert one.findings != audited(samples, seed=1).findings


# --- as told ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_record_has_the_published_shape(album: Album) -> None:
    found = audited(album(kinds=("jpg", "png"), count=FEWEST))
    told = json.loads(json.dumps(record(found), allow_nan=False))
    assert told["schema"] == AUDIT
    assert list(told) == [
        *("schema", "seed", "given", "real", "ai", "faceless", "unreadable"),
        *("findings", "not_applicable"),
    ]
    for entry, finding in zip(told["findings"], found.findings, strict=True):
        assert (entry["probe"], entry["stage"]) == (finding.probe, finding.stage)
        value, low, high = entry["auroc"]
        assert low <= value <= high
        assert (entry["warns"], entry["refuses"]) == (finding.warns, finding.refuses)
        assert [fact["name"] for fact in entry["facts"]] == [fact.name for fact in finding.facts]
        assert all(0.5 <= fact["auroc"] <= 1 for fact in entry["facts"])
    (shape,) = (fact for fact in told["findings"][0]["facts"] if fact["name"] == "format")
    assert shape["ai"] == {"value": "PNG", "share": 1.0}
    assert "re-encode" in shape["says"]
    few = json.loads(json.dumps(record(audited(album(count=2, seed=9)))))
    assert few["not_applicable"][0].keys() == {"probe", "stage", "because"}


@pytest.mark.parametrize(
    ("value", "says"), [(0.6234, "0.623"), (1024.0, "1,024"), (0.0, "0"), (12.34, "12.3")]
)
def test_numbers_are_told_with_three_figures(value: float, says: str) -> None:
    typical = Typical(value=value)
    assert f"are {says} px wide" in sentence(
        Fact(name="width", auroc=0.9, real=typical, ai=typical)
    )
