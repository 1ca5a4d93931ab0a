"""Does it hold on generators and cameras that it has not seen?

    python -m benchmarks.generalisation DATA/manifest.csv --work DIR
                                        [--more RECONSTRUCTIONS/manifest.csv] [--quick]

One family of generators *and* one family of real sources are left out of `train`; the head is
fitted on the rest and judges what was left out, for every pair of families. Relatives by group are
left out with them. The calibration of a pair comes from the pairs that share neither its generators
nor its real sources. Then the same with single generators left out, whose relatives stay; each
beside one family of reals, in turn.

What was found is kept in DIR. The tables go into docs/accuracy.md.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import product
from typing import Any

import numpy as np

from benchmarks.common import JOBS, even, is_ai, track
from benchmarks.fitting import PSEUDO, RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.pages import DOCS, number, publish, table
from veridical.arrays import Bool, Float, Int, ndarray
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.infer.fusion import Fusion
from veridical.infer.head import sigmoid
from veridical.io.samples import Sample
from veridical.stats import intervals, metrics
from veridical.train.features import FeatureSet
from veridical.train.fit import of_crop, refits
from veridical.train.fusion_fit import LeftOut, fit_fusion
from veridical.train.recipes import Recipe

PAGE = DOCS / "accuracy.md"
EVERY = 10  # posterior sample calibrates: a tenth of them fixes two numbers well enough
DRAWS = 1000  # of a bootstrap
FEWEST = 15  # pictures of a generator below which its row is shown and not averaged

# Who is related to whom. A family is left out as a whole.
FAMILIES = {
    name: family
    for family, names in {
        "StyleGAN": (
            "stylegan1",
            "stylegan2",
            "stylegan-undocumented",
            "stylegan2-web-undocumented",
            "stylegan2-like-undocumented",
        ),
        "Stable Diffusion 1 to XL": (
            "sd1.4",
            "sd1.5",
            "sd1-community",
            "sd2.1",
            "sdxl",
            "sdxl-base",
            "stable-diffusion-or-dall-e",
        ),
        "SD 3 and FLUX": ("sd3", "flux.1-dev", "flux.1-pro", "flux.1-schnell"),
        "2025 assistants": (
            "gemini-3-pro-image",
            "gemini-image",
            "gpt-4o-or-nano-banana",
            "grok-imagine",
            "z-image-turbo",
        ),
    }.items()
    for name in names
}
REALS = {
    source: family
    for family, sources in {
        "FFHQ": ("kaggle140k-zoya2244", "faceshq-roeishc"),
        "conferences": (
            "speakers-fossasia2017",
            "speakers-fossasia2018",
            "speakers-writethedocs",
            "people-djangocon2019",
            "community-pyladies",
        ),
        "portraits": (
            "us-house-civilserviceusa",
            "londonset-webmorphr",
            "team-allanlab",
            "unsplash-men-djbielejeski",
            "stock-human-vladmandic",
        ),
        "press and web": (
            "lfw-women-nanoralers",
            "webfaces-muxspace",
            "insightface-tests",
            "face3d-deca",
            "tv-frames-faceapi",
        ),
    }.items()
    for source in sources
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What the heads said of pictures that they, their makers and their sources never saw.

    Attributes:
        family: Of the generators left out.
        real: Family of real sources left out.
        samples: The pictures left out.
        logits: Posterior samples of the logit, by view and crop.
        sizes_px: Longer side of the face in each view, px.
    """

    family: str
    real: str
    samples: tuple[Sample, ...]
    logits: Float[ndarray, "pictures views crops samples"]
    sizes_px: Float[ndarray, "pictures views"]


def family(sample: Sample) -> str:
    """Return the family of a picture's generator, or of its source if it is real."""
    if sample.label == "ai":
        return FAMILIES.get(sample.generator, sample.generator)
    return REALS.get(sample.source, sample.source)


def holdout(
    found: FeatureSet, recipe: Recipe, seed: int = 0, *, kin: bool = True, quick: bool = False
) -> list[Held]:
    """Judge generators beside a family of reals, both unseen.

    Args:
        found: Features of all pictures.
        recipe: What to fit.
        seed: Of the fits.
        kin: Leave families of generators out, or single generators.
        quick: The first two pairs only.
    """
    of = np.array([family(s) if kin or s.label == "real" else s.generator for s in found.samples])
    ai = is_ai(found.samples)
    pseudo = np.array([sample.generator in PSEUDO for sample in found.samples])
    groups = np.array([sample.group for sample in found.samples])
    enough = [
        made for made in sorted(set(of[ai & ~pseudo])) if kin or ((of == made) & ai).sum() >= FEWEST
    ]
    reals = sorted(set(of[~ai]))
    pairs = list(product(enough, reals))
    if not kin:  # one family of reals each, in turn: there are many generators
        pairs = [(made, reals[at % len(reals)]) for at, made in enumerate(enough)]
    pairs = pairs[: 4 if quick else None]
    outs = [((of == made) & ai) | ((of == taken) & ~ai) for made, taken in pairs]
    logits: list[list[ndarray]] = [[] for _ in pairs]
    for crop in range(found.features.shape[2]):  # one after the other: their sums are large
        own = of_crop(found, crop)
        fit_without = refits(own, recipe, seed=seed)
        for at, out in enumerate(outs):
            head = fit_without(np.isin(groups, groups[out]))  # relatives go with them
            said = [[head.logits(v) for v in own.features[i, :, 0]] for i in shown(out, pseudo)]
            logits[at].append(np.array(said)[..., ::EVERY])
            print(f"Crop {crop + 1} without {' and '.join(pairs[at])}", flush=True)
    return [
        Held(
            family=made,
            real=taken,
            samples=tuple(found.samples[i] for i in shown(out, pseudo)),
            logits=np.stack(own_logits, axis=2),
            sizes_px=found.sizes_px[shown(out, pseudo)],
        )
        for (made, taken), out, own_logits in zip(pairs, outs, logits, strict=True)
    ]


def shown(out: Bool[ndarray, " n"], pseudo: Bool[ndarray, " n"]) -> Int[ndarray, " m"]:
    """Return the pictures that are judged: pseudo-fakes never are."""
    return np.flatnonzero(out & ~pseudo)


def judged(found: Sequence[Held]) -> dict[str, list[dict[str, Any]]]:
    """Calibrate each pair on the others, and measure generator by generator."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for held in found:
        others = [o for o in found if o.family != held.family and o.real != held.real]
        if not others:
            continue
        given = LeftOut(
            logits=np.concatenate([o.logits for o in others]),
            truth=np.array([s.label == "ai" for o in others for s in o.samples]),
            # Each class counts alike, and so does each pair within its class.
            weights=np.concatenate([even(is_ai(o.samples)) for o in others]),
            sizes_px=np.concatenate([o.sizes_px for o in others]),
        )
        p = fused(fit_fusion(given, RECIPE), held)
        ai = is_ai(held.samples)
        for name in sorted({s.generator for s in held.samples if s.label == "ai"}):
            mine = ~ai | np.array([s.generator == name for s in held.samples])
            rows[name].append(
                {
                    "real": held.real,
                    "n_ai": int((mine & ai).sum()),
                    "n_real": int((~ai).sum()),
                    "auroc": metrics.auroc(ai[mine], p[mine, 0]),
                    "auroc_views": float(
                        np.mean([metrics.auroc(ai[mine], p[mine, v]) for v in range(1, p.shape[1])])
                    )
                    if p.shape[1] > 1
                    else None,
                    "tpr_at_1pct_fpr": metrics.tpr_at_fpr(ai[mine], p[mine, 0], 0.01),
                    "p_ai": p[mine & ai, 0].tolist(),
                    "p_real": p[mine & ~ai, 0].tolist(),
                }
            )
    return dict(rows)


def fused(fusion: Fusion, held: Held) -> Float[ndarray, "pictures views"]:
    """Return the predictive P(ai) of every view."""
    place = np.searchsorted(fusion.edges_px, held.sizes_px, side="right")
    weights, intercepts = np.array(fusion.weights)[place], np.array(fusion.intercepts)[place]
    logits = np.einsum("pvc,pvcs->pvs", weights, held.logits.astype(np.float64))
    p: ndarray = sigmoid(logits + intercepts[..., None]).mean(axis=2)
    return p


def resampled(cells: Sequence[Mapping[str, Any]], seed: int = 0) -> Float[ndarray, " draws"]:
    """Return bootstrap draws of a generator's AUROC, the mean over the families of reals.

    AI-generated pictures are drawn once per draw, for all families alike; real ones family by
    family.
    """
    draw = np.random.default_rng(seed)
    ai = draw.multinomial(len(p := cells[0]["p_ai"]), np.full(len(p), 1 / len(p)), size=DRAWS)
    total = np.zeros(DRAWS)
    for cell in cells:
        above, real = np.array(cell["p_ai"])[:, None], np.array(cell["p_real"])[None]
        wins = (above > real) + 0.5 * (above == real)
        count = real.shape[1]
        own = draw.multinomial(count, np.full(count, 1 / count), size=DRAWS)
        total += ((ai @ wins) * own).sum(axis=1) / ai.sum(axis=1) / count
    drawn: ndarray = total / len(cells)
    return drawn


def pooled_ece(rows: Mapping[str, Sequence[Mapping[str, Any]]], bins: int = 15) -> float:
    """Return the ECE over all that was left out, each cell and each class counting alike."""
    cells = [
        (np.array(cell[f"p_{label}"]), truth)
        for own in rows.values()
        for cell in own
        for label, truth in (("ai", 1.0), ("real", 0.0))
    ]
    p = np.concatenate([own for own, _ in cells])
    gap = np.concatenate([(own - truth) / len(own) for own, truth in cells])
    place = np.minimum((p * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(place, gap)).sum() / len(cells))


def holdout_page(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the table by generator: means over the families of reals."""
    lines: list[tuple[object, ...]] = []
    means, draws = [], []
    for name, cells in rows.items():
        auroc = np.array([cell["auroc"] for cell in cells])
        few = cells[0]["n_ai"] < FEWEST
        caught = float(np.mean([cell["tpr_at_1pct_fpr"] for cell in cells]))
        views = [cell["auroc_views"] for cell in cells if cell["auroc_views"] is not None]
        drawn = resampled(cells)
        lines.append(
            (
                f"{name}{' (few)' if few else ''}",
                cells[0]["n_ai"],
                number(intervals.percentiles(float(auroc.mean()), drawn)),
                f"{np.mean(views):.3f}" if views else "–",
                f"{caught:.3f}",
            )
        )
        if not few:
            means.append((auroc.mean(), np.mean(views) if views else np.nan, caught))
            draws.append(drawn)
    if means:
        mean = np.mean(means, axis=0)
        # Other generators would have given another mean: they are drawn anew, too.
        picked = np.random.default_rng(1).integers(len(draws), size=(DRAWS, len(draws)))
        overall = np.stack(draws)[picked, np.arange(DRAWS)[:, None]].mean(axis=1)
        lines.append(
            (
                "**mean**",
                "",
                f"**{number(intervals.percentiles(float(mean[0]), overall))}**",
                *(f"**{value:.3f}**" for value in mean[1:]),
            )
        )
    header = (
        "generator, unseen",
        "pictures",
        "AUROC",
        "AUROC, shrunk and re-encoded",
        "TPR at 1 % FPR",
    )
    ece = f"ECE over all of these, each row and class alike: {pooled_ece(rows):.3f}."
    return f"{table(header, lines)}\n\n{ece}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = asked_of(__doc__)
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    detector = Detector.load(threads=1)
    samples = training_pictures(detector, given.manifest, given.more)
    samples = samples[::40] if given.quick else samples
    extractor = extractor_of(detector, given.work / "cache")
    features = extractor.extract(samples, Threads(JOBS), track)
    facts = json.dumps([extractor.fingerprint, asdict(RECIPE), len(samples)])
    mark = sha256(facts.encode()).hexdigest()[:12]
    for kin, name in ((True, "holdout"), (False, "holdout-single")):
        path = given.work / f"{name}-{mark}.json"
        if given.quick or not path.is_file():
            rows = judged(holdout(features, RECIPE, kin=kin, quick=given.quick))
            path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        page = holdout_page(json.loads(path.read_text(encoding="utf-8")))
        publish(PAGE, name, page, quick=given.quick)


if __name__ == "__main__":
    main()
