import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veridical.box import Box
from veridical.errors import DataError, TooFewPhotos
from veridical.evaluate.files import write
from veridical.evaluate.measure import SHARES, Evaluation, Outcome, Said, evaluate
from veridical.io.samples import Sample
from veridical.report import Decision, Estimate, FaceResult, Failure, Reason, Report, Verdict
from veridical.stats import metrics

FILES = {
    "evaluation.json",
    "evaluation.md",
    "predictions.csv",
    "roc.png",
    "reliability.png",
    "scores.png",
    "uncertainty.png",
}


def report(p_ai: float | None, *, model: str = "0123456789ab") -> Report:
    """A report that abstains between 0.3 and 0.7, without any model."""
    faces: tuple[FaceResult, ...] = ()
    decision, reason = Decision.UNDECIDED, Reason.NO_FACE
    if p_ai is not None:
        decision = Decision.AI if p_ai > 0.7 else Decision.REAL if p_ai < 0.3 else decision
        reason = Reason.WITHIN_COVERAGE if decision != "undecided" else Reason.BOTH_PLAUSIBLE
        verdict = Verdict(
            decision=decision,
            p_ai=p_ai,
            interval=(max(0.0, p_ai - 0.1), min(1.0, p_ai + 0.1)),
            std=0.05,
            total=p_ai * (1 - p_ai) + 0.02,
            aleatoric=p_ai * (1 - p_ai),
            epistemic=0.02 + 0.05 * p_ai * (1 - p_ai),
            distance=0.5,
        )
        box = Box(left=0.0, top=0.0, width=10.0, height=10.0)
        face = FaceResult(
            box=box,
            landmarks=(),
            confidence=0.9,
            decision=decision,
            reasons=(reason,),
            verdict=verdict,
        )
        faces = (face,)
    return Report(
        path=None,
        sha256="",
        width=10,
        height=10,
        steps=(),
        faces=faces,
        decision=decision,
        p_ai=p_ai,
        interval=faces[0].verdict.interval if faces and faces[0].verdict else None,
        reasons=(reason,),
        lead_index=0 if faces else None,
        coverage=0.9,
        coverage_of_reals=0.9,
        coverage_of_ai=0.9,
        level=0.9,
        prior=0.5,
        model=model,
        version="0.1.0",
    )


FAILED = Failure(path=None, error="x.jpg breaks off after 12 bytes.", hint="Get another copy.")


def outcome(
    label: str,
    answer: float | Report | Failure | None,
    *,
    path: str = "a.jpg",
    source: str = "album",
    generator: str = "",
    group: str = "",
) -> Outcome:
    said = answer if isinstance(answer, Report | Failure) else report(answer)
    return Outcome(
        sample=Sample(
            path=Path(path),
            label="ai" if label == "ai" else "real",
            source=source,
            generator=generator,
            group=group,
        ),
        answer=said,
    )


def population(count: int = 400, *, seed: int = 0) -> list[Outcome]:
    """Persons with four pictures each; a source of reals, one of fakes, and a mixed one."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        ai = i % 8 >= 4
        logit = rng.normal(2.5 if ai else -2.5, 2)
        answer: float | Failure | None = float(1 / (1 + np.exp(-logit)))
        if i % 50 == 0:
            answer = None
        elif i % 67 == 0:
            answer = FAILED
        made.append(
            outcome(
                "ai" if ai else "real",
                answer,
                path=f"{i}.jpg",
                source="mixed" if i % 16 < 8 else "fakes" if ai else "album",
                generator="=sd|xl" if ai and i % 2 else "gan" if ai else "",
                group=f"person {i // 4}",
            )
        )
    return made


@pytest.fixture(scope="module")
def people() -> list[Outcome]:
    return population()


@pytest.fixture(scope="module")
def evaluation(people: list[Outcome]) -> Evaluation:
    return evaluate(people, resamples=100)


def value(found: Estimate | None) -> float:
    assert found is not None
    return found.value


# --- the figures -------------------------------------------------------------------------------


def test_by_hand_ten_pictures() -> None:
    said: dict[str, list[float | Failure | None]] = {
        "real": [0.1, 0.2, 0.4, 0.9, None],
        "ai": [0.95, 0.8, 0.6, 0.05, FAILED],
    }
    ten = [outcome(label, answer) for label, answers in said.items() for answer in answers]
    card = evaluate(ten, resamples=20).overall
    assert (card.n_real, card.n_ai, card.no_face, card.failures, card.judged) == (5, 5, 1, 1, 8)
    assert card.said_of_real == Said(real=2, ai=1, undecided=1, no_face=1, failed=0)
    assert card.said_of_ai == Said(real=1, ai=2, undecided=1, no_face=0, failed=1)
    assert card.confusion == metrics.Confusion(tn=3, fp=1, fn=1, tp=3)
    assert {name: value(m) for name, m in card.metrics.items() if name in SHARES} == pytest.approx(
        {
            "real_called_ai": 1 / 4,
            "ai_called_real": 1 / 4,
            "coverage": 6 / 8,
            "error_when_decided": 2 / 6,
            "real_called_real": 2 / 4,
            "real_undecided": 1 / 4,
            "ai_called_ai": 2 / 4,
            "ai_undecided": 1 / 4,
        }
    )
    assert value(card.metrics["accuracy"]) == 6 / 8
    assert value(card.metrics["auroc"]) == (4 + 3 + 3 + 0) / 16
    assert list(card.metrics) == [*metrics.METRICS, *SHARES]


def test_the_verdict_is_that_of_the_lead_face() -> None:
    faces = tuple(one for p in (0.1, 0.9) for one in report(p).faces)
    both = replace(report(0.9), faces=faces, lead_index=1)
    found = outcome("ai", both).verdict
    assert found is not None
    assert found.p_ai == both.p_ai == 0.9
    assert outcome("ai", None).verdict is outcome("ai", FAILED).verdict is None


def test_the_scores_are_those_of_metrics_over_the_judged_pictures(
    people: list[Outcome], evaluation: Evaluation
) -> None:
    judged = [(o.is_ai, o.p_ai) for o in people if o.p_ai is not None]
    truth, p = np.array([ai for ai, _ in judged]), np.array([p for _, p in judged])
    found = evaluation.overall.metrics
    assert value(found["auroc"]) == metrics.auroc(truth, p)
    assert value(found["tpr_at_1pct_fpr"]) == metrics.tpr_at_fpr(truth, p, 0.01)
    assert value(found["nll"]) == pytest.approx(metrics.nll(truth, p))
    assert sum(b.count for b in evaluation.reliability) == len(judged)


def test_a_source_of_one_class_shows_what_one_class_can(evaluation: Evaluation) -> None:
    album, fakes, mixed = evaluation.by_source
    assert [card.name for card in evaluation.by_source] == ["album", "fakes", "mixed"]
    assert album.metrics["auroc"] is album.metrics["tpr"] is album.metrics["ai_undecided"] is None
    assert fakes.metrics["fpr"] is fakes.metrics["real_called_ai"] is None
    assert value(album.metrics["fpr"]) > 0
    assert value(fakes.metrics["tpr"]) > 0
    assert mixed.metrics["auroc"] is not None


def test_a_generator_is_measured_against_all_real_pictures(evaluation: Evaluation) -> None:
    assert [card.name for card in evaluation.by_generator] == ["=sd|xl", "gan"]
    for card in evaluation.by_generator:
        assert (card.n_real, card.n_ai) == (200, 100)
        assert card.said_of_real == evaluation.overall.said_of_real
        assert card.metrics["auroc"] is not None


def test_only_groups_with_enough_pictures_have_a_card() -> None:
    sizes = {"many": 5, "few": 4}
    some = [
        outcome("real", 0.1 + 0.1 * i, group=name) for name in sizes for i in range(sizes[name])
    ]
    found = evaluate(some, resamples=10)
    assert found.groups == 2
    assert [card.name for card in found.by_group] == ["many"]


def test_pictures_without_a_group_are_not_taken_for_one_person() -> None:
    some = [outcome("real", 0.5 + 0.01 * i, path=f"{i}.jpg") for i in range(20)]
    assert evaluate(some, resamples=10).groups == 20


def test_equal_seeds_and_outcomes_give_equal_evaluations(people: list[Outcome]) -> None:
    some = people[:80]
    assert evaluate(some, seed=1, resamples=20) == evaluate(some, seed=1, resamples=20)


@pytest.mark.parametrize("label", ["real", "ai"])
def test_one_class_is_measured_written_and_says_so(label: str, tmp_path: Path) -> None:
    some = [outcome(label, p, path=f"{p}.jpg") for p in np.linspace(0.05, 0.95, 30).tolist()]
    found = evaluate(some, resamples=50)
    assert found.overall.metrics["auroc"] is None
    assert found.overall.metrics["ece"] is None
    assert value(found.overall.metrics["fpr" if label == "real" else "tpr"]) == 0.5
    assert found.reliability == ()
    assert "which is not zero" in found.notes[0]
    write(found, some, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert "| AUROC | n/a |" in (tmp_path / "evaluation.md").read_text()


def test_where_everything_failed_the_error_says_how() -> None:
    some = [outcome("real", FAILED), outcome("ai", FAILED), outcome("ai", None)]
    with pytest.raises(TooFewPhotos, match=r"None of 3 .* 2 failed.* in 1 .*breaks off") as caught:
        evaluate(some)
    assert isinstance(caught.value, DataError)
    assert caught.value.hint == FAILED.hint
    with pytest.raises(TooFewPhotos, match="None of 0 pictures"):
        evaluate([])


def test_reports_of_two_models_are_refused_by_name() -> None:
    some = [outcome("real", report(0.1)), outcome("ai", report(0.9, model="ba9876543210"))]
    with pytest.raises(DataError, match=r"0123456789ab \(0.1.0\), ba9876543210"):
        evaluate(some)


# --- what is noted -----------------------------------------------------------------------------


def notes(outcomes: Sequence[Outcome]) -> str:
    return " ".join(evaluate(outcomes, resamples=10).notes)


def test_a_false_positive_rate_that_the_reals_cannot_resolve_is_noted() -> None:
    rng = np.random.default_rng(0)

    def mixture(reals: int) -> list[Outcome]:
        labels = ["real"] * reals + ["ai"] * 30
        return [
            outcome(label, float(rng.random()), path=f"{i}.jpg") for i, label in enumerate(labels)
        ]

    assert "0.1 % FPR cannot be resolved with 99 real" in notes(mixture(99))
    assert "TPR at 1 % FPR cannot be resolved with 99 real" in notes(mixture(99))
    assert "TPR at 1 % FPR" not in notes(mixture(100))
    assert notes(mixture(1000)) == ""


def test_an_interval_without_width_and_a_lone_group_are_noted() -> None:
    apart = [outcome("real", 0.1, path="r1"), outcome("real", 0.2, path="r2")]
    apart += [outcome("ai", 0.8, group="one"), outcome("ai", 0.9, group="one")]
    assert "not certainty" in notes(apart)
    assert "class 'ai' belong to one group" in notes(apart)
    assert "2 groups of judged pictures of the class 'real'; with fewer than 30" in notes(apart)


def test_faults_of_ours_are_noted() -> None:
    bug = replace(FAILED, bug="Traceback ...")
    some = [outcome("real", 0.1), outcome("ai", 0.9), outcome("ai", bug), outcome("ai", FAILED)]
    assert "1 of the failures are faults of this program" in notes(some)


# --- the files ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(
    people: list[Outcome], evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("written") / "new" / "folder"
    write(evaluation, people, path)
    return path


def test_all_files_are_written_and_the_plots_are_pictures(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width > 500


def test_the_json_holds_everything_in_full_precision(folder: Path, evaluation: Evaluation) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    assert next(iter(content)) == "schema"
    assert content["schema"] == "veridical.evaluation/1"
    auroc = evaluation.overall.metrics["auroc"]
    assert auroc is not None
    assert content["overall"]["metrics"]["auroc"] == {
        "value": auroc.value,
        "low": auroc.low,
        "high": auroc.high,
    }
    assert content["by_source"][0]["metrics"]["auroc"] is None
    assert content["not_judged"][0] == {"path": "0.jpg", "why": "no face"}
    missing = evaluation.overall.no_face + evaluation.overall.failures
    assert len(content["not_judged"]) == missing == 13


def test_the_markdown_begins_with_plain_words_and_the_worst_mistake(folder: Path) -> None:
    text = (folder / "evaluation.md").read_text()
    lines = text.splitlines()
    assert lines[0] == "# Evaluation of model 0123456789ab"
    assert lines[2] == "400 pictures, 200 real and 200 AI-generated; 387 could be judged."
    assert lines[4].startswith("- The worst mistake, a real picture called AI-generated: ")
    assert "**13 of 400 pictures are not in these figures**: 5 failed, and 8" in text
    assert "TPR at 0.1 % FPR cannot be resolved" in text
    assert r"| =sd\|xl |" in text
    assert "nan" not in text


def test_every_table_has_as_many_cells_in_each_row(folder: Path) -> None:
    blocks = (folder / "evaluation.md").read_text().split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert len(tables) >= 7
    for table in tables:
        assert len({row.replace(r"\|", "").count("|") for row in table}) == 1


def test_the_predictions_name_every_picture(folder: Path, people: list[Outcome]) -> None:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(o.sample.path) for o in people]
    for row, one in zip(rows, people, strict=True):
        assert (float(row["p_ai"]) if row["p_ai"] else None) == one.p_ai
    assert {row["answer"] for row in rows} == {"real", "ai", "undecided", "no_face", "failed"}
    assert rows[67]["error"] == "x.jpg breaks off after 12 bytes. Get another copy."
    assert rows[0]["reasons"] == "no_face"


def test_no_cell_runs_as_a_formula(tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t1", "\r=1", "＝1"]
    some = [outcome("real", 0.1, source=name, path=name) for name in names]
    some += [outcome("ai", 0.9, generator=name, group=name) for name in names]
    write(evaluate(some, resamples=5), some, tmp_path)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    guarded = [f"'{name}" for name in names]
    assert [row["path"] for row in rows[:8]] == [row["source"] for row in rows[:8]] == guarded
    assert [row["generator"] for row in rows[8:]] == [row["group"] for row in rows[8:]] == guarded


def test_a_strangers_names_neither_stop_the_report_nor_act_in_it(tmp_path: Path) -> None:
    wild = "<img src=x>|[a](http://b)\n# c\udcff"
    some = [
        outcome("real", 0.1, source=wild, path=wild),
        outcome("ai", 0.9, generator=wild),
        outcome("ai", FAILED, path=wild),
    ]
    write(evaluate(some, resamples=5), some, tmp_path)
    text = (tmp_path / "evaluation.md").read_text()
    assert r"\<img src=x\>\|\[a\](http://b) # c" in text
    assert "<img" not in text.replace(r"\<", "")
    assert json.loads((tmp_path / "evaluation.json").read_text())["by_source"][0]["name"] == wild


@pytest.mark.slow
def test_many_small_groups_become_a_sentence_and_the_worst_ten(tmp_path: Path) -> None:
    some = population(1200)
    joined = [
        Outcome(sample=replace(o.sample, group=f"g{i % 210}"), answer=o.answer)
        for i, o in enumerate(some)
    ]
    found = evaluate(joined, resamples=5)
    assert len(found.by_group) == 210
    write(found, joined, tmp_path)
    part = (tmp_path / "evaluation.md").read_text().split("## By group")[1].split("\n## ")[0]
    assert "210 groups, 5.7 pictures each" in part
    assert part.count("\n| g") - part.count("\n| group ") == 10
    errors = {card.name: 1 - value(card.metrics["accuracy"]) for card in found.by_group}
    names = (line.split(" ")[1] for line in part.splitlines() if line.startswith("| g"))
    shown = [errors[name] for name in names if name != "group"]
    assert sorted(shown, reverse=True) == sorted(errors.values(), reverse=True)[:10]
