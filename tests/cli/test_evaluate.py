import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Album, Run, clean_error, invoke, written
from tests.conftest import Painter
from veridical import judging
from veridical.infer.decision import Judged


@pytest.fixture
def evaluate(run: Run, tiny_model: Path, tmp_path: Path) -> Run:
    """Run `evaluate` with the tiny model and a finder that sees one face in every picture."""
    asked = ("--out", tmp_path / "results", "--resamples", 100)
    return lambda *arguments: invoke("evaluate", tiny_model, *arguments, *asked)


def test_every_picture_is_counted_and_the_figures_are_written(
    evaluate: Run, album: Album, tmp_path: Path
) -> None:
    data, results = album(real=6, ai=6), tmp_path / "results"
    Image.new("RGB", (9, 9)).save(data / "real" / "tiny.png")
    (data / "ai" / "empty.png").touch()
    done = evaluate(data)
    assert done.exit_code == 0, done.output
    page = (results / "evaluation.md").read_text(encoding="utf-8")
    assert done.stdout.startswith(page.split("\n## ")[0].strip())
    assert done.stdout.endswith(f"{results / 'evaluation.md'}\n")
    assert {"evaluation.json", "predictions.csv", "roc.png"} <= set(written(results))
    overall = json.loads((results / "evaluation.json").read_text())["overall"]
    assert (overall["n_real"], overall["n_ai"]) == (7, 7)
    assert overall["said_of_real"]["no_face"] == overall["said_of_ai"]["failed"] == 1


def test_copies_are_judged_unless_it_is_asked_not_to(
    evaluate: Run, painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Judged]()
    (data := tmp_path / "data" / "real").mkdir(parents=True)
    for n in range(12):
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=n)).save(data / f"{n}.png")

    def recheck(judged: Judged, *_: object) -> Judged:
        asked.append(judged)
        return judged

    monkeypatch.setattr(judging, "recheck", recheck)
    assert evaluate(data.parent, "--no-recheck").exit_code == 0
    assert not asked
    assert evaluate(data.parent).exit_code == 0
    assert asked


def test_one_class_is_enough_and_no_picture_is_not(
    evaluate: Run, album: Album, tmp_path: Path
) -> None:
    done = evaluate(album(real=6))
    assert done.exit_code == 0
    warning = done.stdout.index(
        "> **Warning.** All judged pictures are real: how the model does on"
    )
    assert warning < done.stdout.index("It decides")
    assert done.stdout.count("All judged pictures are real") == 1
    clean_error(evaluate(tmp_path / "nowhere"), "nothing is there")
