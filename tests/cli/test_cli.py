import io
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from veridical import forensics
from veridical._version import VERSION
from veridical.arrays import ndarray
from veridical.cli import main
from veridical.cli.options import MAPS_THROUGH
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector, Finder
from veridical.io import images
from veridical.io.model import BACKBONE, CARD, TENSORS
from veridical.present import files as explained
from veridical.present import records
from veridical.report import NotApplicable
from veridical.train import make

# `explained` and `make` are loaded here: first loaded under a patch, they would keep it for good.
CHECK = jsonschema.Draft202012Validator(records.schema())
Painter = Callable[..., ndarray]
Run = Callable[..., Result]


def invoke(*arguments: object) -> Result:
    """Run a command; whatever goes wrong on purpose must end in a message, never a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.stderr
    return result


@pytest.fixture
def run(tiny_model: Path, tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `inspect` with the tiny model and a finder that sees one face in every picture."""
    monkeypatch.setattr("veridical.detector.FaceFinder", lambda _threads: tiny_detector.finder)
    return lambda *arguments: invoke("inspect", "--model", tiny_model, *arguments)


@pytest.fixture
def picture(painter: Painter) -> Callable[[Path], Path]:
    """Paint a picture that can be judged; another name, another picture."""

    def picture(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(str(path).encode("utf-8", "surrogateescape"))
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=seed)).save(path)
        return path

    return picture


Picture = Callable[[Path], Path]


def answers(result: Result) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    for entry in entries:
        CHECK.validate(entry)
    return entries


def clean_error(result: Result, *parts: str) -> None:
    """One message on standard error: what came, and what to do."""
    assert result.exit_code == 1
    assert result.stdout == ""
    error, hint = result.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert hint.startswith("  ")
    for part in parts:
        assert part in error


# --- inspect ------------------------------------------------------------------------------------


def test_one_picture_is_answered_for_people(run: Run, picture: Picture, tmp_path: Path) -> None:
    result = run(picture(tmp_path / "a.jpg"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "P(ai)" in result.stdout
    assert "90 % credible interval" in result.stdout
    assert "pictures in all" not in result.stdout
    assert "SHA-256" not in result.stdout
    assert "SHA-256" in run(tmp_path / "a.jpg", "--verbose").stdout


def test_many_pictures_are_counted(run: Run, picture: Picture, tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.jpg")
    (tmp_path / "c.jpg").touch()
    result = run(tmp_path)
    assert result.exit_code == 3
    counted = result.stdout.splitlines()[-1].split()
    assert counted == ["pictures", "in", "all", "3"]


def test_json_is_one_object_per_line_in_the_order_asked(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    names = ["c.jpg", "absent.jpg", "a.png", "b.webp", "c.jpg"]
    paths = [tmp_path / name for name in names]
    for path in (paths[0], *paths[2:4]):
        picture(path)
    for jobs in (1, 2):
        result = run("--json", "--jobs", jobs, *paths)
        assert (result.exit_code, result.stderr) == (3, "")
        entries = answers(result)
        assert [entry["path"] for entry in entries] == [str(path) for path in paths]
        assert entries[0] == entries[4]


def test_a_folder_is_searched_in_the_order_of_names(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    below = ["a/2.jpg", "a/10.jpg", "b.JPG", "c/d/e.png"]
    for name in below:
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    result = run("--json", tmp_path)
    assert result.exit_code == 0
    found = [Path(entry["path"]).relative_to(tmp_path).as_posix() for entry in answers(result)]
    assert found == ["a/10.jpg", "a/2.jpg", "b.JPG", "c/d/e.png"]


def test_the_answer_is_the_detector_s(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (faces,) = answers(run("--json", path))
    (frame,) = answers(run("--json", "--whole-image", path))
    (fewer,) = answers(run("--json", "--samples", 5, path))
    assert "whole_image" in frame["reasons"]
    assert frame["p_ai"] != faces["p_ai"] != fewer["p_ai"]
    assert (faces["coverage"], faces["level"]) == (0.9, 0.9)


def test_copies_are_looked_at_unless_it_is_asked_not_to(
    run: Run, painter: Painter, tmp_path: Path
) -> None:
    for n in range(12):
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=n)).save(tmp_path / f"{n}.png")
    plain, tried = (answers(run("--json", option, tmp_path)) for option in ("--no-stability", "-v"))
    assert not any(entry["faces"][0]["stability"] for entry in plain)
    decided = [entry["decision"] != "undecided" for entry in plain]
    assert [entry["faces"][0]["stability"] is not None for entry in tried] == decided
    assert 0 < sum(decided) < len(decided)
    assert [entry["p_ai"] for entry in plain] == [entry["p_ai"] for entry in tried]


def test_a_prior_is_told_beside_the_answer_and_leaves_it_alone(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.png")
    (plain,) = answers(run("--json", path))
    (rare,) = answers(run("--json", "--prior", 0.01, path))
    assert (plain["prior"], plain["at_prior"]) == (0.5, None)
    at = rare.pop("at_prior")
    assert {**rare, "at_prior": None} == plain
    odds = 0.01 / 0.99 * plain["p_ai"] / (1 - plain["p_ai"])
    assert at["p_ai"] == pytest.approx(odds / (1 + odds))
    assert at["predictive"] is None
    told = run("--prior", 0.01, path, tmp_path / "none.jpg")
    assert told.exit_code == 3
    assert "P(ai) presumes 50 % AI-generated pictures. At 1 % it is" in " ".join(
        told.stdout.split()
    )
    assert "error rates of this model were not measured" in " ".join(told.stdout.split())


# --- what cannot be judged ----------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large, and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "zero bytes"),
    "truncated.jpg": (jpeg()[:1500], "cannot be decoded"),
    "text.jpg": (b"This is not an image.\n", "is text"),
    "page.png": (b"<!DOCTYPE html><html>404</html>", "HTML page"),
    "wide.png": (png_of(30_000, 1), "30000 x 1 px"),
    "bomb.png": (png_of(60_000, 60_000), "60000 x 60000 px"),
    "heif.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "begins like a HEIF file"),
}


@pytest.fixture
def bad(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in BAD]


def test_each_bad_picture_is_named_and_the_others_are_still_judged(
    run: Run, picture: Picture, bad: list[Path], tmp_path: Path
) -> None:
    good = picture(tmp_path / "good.jpg")
    mixed = [path for wrong in bad for path in (wrong, good)]
    result = run("--json", *mixed, tmp_path / "absent.jpg")
    assert result.exit_code == 3
    *entries, absent = answers(result)
    for wrong, right, (name, (_, says)) in zip(
        entries[::2], entries[1::2], BAD.items(), strict=True
    ):
        assert wrong["schema"] == records.FAILURE
        assert Path(wrong["path"]).name == name
        assert wrong["error"].startswith(f"{wrong['path']}: ")
        assert says in wrong["error"]
        assert wrong["hint"]
        assert "bug" not in wrong
        assert right == entries[1]
        assert right["schema"] == records.REPORT
    assert "no such file" in absent["error"]


def test_if_no_picture_can_be_read_the_status_is_another(run: Run, bad: list[Path]) -> None:
    result = run("--json", *bad)
    assert result.exit_code == 4
    assert len(answers(result)) == len(bad)
    told = run(bad[0])
    assert told.exit_code == 4
    assert "Zero bytes came." in told.stdout
    assert "Get the file again." in told.stdout


def test_odd_pictures_are_judged_all_the_same(
    run: Run, picture: Picture, painter: Painter, tmp_path: Path
) -> None:
    frames = [Image.fromarray(painter(64, 64, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "animated.gif", save_all=True, append_images=frames[1:])
    picture(tmp_path / "honest.png").rename(tmp_path / "misnamed.jpg")
    Image.new("RGB", (1, 1)).save(tmp_path / "point.png")
    result = run("--json", tmp_path)
    assert result.exit_code == 0
    animated, misnamed, point = answers(result)
    assert any("frame" in step for step in animated["steps"])
    assert misnamed["steps"] == ["named .jpg, is PNG"]
    assert (point["decision"], point["p_ai"]) == ("undecided", None)


def test_the_finder_of_the_program_takes_any_shape(tiny_model: Path, tmp_path: Path) -> None:
    for size in ((1, 1), (1, 3000), (3000, 1)):
        Image.new("RGB", size, "grey").save(tmp_path / f"{size[0]}x{size[1]}.png")
    result = invoke("inspect", "--model", tiny_model, "--json", tmp_path)
    assert result.exit_code == 0
    assert [entry["reasons"] for entry in answers(result)] == [["no_face"]] * 3


def test_what_the_system_will_not_give_out_is_a_failure(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_it = images._open_without_waiting

    def refuse(path: str, flags: int) -> int:
        if path.endswith("secret.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return open_it(path, flags)

    monkeypatch.setattr(images, "_open_without_waiting", refuse)
    secret, plain = picture(tmp_path / "secret.jpg"), picture(tmp_path / "plain.jpg")
    result = run("--json", secret, plain)
    assert result.exit_code == 3
    refused, judged = answers(result)
    assert "will not let us read it (Permission denied)" in refused["error"]
    assert judged["schema"] == records.REPORT


def test_a_fault_of_ours_is_a_failure_with_a_traceback_on_request(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Detector, "inspect", lambda *_args, **_options: 1 // 0)
    path = picture(tmp_path / "a.jpg")
    (entry,) = answers(run("--json", path))
    assert entry["error"] == "internal error (ZeroDivisionError)"
    assert "Traceback" in entry["bug"]
    told = run(path)
    assert told.exit_code == 4
    assert "fault of veridical" in told.stdout


def test_a_name_no_system_takes_is_a_failure(run: Run) -> None:
    for name in ("x" * 5000 + ".jpg", "a\udcff" * 200):
        result = run("--json", name)
        assert result.exit_code == 4
        (entry,) = answers(result)
        assert "bug" not in entry


def test_a_folder_without_pictures_is_named_beside_the_others_and_alone(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    empty, plain = tmp_path / "empty", picture(tmp_path / "plain.jpg")
    empty.mkdir()
    beside = run("--json", empty, plain)
    assert beside.exit_code == 3
    failure, judged = answers(beside)
    assert failure["schema"] == records.FAILURE
    assert failure["path"] == str(empty)
    assert failure["error"] == f"{empty}: is a folder that holds no pictures."
    assert judged["schema"] == records.REPORT
    alone = run("--json", empty)
    assert alone.exit_code == 4
    assert answers(alone) == [failure]
    told = run(empty)
    assert told.exit_code == 4
    assert "Is a folder that holds no pictures." in told.stdout


HOSTILE = [
    "-x.jpg",
    "[red]x[/red].jpg",
    "a\nb\x1b[31m.jpg",
    "\u202egpj.jpg",
    os.fsdecode(b"\xe9.jpg"),
]


def test_hostile_names_are_only_names(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / "in" / name) for name in HOSTILE]
    monkeypatch.chdir(tmp_path / "in")
    result = run("--json", "--", *HOSTILE)
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert [records.path_of(entry) for entry in answers(result)] == HOSTILE
    walked = {records.path_of(entry) for entry in answers(run("--json", "."))}
    assert walked == set(HOSTILE)
    told = run(*paths)
    assert told.exit_code == 0
    assert "[red]x[/red].jpg" in told.stdout
    assert all(c.isprintable() for c in told.stdout.replace("\n", ""))
    assert run("-x.jpg").exit_code == 2  # as everywhere: `--` or ./ makes it a name


# --- explanations -------------------------------------------------------------------------------


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_explanations_are_a_figure_and_its_numbers_per_face(
    run: Run,
    picture: Picture,
    fake_finder: Callable[..., Finder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = fake_finder((0.0, 0.0, 30.0, 30.0), (34.0, 34.0, 20.0, 20.0), (0.0, 60.0, 4.0, 4.0))
    monkeypatch.setattr("veridical.detector.FaceFinder", lambda _threads: two)
    path, why = picture(tmp_path / "my.holiday.photo.jpg"), tmp_path / "deep" / "why"
    result = run("--json", path, "--explain", why, "--occlude", 16, 16)
    assert result.exit_code == 0
    (entry,) = answers(result)
    assert [face["p_ai"] is None for face in entry["faces"]] == [False, False, True]
    stem = f"my.holiday.photo-{entry['sha256'][:8]}"
    faces = [f"{stem}-face{n}.{kind}" for n in (1, 2) for kind in ("json", "png")]
    assert written(why) == sorted([*faces, f"{stem}.html", f"{stem}.png"])
    for number, face in enumerate(entry["faces"][:2], start=1):
        told = json.loads((why / f"{stem}-face{number}.json").read_text())
        assert told["face"] == face
        assert told["occlusion"] is not None
        assert [cue["cue"] for cue in told["cues"]] == [cue.name for cue in DEFAULT_CUES]
        assert {key: told[key] for key in ("photo", "sha256", "model", "coverage", "level")} == {
            "photo": str(path),
            **{key: entry[key] for key in ("sha256", "model", "coverage", "level")},
        }
        with Image.open(why / f"{stem}-face{number}.png") as figure:
            assert figure.format == "PNG"


def test_maps_through_the_network_are_drawn_and_told(
    run: Run, picture: Picture, tmp_path: Path, tiny_vit: Callable[[str], Path]
) -> None:
    pytest.importorskip("captum")
    path, why = picture(tmp_path / "a.png"), tmp_path / "why"
    plain = run("--json", path, "--explain", tmp_path / "plain")
    result = run("--json", path, "--explain", why, "--through", tiny_vit("vit"))
    assert result.stdout == plain.stdout
    (told,) = (json.loads(one.read_text()) for one in why.glob("*-face1.json"))
    (further,) = told["further"]
    assert further["name"] == "integrated-gradients"
    assert np.array(further["patches"]).shape == (4, 4)
    assert further["trust"]["n_random"] == 9
    (page,) = why.glob("*.html")
    assert "integrated-gradients" in page.read_text()
    two = ("--method", "grad-cam", "--method", "attention-rollout")
    run(path, "--explain", why, "--through", tiny_vit("vit"), *two)
    (told,) = (json.loads(one.read_text()) for one in why.glob("*-face1.json"))
    assert [one["name"] for one in told["further"]] == ["grad-cam", "attention-rollout"]
    other = run(path, "--explain", why, "--through", tiny_vit("dinov2_registers"))
    clean_error(other, "the model looks with")


def test_the_methods_that_can_be_named_are_those_there_are() -> None:
    pytest.importorskip("torch")
    from veridical.train.gradients import METHODS

    assert set(MAPS_THROUGH) == set(METHODS)


def test_the_answer_is_the_same_with_an_explanation(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.jpg")
    assert run("--json", path, "--explain", tmp_path / "why").stdout == run("--json", path).stdout


def test_cues_are_told_of_every_judged_face_and_change_nothing_else(
    run: Run,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_finder: Callable[..., Finder],
) -> None:
    two = fake_finder((0.0, 0.0, 30.0, 30.0), (34.0, 34.0, 20.0, 20.0), (0.0, 60.0, 4.0, 4.0))
    monkeypatch.setattr("veridical.detector.FaceFinder", lambda _threads: two)
    paths = [picture(tmp_path / name) for name in ("a.jpg", "b.png")]
    (broken := tmp_path / "c.jpg").touch()
    why = tmp_path / "why"
    plain = answers(run("--json", "--explain", why, *paths, broken))
    for more in ((), ("--jobs", 2), ("--explain", why)):
        told = answers(run("--json", "--cues", *more, *paths, broken))
        for entry in told[:2]:
            cues = [face.pop("cues") for face in entry["faces"]]
            assert cues[2] is None
            if entry["path"].endswith(".jpg"):  # there is a file to speak of, whatever is in it
                assert cues[0][-1]["silent"] is None
            for number, said in enumerate(cues[:2], start=1):
                assert [one["cue"] for one in said] == [cue.name for cue in DEFAULT_CUES]
                (at,) = why.glob(f"*-{entry['sha256'][:8]}-face{number}.json")
                assert said == json.loads(at.read_text())["cues"]
        assert told == plain


def test_cues_are_a_line_each_for_people(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    (entry,) = answers(run("--json", "--cues", path))
    (face,) = entry["faces"]
    text = " ".join(run("--cues", path).stdout.split())
    speaking = [one for one in face["cues"] if one["silent"] is None]
    assert speaking
    assert "Cues" in text
    for one in speaking:
        assert one["plain"] in text
    assert not any(one["silent"] in text for one in face["cues"] if one["silent"])
    assert "Cues" not in run(path).stdout


def test_a_cue_that_breaks_costs_its_own_answer_alone(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / "a.jpg")
    (before,) = answers(run("--json", "--cues", path))

    def broken(_scene: object) -> NotApplicable:
        raise ZeroDivisionError("as if")

    cues = tuple(
        replace(cue, measure=broken) if cue.name == "noise" else cue for cue in DEFAULT_CUES
    )
    ask = partial(forensics.ask, cues=cues)
    monkeypatch.setattr(forensics, "ask", ask)
    monkeypatch.setattr(explained, "ask", ask)
    at = [cue.name for cue in DEFAULT_CUES].index("noise")
    before["faces"][0]["cues"].pop(at)
    for more in ((), ("--explain", tmp_path / "why")):
        result = run("--json", "--cues", path, *more)
        assert result.exit_code == 0
        (after,) = answers(result)
        said = after["faces"][0]["cues"].pop(at)
        assert "internal error (ZeroDivisionError)" in said["silent"]
        assert after == before


def test_pictures_of_one_name_do_not_overwrite_each_other(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    one, other = picture(tmp_path / "a" / "x.jpg"), picture(tmp_path / "b" / "x.jpg")
    copy = tmp_path / "c" / "x.jpg"
    copy.parent.mkdir()
    shutil.copyfile(one, copy)
    hostile = [picture(tmp_path / "d" / name) for name in HOSTILE]
    why = tmp_path / "why"
    result = run("--explain", why, "--jobs", 2, one, copy, other, *hostile)
    assert result.exit_code == 0
    names = written(why)
    assert len(names) == 4 * (2 + len(HOSTILE))  # a copy has the same explanation
    assert all(name.isascii() and name.isprintable() and " " not in name for name in names)
    assert not [name for name in names if name.startswith("-")]
    for name in names:
        if name.endswith(".json"):
            json.loads((why / name).read_text())


def test_a_picture_that_fails_leaves_a_page_that_says_so(
    run: Run, bad: list[Path], tmp_path: Path
) -> None:
    result = run("--json", "--explain", tmp_path / "why", *bad)
    assert result.exit_code == 4
    assert all("bug" not in entry for entry in answers(result))
    names = written(tmp_path / "why")
    assert len(names) == 2 * len(bad)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][\w.-]*-failed-[0-9a-f]{8}\.(html|png)", name)
        if name.endswith(".html"):
            assert "NOT JUDGED" in (tmp_path / "why" / name).read_text(encoding="utf-8")


def test_a_picture_without_a_face_leaves_a_page_alone(
    run: Run,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_finder: Callable[..., Finder],
) -> None:
    monkeypatch.setattr("veridical.detector.FaceFinder", lambda _threads: fake_finder())
    assert run(picture(tmp_path / "a.jpg"), "--explain", tmp_path / "why").exit_code == 0
    names = written(tmp_path / "why")
    assert [name.rpartition(".")[2] for name in names] == ["html", "png"]
    page = (tmp_path / "why" / names[0]).read_text(encoding="utf-8")
    assert "no face was found, and only faces are judged" in page


def test_pages_are_the_same_bytes_every_time(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    for why in ("one", "two"):
        run(path, "--explain", tmp_path / why)
    for name in written(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_that_cannot_be_written_to_stops_the_work_before_it_begins(
    run: Run, tiny_model: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = picture(tmp_path / "a.jpg"), tmp_path / "data"
    for label in ("real", "ai"):
        picture(data / label / "1.png")
    access = os.access
    monkeypatch.setattr(  # root may write everywhere
        os, "access", lambda at, mode: access(at, mode) and (Path(at) != data or mode == os.R_OK)
    )
    for folder, says in ((path / "out", "Not a directory"), (data, "Permission denied")):
        for result in (
            run(path, "--explain", folder),
            invoke("train", data, "--out", folder),
            invoke("train", data, "--out", tmp_path / "out", "--cache", folder),
            invoke("evaluate", tiny_model, data, "--out", folder),
        ):
            clean_error(result, says)
    assert run(path, "--explain", path).exit_code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--occlude", "16", "8"], "name a DIR too"),
        (["--explain", "why", "--occlude", "33", "8"], "wider than the crop, 32 px"),
        (["--explain", "why", "--occlude", "0", "8"], "0 is not in the range"),
        (["--explain", "why", "--occlude", "16"], "requires 2 arguments"),
        (["--through", "some-vit"], "name a DIR too"),
        (["--explain", "why", "--method", "grad-cam"], "name the backbone too"),
        (["--explain", "why", "--through", "a-vit", "--method", "guess"], "is not one of"),
        (["--fill", "grey"], "is not one of"),
        (["--jobs", "0"], "not in the range"),
        (["--prior", "0"], "more than 0 and less than 1; got 0."),
        (["--prior", "1"], "more than 0 and less than 1"),
        (["--prior", "nan"], "more than 0 and less than 1"),
        (["--prior", "1%"], "is not a valid float"),
        (["--samples", "1"], "not in the range"),
        (["--bogus"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("a.jpg", *options)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not list(tmp_path.iterdir())


def test_nothing_to_inspect_is_a_usage_error() -> None:
    result = invoke("inspect")
    assert result.exit_code == 2
    assert "PHOTOS" in result.stderr


# --- models -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CARD, TENSORS, BACKBONE])
@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_harmed_model_is_one_clean_message(
    tiny_model: Path, tmp_path: Path, picture: Picture, name: str, harm: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    if harm == "missing":
        (model / name).unlink()
    else:
        data = (model / name).read_bytes()
        (model / name).write_bytes(data[: len(data) // 2] + b"?" + data[len(data) // 2 + 1 :])
    picture(tmp_path / "data" / "real" / "1.png")
    picture(tmp_path / "data" / "ai" / "1.png")
    commands: list[tuple[object, ...]] = [
        ("inspect", "--model", model, tmp_path / "data"),
        ("evaluate", model, tmp_path / "data", "--out", tmp_path / "results"),
    ]
    for command in commands:
        # A changed card is told by what no longer fits.
        clean_error(invoke(*command), str(model), "" if name == CARD else name)


def test_a_model_that_is_none_is_one_clean_message(tmp_path: Path, picture: Picture) -> None:
    path = picture(tmp_path / "a.jpg")
    for model in (path, tmp_path / "nowhere"):
        clean_error(invoke("inspect", "--model", model, path), "no model folder at", model.name)
        clean_error(invoke("card", model), "no model folder at", model.name)


def test_the_card_is_told_with_its_identity(tiny_model: Path, run: Run, picture: Picture) -> None:
    told = json.loads(invoke("card", tiny_model).stdout)
    card = json.loads((tiny_model / CARD).read_text())
    assert {key: value for key, value in told.items() if key != "identity"} == card
    assert Detector.load(tiny_model).model == told["identity"][:12]


def test_the_schema_is_the_published_one() -> None:
    assert json.loads(invoke("schema").stdout) == records.schema()


def test_the_version_is_the_program_s() -> None:
    assert invoke("--version").stdout.strip() == f"veridical, version {VERSION}"


@pytest.mark.parametrize("name", ["", *main.commands])
def test_every_command_has_help(name: str) -> None:
    command = main.commands[name] if name else main
    result = invoke(*([name] if name else []), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert isinstance(command, click.Command)
    assert (command.help or "").split(".")[0].split()[0] in result.stdout


# --- training and measuring ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tiny_export: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the tiny ViT is exported already."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "backbones").symlink_to(tiny_export("vit").path.parent)
    return folder


@pytest.fixture
def train(
    cache: Path,
    tiny_vit: Callable[[str], Path],
    tiny_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    """Run `train` with a tiny ViT and a finder that sees one face in every picture."""
    monkeypatch.setattr(make, "FaceFinder", lambda _threads: tiny_detector.finder)
    options = ("--out", tmp_path / "out", "--cache", cache, "--views", 1)

    def train(data: Path, *arguments: object, backbone: Path | None = None) -> Result:
        return invoke(
            "train", data, *options, "--backbone", backbone or tiny_vit("vit"), *arguments
        )

    return train


@pytest.fixture
def album(painter: Painter, tmp_path: Path) -> Callable[..., Path]:
    """A folder with so many pictures in each sub-folder."""

    def album(**counts: int) -> Path:
        for name, count in counts.items():
            (tmp_path / "data" / name).mkdir(parents=True)
            for n in range(count):
                pixels = painter(80, 80, (12, 12, 56, 56), seed=zlib.crc32(f"{name}{n}".encode()))
                Image.fromarray(pixels).save(tmp_path / "data" / name / f"{n}.png")
        return tmp_path / "data"

    return album


Album = Callable[..., Path]


def test_a_folder_with_one_class_is_refused(train: Run, album: Album) -> None:
    clean_error(train(album(real=3, ai=0)), "3 real and 0 AI-generated")


def test_epochs_are_for_recipes_that_have_them(train: Run, album: Album) -> None:
    result = train(album(real=1, ai=1), "--epochs", 2)
    assert result.exit_code == 2
    assert "closed form" in result.output


def test_too_few_pictures_are_refused(train: Run, album: Album, tmp_path: Path) -> None:
    clean_error(train(album(real=1, ai=1)), "at least 20", "1 real and 1 AI-generated")
    assert not (tmp_path / "out" / CARD).exists()


def test_an_empty_folder_is_refused(train: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    clean_error(train(tmp_path / "data"), "no sub-folders that hold pictures")
    clean_error(train(tmp_path / "nowhere"), "nothing is there")


def test_if_all_pictures_are_corrupt_it_is_said(train: Run, album: Album) -> None:
    data = album(real=2, ai=2)
    for path in data.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:200])
    clean_error(train(data), "4 pictures came", "4 cannot be read")


def test_class_names_that_do_not_say_what_they_are_are_asked_about(
    train: Run, album: Album
) -> None:
    data = album(a=1, b=1)
    clean_error(train(data), "not plainly real or AI-generated", "'a'", "'b'")
    clean_error(train(data, "--real", "c"), "--real names 'c'")
    clean_error(train(data, "--real", "a", "--ai", "b"), "at least 20")


def no_vit(kind: str, folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
        )
        transformers.ResNetModel(config).save_pretrained(folder)
    elif kind == "bert":
        config = transformers.BertConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            vocab_size=50,
        )
        transformers.BertModel(config).save_pretrained(folder)
    else:
        folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("resnet", "a Vision Transformer with a square grid"),
        ("bert", "a Vision Transformer with a square grid"),
        ("empty", "could not be loaded"),
    ],
)
def test_a_backbone_that_is_no_vision_transformer_is_refused(
    train: Run, album: Album, tmp_path: Path, kind: str, says: str
) -> None:
    data = album(real=1, ai=1)
    clean_error(train(data, backbone=no_vit(kind, tmp_path / kind)), says, kind)


@pytest.fixture
def audit(tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `audit` with a finder that sees one face in every picture."""
    monkeypatch.setattr("veridical.vision.faces.FaceFinder", lambda _threads: tiny_detector.finder)
    return lambda *arguments: invoke("audit", *arguments)


def test_a_confound_is_named_by_audit_and_refused_by_train_unless_allowed(
    audit: Run, train: Run, album: Album
) -> None:
    data = album(real=48, ai=48)  # some are near-duplicates
    for path in (data / "real").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    named = "AI pictures are PNG (100 %), real ones JPEG (100 %): re-encode both classes alike"
    told = audit(data)
    assert told.exit_code == 0
    assert named in told.stdout
    assert "stops training" in told.stdout
    entry = json.loads(audit(data, "--json").stdout)
    assert (entry["schema"], entry["real"], entry["ai"]) == ("veridical.audit/1", 48, 48)
    assert entry["findings"][0]["refuses"]
    clean_error(train(data), "without looking at a face", named)
    made = train(data, "--allow-confounds")
    assert made.exit_code == 0, made.output
    assert "audit: the file as it came tells the classes apart with an AUROC of 1.00" in made.stderr


@pytest.mark.parametrize(("recipe", "stages"), [("default", 3), ("reference", 2)])
def test_audit_looks_at_so_many_and_says_what_it_did_not_ask(
    audit: Run, album: Album, recipe: str, stages: int
) -> None:
    data = album(real=6, ai=4)
    told = audit(data, "--recipe", recipe, "--most", 8, "--jobs", 2)
    assert told.exit_code == 0
    assert "4 real and 4 AI-generated pictures, drawn with seed 0 from 10" in told.stdout
    assert told.stdout.count("too few to audit") == 3 * stages
    clean_error(audit(data / "real"), "no sub-folders")


def test_what_is_trained_can_inspect_and_be_measured(
    train: Run, album: Album, run: Run, tmp_path: Path
) -> None:
    data = album(real=24, ai=24)
    broken = data / "ai" / "a\x1b[31m.png"
    broken.write_bytes(b"")
    Image.new("RGB", (50, 50)).save(data / "real" / "small.png")
    made = train(data, "--jobs", 2)
    assert made.exit_code == 0, made.output
    assert "calibrated on" in made.stdout
    assert "audit: too few to audit" in made.stderr
    assert rf"left out: {data}/ai/a\x1b[31m.png: zero bytes came." in made.stderr
    assert f"left out: {data}/real/small.png: the face is under 40 px" in made.stderr
    out = tmp_path / "out"
    (entry,) = answers(invoke("inspect", "--json", "--model", out, data / "real" / "0.png"))
    assert entry["p_ai"] is not None
    results = tmp_path / "results"
    measured = invoke("evaluate", out, data, "--out", results, "--resamples", 100)
    assert measured.exit_code == 0, measured.output
    assert {"evaluation.md", "evaluation.json"} <= set(written(results))
    assert str(results / "evaluation.md") in measured.stdout


# --- one's own pictures -------------------------------------------------------------------------


@pytest.fixture
def calibrate(run: Run, tiny_model: Path, tmp_path: Path) -> Run:
    """Run `calibrate` with the tiny model and a finder that sees one face in every picture."""
    return lambda *arguments: invoke("calibrate", tiny_model, "--out", tmp_path / "new", *arguments)


def test_a_model_is_calibrated_on_one_s_own_pictures_and_used(
    calibrate: Run, run: Run, album: Album, tmp_path: Path
) -> None:
    data = album(press=20)
    shutil.copyfile(data / "press" / "1.png", data / "press" / "2.png")
    (data / "press" / "a\x1b[31m.jpg").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(data / "press" / "tiny.png")
    result = calibrate("--reals", data / "press", "--fpr", 0.1, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert "the user's own pictures: 19 real ones in 'press'." in result.stdout
    assert "at most 10 % are called ai" in result.stdout
    assert f"left out: {data}/press/2.png: is, to the byte, a copy of" in result.stderr
    assert rf"left out: {data}/press/a\x1b[31m.jpg: zero bytes came." in result.stderr
    assert f"left out: {data}/press/tiny.png: no face to judge" in result.stderr
    told = json.loads(invoke("card", tmp_path / "new").stdout)
    assert told["recalibrated"]["real"] == {"folder": "press", "pictures": 19}
    reports = answers(invoke("inspect", "--json", "--model", tmp_path / "new", data / "press"))
    assert {entry.get("model") for entry in reports} == {told["identity"][:12], None}
    judged = [entry for entry in reports if entry.get("p_ai") is not None]
    p_ai = {entry["p_ai"] for entry in judged}
    assert sum(p > told["calibration"]["threshold_real"] for p in p_ai) == 1  # of 19, one in ten


def test_too_few_pictures_for_a_promise_are_one_clean_message(calibrate: Run, album: Album) -> None:
    data = album(press=5)
    result = calibrate("--reals", data / "press")
    assert result.exit_code == 1
    assert "5 real pictures can be judged; to be wrong about at most 1 %" in result.stderr
    assert "takes at least 99" in result.stderr
    nowhere = calibrate("--reals", data / "nowhere")
    assert nowhere.exit_code == 1
    assert "nowhere: no such file" in nowhere.stderr
    assert "0 real pictures can be judged" in nowhere.stderr


def test_folders_that_cannot_be_right_are_usage_errors(
    calibrate: Run, tiny_model: Path, album: Album
) -> None:
    data = album(press=1, fakes=1)
    for options, says in (
        (("--reals", data, "--ai", data / "fakes"), "lies in the other"),
        (("--reals", data, "--ai", data), "lies in the other"),
        (("--reals", data, "--out", tiny_model), "the model itself"),
        (("--reals", data, "--fpr", 1), "more than 0 and less than 1"),
        ((), "--reals"),
    ):
        result = calibrate(*options)
        assert result.exit_code == 2
        assert says in result.stderr
