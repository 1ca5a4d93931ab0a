import csv
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.cli.conftest import BAD, HOSTILE, Picture, Run, invoke, lines
from tests.conftest import Painter
from veridical.cli import stages
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector
from veridical.io import source
from veridical.report import FAILURE, REPORT, NotApplicable, path_of

# --- answers ------------------------------------------------------------------------------------


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
    counted = [line.split() for line in result.stdout.splitlines()]
    assert ["pictures", "in", "all", "3"] in counted
    text = " ".join(result.stdout.split())
    assert "Not judged, and what to do next 1 Get the file again." in text
    assert text.count("half of the pictures are AI-generated") == 1


def test_more_than_five_pictures_get_a_line_each_unless_details_are_asked_for(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    paths = [picture(tmp_path / f"{n}.jpg") for n in range(5)]
    assert run(tmp_path).stdout.count("P(ai) 0.") == 5
    (broken := tmp_path / "5.jpg").touch()
    result = run(tmp_path)
    assert result.exit_code == 3
    assert "P(ai) 0." not in result.stdout
    head, *listed = result.stdout.splitlines()[:7]
    assert head.startswith("ANSWER")
    for path, line in zip(paths, listed, strict=False):
        assert line.endswith(f"  {path}")
    assert listed[5].endswith(f"  {broken}: zero bytes came.")
    for option in ("--details", "--verbose"):
        told = run(tmp_path, option).stdout
        assert told.count("P(ai) 0.") == 5
        assert told.count("half of the pictures are AI-generated") == 1
        assert ("SHA-256" in told) == (option == "--verbose")


def test_json_is_one_object_per_line_in_the_order_asked(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    names = ["c.jpg", "absent.jpg", "a.png", "b.webp", "c.jpg"]
    paths = [tmp_path / name for name in names]
    for path in (paths[0], *paths[2:4]):
        picture(path)
    for jobs in (1, 2):
        result = run("--json", "--jobs", jobs, *paths)
        assert result.exit_code == 3
        entries = lines(result)
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
    found = [Path(entry["path"]).relative_to(tmp_path).as_posix() for entry in lines(result)]
    assert found == ["a/10.jpg", "a/2.jpg", "b.JPG", "c/d/e.png"]


def test_the_answer_is_the_detector_s(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (faces,) = lines(run("--json", path))
    (frame,) = lines(run("--json", "--whole-image", path))
    (fewer,) = lines(run("--json", "--samples", 5, path))
    assert "whole_image" in frame["reasons"]
    assert frame["p_ai"] != faces["p_ai"] != fewer["p_ai"]
    assert (faces["coverage"], faces["level"]) == (0.9, 0.9)


def test_copies_are_judged_before_a_face_is_called_ai_unless_it_is_asked_not_to(
    run: Run, painter: Painter, tmp_path: Path
) -> None:
    for n in range(12):
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=n)).save(tmp_path / f"{n}.png")
    plain, checked = (lines(run("--json", one, tmp_path)) for one in ("--no-recheck", "--recheck"))
    assert checked == lines(run("--json", tmp_path))
    copies = [entry["faces"][0]["verdict"]["stability"] for entry in (*plain, *checked)]
    called_ai = [entry["decision"] == "ai" for entry in plain]
    assert [one is not None for one in copies] == [False] * len(plain) + called_ai
    assert 0 < sum(called_ai) < len(called_ai)
    assert [entry["p_ai"] for entry in plain] == [entry["p_ai"] for entry in checked]


def test_a_prior_is_told_beside_the_answer_and_leaves_it_alone(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.png")
    (plain,) = lines(run("--json", path))
    (rare,) = lines(run("--json", "--prior", 0.01, path))
    assert lines(run("--json", "--prior", "1%", path)) == [rare]
    assert (plain["prior"], plain["at_prior"]) == (0.5, None)
    at = rare.pop("at_prior")
    assert {**rare, "at_prior": None} == plain
    odds = 0.01 / 0.99 * plain["p_ai"] / (1 - plain["p_ai"])
    assert at["p_ai"] == pytest.approx(odds / (1 + odds))
    assert at["predictive"] is None
    shown = run("--prior", 0.01, path, tmp_path / "none.jpg")
    assert shown.exit_code == 3
    text = " ".join(shown.stdout.split())
    assert "half of the pictures are AI-generated" in text
    assert "At 1 % P(ai)" in text
    assert "error rates of this model were not measured" in text


def test_without_an_option_the_cpu_judges(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    assert run("--json", "--device", "cpu", path).stdout == run("--json", path).stdout


# --- signs of life ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_more_than_three_pictures_show_at_standard_error_how_far_the_work_is(
    run: Run, picture: Picture, tmp_path: Path, options: tuple[str, ...]
) -> None:
    for n in range(3):
        picture(tmp_path / f"{n}.png")
    assert run(tmp_path, *options).stderr == ""
    picture(tmp_path / "3.png")
    result = run(tmp_path, *options)
    assert result.stderr.splitlines()[0] == "Judging pictures: 0 of 4 ..."
    assert "Judging" not in result.stdout


def test_few_pictures_that_take_long_show_it_too(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is loaded in silence otherwise."""
    load = Detector.load

    def slow(*arguments: Any, **options: Any) -> Detector:
        time.sleep(0.3)
        return load(*arguments, **options)

    monkeypatch.setattr(Detector, "load", slow)
    monkeypatch.setattr(stages, "EVERY_S", 0.05)
    result = run("--json", picture(tmp_path / "a.png"))
    assert result.stderr.startswith("Loading the model ...\n")
    assert len(lines(result)) == 1


# --- tables -------------------------------------------------------------------------------------


def test_a_table_has_a_row_for_every_picture_in_the_order_asked(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").touch()
    paths = [picture(tmp_path / "=c.png"), tmp_path / "b.jpg", picture(tmp_path / "a.png")]
    table = tmp_path / "t.csv"
    result = run("--json", "--csv", table, "--jobs", 2, *paths)
    assert result.exit_code == 3
    assert result.stdout == run("--json", *paths).stdout
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    for row, entry in zip(rows, lines(result), strict=True):
        assert row["path"] == entry["path"]
        if entry["schema"] == REPORT:
            assert float(row["p_ai"]) == entry["p_ai"]
            assert row["reasons"].split() == entry["reasons"]
    assert [row["decision"] == "failed" for row in rows] == [False, True, False]
    assert "AI" in run("--csv", table, *paths).stdout  # people read the answers beside it


def test_a_table_can_be_printed_and_then_nothing_else_is(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(Path("=a.png"))
    result = run("--csv", "-", "=a.png")
    assert result.exit_code == 0
    assert result.stdout_bytes.count(b"\r\n") == result.stdout_bytes.count(b"\n") == 2
    (row,) = csv.DictReader(result.stdout.splitlines())
    assert row["path"] == "'=a.png"


def test_a_table_that_cannot_be_written_is_said_before_the_work(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / "a.png")
    before = path.read_bytes()
    monkeypatch.setattr(Detector, "inspect", lambda *_args, **_options: pytest.fail("judged"))
    slip = run("--csv", path, path)
    assert slip.exit_code == 2
    assert "is there, and is no table of veridical" in " ".join(slip.stderr.split())
    assert path.read_bytes() == before
    nowhere = run("--csv", tmp_path / "absent" / "t.csv", path)
    assert nowhere.exit_code == 1
    assert "No such file or directory" in nowhere.stderr


# --- cues ---------------------------------------------------------------------------------------


def test_cues_are_a_line_each_for_people(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    (entry,) = lines(run("--json", "--cues", path))
    (face,) = entry["faces"]
    text = " ".join(run("--cues", path).stdout.split())
    speaking = [one for one in face["readings"] if "why" not in one]
    assert speaking
    assert "Cues" in text
    for one in speaking:
        assert one["plain"] in text
    assert not any(one["why"] in text for one in face["readings"] if "why" in one)
    assert "Cues" not in run(path).stdout


def test_a_cue_that_breaks_costs_its_own_answer_alone(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / "a.jpg")
    (before,) = lines(run("--json", "--cues", path))

    def broken(_scene: object) -> NotApplicable:
        raise ZeroDivisionError("as if")

    cues = tuple(
        replace(cue, measure=broken) if cue.name == "noise" else cue for cue in DEFAULT_CUES
    )
    monkeypatch.setattr("veridical.detector.DEFAULT_CUES", cues)
    at = [cue.name for cue in DEFAULT_CUES].index("noise")
    before["faces"][0]["readings"].pop(at)
    result = run("--json", "--cues", path)
    assert result.exit_code == 0
    (after,) = lines(result)
    broke = after["faces"][0]["readings"].pop(at)
    assert "internal error (ZeroDivisionError)" in broke["why"]
    assert after == before


# --- what cannot be judged ----------------------------------------------------------------------


def test_each_bad_picture_is_named_and_the_others_are_still_judged(
    run: Run, picture: Picture, bad: list[Path], tmp_path: Path
) -> None:
    good = picture(tmp_path / "good.jpg")
    mixed = [path for wrong in bad for path in (wrong, good)]
    result = run("--json", *mixed, tmp_path / "absent.jpg")
    assert result.exit_code == 3
    *entries, absent = lines(result)
    for wrong, right, (name, (_, says)) in zip(
        entries[::2], entries[1::2], BAD.items(), strict=True
    ):
        assert wrong["schema"] == FAILURE
        assert Path(wrong["path"]).name == name
        assert wrong["error"].startswith(f"{wrong['path']}: ")
        assert says in wrong["error"]
        assert wrong["hint"]
        assert wrong["bug"] is None
        assert right == entries[1]
        assert right["schema"] == REPORT
    assert "no such file" in absent["error"]


def test_if_no_picture_can_be_read_the_status_is_another(run: Run, bad: list[Path]) -> None:
    result = run("--json", *bad)
    assert result.exit_code == 4
    assert len(lines(result)) == len(bad)
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
    animated, misnamed, point = lines(result)
    assert any("frame" in step for step in animated["steps"])
    assert misnamed["steps"] == ["named .jpg, is PNG"]
    assert (point["decision"], point["p_ai"]) == ("undecided", None)


def test_the_finder_of_the_program_takes_any_shape(tiny_model: Path, tmp_path: Path) -> None:
    for size in ((1, 1), (1, 3000), (3000, 1)):
        Image.new("RGB", size, "grey").save(tmp_path / f"{size[0]}x{size[1]}.png")
    result = invoke("inspect", "--model", tiny_model, "--json", tmp_path)
    assert result.exit_code == 0
    assert [entry["reasons"] for entry in lines(result)] == [["no_face"]] * 3


def test_what_the_system_will_not_give_out_is_a_failure(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_it = source._open_without_waiting

    def refuse(path: str, flags: int) -> int:
        if path.endswith("secret.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return open_it(path, flags)

    monkeypatch.setattr(source, "_open_without_waiting", refuse)
    secret, plain = picture(tmp_path / "secret.jpg"), picture(tmp_path / "plain.jpg")
    result = run("--json", secret, plain)
    assert result.exit_code == 3
    refused, judged = lines(result)
    assert "will not let us read it (Permission denied)" in refused["error"]
    assert judged["schema"] == REPORT


def test_a_fault_of_ours_is_a_failure_with_a_traceback_on_request(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Detector, "inspect", lambda *_args, **_options: 1 // 0)
    path = picture(tmp_path / "a.jpg")
    (entry,) = lines(run("--json", path))
    assert entry["error"] == "internal error (ZeroDivisionError)"
    assert "Traceback" in entry["bug"]
    told = run(path)
    assert told.exit_code == 4
    assert "fault of veridical" in told.stdout
    assert "ZeroDivisionError" in run("--verbose", path).stdout


def test_a_name_no_system_takes_is_a_failure(run: Run) -> None:
    for name in ("x" * 5000 + ".jpg", "a\udcff" * 200):
        result = run("--json", name)
        assert result.exit_code == 4
        (entry,) = lines(result)
        assert entry["bug"] is None


def test_a_folder_without_pictures_is_named_beside_the_others_and_alone(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    empty, plain = tmp_path / "empty", picture(tmp_path / "plain.jpg")
    empty.mkdir()
    beside = run("--json", empty, plain)
    assert beside.exit_code == 3
    failure, judged = lines(beside)
    assert failure["schema"] == FAILURE
    assert failure["path"] == str(empty)
    assert failure["error"] == f"{empty}: is a folder that holds no pictures."
    assert judged["schema"] == REPORT
    alone = run("--json", empty)
    assert alone.exit_code == 4
    assert lines(alone) == [failure]
    told = run(empty)
    assert told.exit_code == 4
    assert "Is a folder that holds no pictures." in told.stdout


def test_hostile_names_are_only_names(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / "in" / name) for name in HOSTILE]
    monkeypatch.chdir(tmp_path / "in")
    result = run("--json", "--", *HOSTILE)
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert [path_of(entry) for entry in lines(result)] == HOSTILE
    walked = {path_of(entry) for entry in lines(run("--json", "."))}
    assert walked == {f"./{name}" for name in HOSTILE}  # as `find .` names them
    told = run(*paths)
    assert told.exit_code == 0
    assert "[red]x[/red].jpg" in told.stdout
    assert all(c.isprintable() for c in told.stdout.replace("\n", ""))
    assert run("-x.jpg").exit_code == 2  # as everywhere: `--` or ./ makes it a name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--occlude", "16", "8"], "needs --explain DIR"),
        (["--explain", "why", "--occlude", "33", "8"], "wider than the crop, 32 px"),
        (["--explain", "why", "--occlude", "0", "8"], "0 is not in the range"),
        (["--explain", "why", "--occlude", "16"], "requires 2 arguments"),
        (["--through", "some-vit"], "needs --explain DIR"),
        (["--thorough"], "needs --explain DIR"),
        (["--write", "json"], "needs --explain DIR"),
        (["--explain", "why", "--write", "poem"], "is not one of"),
        (["--csv", "-", "--json"], "both print"),
        (["--explain", "why", "--method", "grad-cam"], "needs --through BACKBONE"),
        (["--explain", "why", "--through", "a-vit", "--method", "guess"], "is not one of"),
        (["--device", "abacus"], "is not one of"),
        (["--jobs", "0"], "not in the range"),
        (["--prior", "0"], "more than 0 and less than 1; got 0."),
        (["--prior", "1"], "more than 0 and less than 1"),
        (["--prior", "nan"], "more than 0 and less than 1"),
        (["--prior", "some"], "A share was wanted, such as 0.01 or 1%"),
        (["--prior", "200%"], "more than 0 and less than 1; got 2."),
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


# --- limits --------------------------------------------------------------------------------------


def test_limits_are_set_at_the_command_line_and_hints_speak_of_it(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.png")
    assert run(path, "--max-megapixels", "0.01", "--max-mbytes", "1").exit_code == 0
    for option, value in (("--max-megapixels", "0.001"), ("--max-mbytes", "0.0001")):
        result = run("--json", path, option, value)
        assert result.exit_code == 4
        (entry,) = lines(result)
        assert f"Raise the limit: {option} 1." in entry["hint"]
        assert "Limits" not in entry["hint"]
        assert option in run(path, option, value).stdout
    assert run(path, "--max-seconds", "0").exit_code == 2


def test_who_asks_for_more_pixels_gets_them_in_any_shape() -> None:
    from veridical.cli.options import limits_of
    from veridical.io.formats import Limits

    assert limits_of(None, None, None) == Limits()
    more = limits_of(400, 300, 60)
    assert (more.max_pixels, more.max_side) == (400_000_000, 400_000_000)
    assert (more.max_bytes, more.max_seconds) == (300 * 2**20, 60)
    assert limits_of(10, None, None).max_side == Limits().max_side


def test_what_is_damaged_or_one_of_many_is_said_without_details(
    run: Run, painter: Painter, tmp_path: Path
) -> None:
    frames = [Image.fromarray(painter(64, 64, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.jpg", quality=95)
    data = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[: len(data) * 2 // 3])
    animated, torn = run(tmp_path / "a.gif"), run(tmp_path / "b.jpg")
    told = " ".join(animated.stdout.split())
    assert "Only one of 3 was judged (frame 1 of 3 taken); the others may differ." in told
    assert "The data end early" in torn.stdout
    one, other = lines(run("--json", tmp_path / "a.gif", tmp_path / "b.jpg"))
    assert (one["frames"], one["damage"]) == (3, None)
    assert (other["frames"], other["damage"]["kind"]) == (1, "cut_off")
    assert other["decision"] == "undecided"
    assert "damaged" in other["reasons"]


def test_ctrl_c_says_what_is_judged_and_where_it_is(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{name}.jpg") for name in "abc"]
    table, why, inspect = tmp_path / "t.csv", tmp_path / "why", Detector.inspect

    def stops(self: Detector, source: Any, **options: Any) -> Any:
        if str(source.path) == str(paths[2]):
            raise KeyboardInterrupt
        return inspect(self, source, **options)

    monkeypatch.setattr(Detector, "inspect", stops)
    stopped = run(*paths, "--jobs", 1, "--csv", table, "--explain", why)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == (
        f"Stopped: 2 of 3 pictures are judged; their rows are in {table}; their pages are in {why}."
    )
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 3
    assert {one.name[0] for one in why.glob("*.html")} == {"a", "b", "i"}


def test_many_pictures_are_told_with_what_their_files_say(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    marked = PngInfo()
    marked.add_text("parameters", "a face\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1")
    with Image.open(tmp_path / "3.png") as image:
        image.save(tmp_path / "3.png", pnginfo=marked)
    result = run(tmp_path, "--csv", tmp_path / "t.csv", "--explain", tmp_path / "why")
    said = ["AI, unverified" in line for line in result.stdout.splitlines()[1:7]]
    assert said == [number == 3 for number in range(6)]
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8-sig") as file:
        declared = [row["declared"] for row in csv.DictReader(file)]
    assert declared == ["ai_unverified" if number == 3 else "none" for number in range(6)]
    index = (tmp_path / "why" / "index.html").read_text(encoding="utf-8")
    assert index.count("AI, unverified") == 1
    assert result.stdout.splitlines()[-1] == f"Open {tmp_path / 'why' / 'index.html'}"
