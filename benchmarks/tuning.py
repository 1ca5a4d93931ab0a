"""Does tuning the upper blocks of the backbone help with what it has not seen?

    python -m benchmarks.tuning DATA/manifest.csv --backbone FOLDER --work DIR
                                [--more RECONSTRUCTIONS/manifest.csv] [--rounds 2] [--steps 240]
                                [--device cpu] [--quick]

In each round a quarter of the generators and one family of real sources are left out, with their
relatives by group. The head is fitted to the rest; then the blocks behind the second one that is
read are tuned (`research.tuning`), from tokens of the face crop as delivered. The first row of each
round is the frozen network with the same head. What was found is kept in DIR, and an interrupted
run goes on. The table goes into docs/accuracy.md.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from research.tuning import Kept, Start, Tuning, Upper, logits, tuned

from benchmarks.common import JOBS, Record, is_ai, remembered, track
from benchmarks.fitting import PSEUDO, RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.generalisation import FEWEST, PAGE, REALS
from benchmarks.pages import publish, table
from veridical.arrays import Float, Int, ndarray
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.stats import metrics
from veridical.train import prepare
from veridical.train.export import TorchBackbone
from veridical.train.features import FeatureSet
from veridical.train.fit import of_crop, refits
from veridical.train.weights import cell_of, of_pictures
from veridical.vision.backbone import tokens_of

BELOW = 2  # of the blocks that are read are not tuned; tokens are kept behind the last of them
STEEP = 3.0  # mean size of the logit that a head starts with: gradients vanish where it is large


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """What is left out.

    Attributes:
        number: Counted from 0.
        generators: Left out.
        reals: Family of real sources left out.
        learnt: Pictures that are learnt from.
        judged: Pictures that are judged: those left out, without reconstructions.
    """

    number: int
    generators: tuple[str, ...]
    reals: str
    learnt: Int[ndarray, " n"]
    judged: Int[ndarray, " m"]


def rounds(samples: Sequence[Sample]) -> list[Round]:
    """Return four rounds; each generator with enough pictures is left out in one of them."""
    made = Counter(s.generator for s in samples if s.label == "ai" and s.generator not in PSEUDO)
    enough = sorted(name for name, count in made.items() if count >= FEWEST)
    groups = np.array([sample.group for sample in samples])
    found = []
    for number, reals in enumerate(dict.fromkeys(REALS.values())):
        gone = tuple(enough[number::4])
        out = np.array(
            [
                s.generator in gone if s.label == "ai" else REALS.get(s.source) == reals
                for s in samples
            ]
        )
        found.append(
            Round(
                number=number,
                generators=gone,
                reals=reals,
                learnt=np.flatnonzero(~np.isin(groups, groups[out])),
                judged=np.flatnonzero(out),
            )
        )
    return found


def tokens_behind(
    detector: Detector, samples: Sequence[Sample], cache: Path, path: Path
) -> Float[ndarray, "n sequence dim"]:
    """Return the tokens of face crops behind the last block that is not tuned; they are kept."""
    spec = detector.backbone.spec
    shape = len(samples), spec.prefix + (spec.image_px // spec.patch_px) ** 2, spec.dim
    kept = np.lib.format.open_memmap(
        path, mode="r+" if path.is_file() else "w+", dtype=np.float16, shape=shape
    )
    with prepare.opened(detector.finder, detector.parts.configs, cache) as pictures:

        def work(at: int) -> Record:
            crop = pictures.of(open_source(samples[at].path, detector.limits), 1).crops[0, 0]
            (own,) = tokens_of(detector.backbone, crop[None])
            kept[at] = np.concatenate([own.prefix[BELOW - 1], own.patches[BELOW - 1]])
            return {}

        remembered(path.with_suffix(".jsonl"), range(len(samples)), work, str)
    kept.flush()
    return kept


def told(said: Float[ndarray, " m"], samples: Sequence[Sample]) -> dict[str, float]:
    """Return the AUROC of every generator against all reals that were left out."""
    ai = is_ai(samples)
    of = np.array([sample.generator for sample in samples])
    return {
        name: metrics.auroc(ai[mine], said[mine])
        for name in sorted(set(of[ai]))
        for mine in [~ai | (of == name)]
    }


def compare(
    one: Round,
    found: FeatureSet,
    tokens: Float[ndarray, "n sequence dim"],
    net: TorchBackbone,
    tuning: Tuning,
    work: Path,
    device: str,
) -> list[Record]:
    """Tune in one round; return what was left out got, before and after."""
    own = of_crop(found, 0)
    samples, features = found.samples, own.features[:, 0, 0]
    kept_out = np.ones(len(samples), dtype=bool)
    kept_out[one.learnt] = False
    head = refits(own, RECIPE, seed=0)(kept_out)
    gradient, rest = head.gradient(head.forward(features[one.learnt[0]]))
    # The mean logit is linear in the features: logit(x) = gradient . x + rest.
    weights = gradient * head.scale
    plain = features[one.learnt] @ gradient + rest
    spec = net.spec
    start = Start(
        mean=head.mean,
        scale=head.scale,
        weights=weights.astype(np.float32),
        bias=float(rest + gradient @ head.mean),
        steepness=STEEP / float(np.abs(plain).mean()),
    )
    first = spec.layers[BELOW - 1]
    taken = [layer - first for layer in spec.layers[BELOW:]]
    upper = Upper(net.vit.encoder.layers[first : spec.layers[-1]], taken, start, tuning)
    kept = Kept(
        tokens=tokens,
        below=features[:, : 2 * BELOW * spec.dim],
        ai=is_ai(samples),
        weights=_weights(samples),
    )
    judged = [samples[i] for i in one.judged]
    upper.to(device)
    rows = [{"pictures": 0, "auroc": told(logits(upper, kept, one.judged, device), judged)}]
    name = f"{tuning.how}-{tuning.rate:g}-{tuning.steps}-round-{one.number}"
    log = work / f"{name}.jsonl"
    said = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    if said and said[-1]["pictures"] == tuning.steps * tuning.batch:
        return said
    with log.open("w", encoding="utf-8") as file:
        for row in [*rows, *said[1:]]:
            file.write(json.dumps(row) + "\n")
        for pictures, averaged in tuned(
            upper,
            kept,
            one.learnt,
            tuning,
            checkpoint=work / f"{name}.pt",
            device=device,
            say=lambda text: print(f"{name}: {text}", flush=True),
        ):
            row = {
                "pictures": pictures,
                "auroc": told(logits(averaged, kept, one.judged, device), judged),
            }
            print(f"{name}: {pictures} pictures, {_mean(row):.4f}", flush=True)
            file.write(json.dumps(row) + "\n")
            file.flush()
    return [json.loads(line) for line in log.read_text().splitlines()]


def _weights(samples: Sequence[Sample]) -> Float[ndarray, " n"]:
    """Weigh pictures by their cell, and both classes alike."""
    own, ai = of_pictures([cell_of(sample) for sample in samples]), is_ai(samples)
    weights: ndarray = np.where(ai, own / own[ai].sum(), own / own[~ai].sum())
    return weights


def _mean(row: Record) -> float:
    return float(np.mean(list(row["auroc"].values())))


def page(found: dict[str, list[list[Record]]]) -> str:
    """Return the table: a row per way and number of pictures, a column per round."""
    most = max(len(own) for own in found.values())
    lines = []
    for at, (way, own) in enumerate(found.items()):
        for rows in zip(*own, strict=True):
            if rows[0]["pictures"] == 0 and at:
                continue  # the frozen network is the same whatever is tuned
            name = way if rows[0]["pictures"] else "nothing"
            means = [_mean(row) for row in rows]
            lines.append(
                (
                    name,
                    f"{rows[0]['pictures']:,}",
                    *(f"{m:.3f}" for m in means),
                    f"{np.mean(means):.3f}",
                )
            )
    header = ("tuned", "pictures seen", *(f"round {n + 1}" for n in range(most)), "mean")
    return table(header, lines, numbers=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = asked_of(__doc__)
    parser.add_argument("--backbone", required=True, help="Hugging Face folder")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    detector = Detector.load(threads=1)
    samples = training_pictures(detector, given.manifest, given.more)
    samples = samples[::40] if given.quick else samples
    cache = given.work / "cache"
    extractor = extractor_of(detector, cache)
    found = extractor.extract(samples, Threads(JOBS), track)
    # Other pictures, or another network, have a folder of their own.
    facts = [extractor.fingerprint, *(str(sample.path) for sample in found.samples)]
    work = given.work / f"tuning-{sha256(json.dumps(facts).encode()).hexdigest()[:12]}"
    work.mkdir(parents=True, exist_ok=True)
    tokens = tokens_behind(detector, found.samples, cache, work / "tokens.npy")
    net = TorchBackbone(given.backbone, detector.backbone.spec.layers)
    ways = {
        "layer norms": Tuning(how="norms", rate=1e-3, steps=given.steps),
        "low rank": Tuning(how="lora", rate=1e-4, steps=given.steps),
    }
    results = {
        name: [
            compare(one, found, tokens, net, tuning, work, given.device)
            for one in rounds(found.samples)[: 1 if given.quick else given.rounds]
        ]
        for name, tuning in ways.items()
    }
    publish(PAGE, "tuning", page(results), quick=given.quick)


if __name__ == "__main__":
    main()
