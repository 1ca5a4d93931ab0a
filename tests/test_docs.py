"""The documentation is held to the program: what it shows runs, and what it names is there."""

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from runpy import run_path

import click
import jsonschema
import numpy as np
import pytest
from PIL import Image

import veridical
from research import ratios
from veridical import errors
from veridical.cli.main import main as cli
from veridical.cues import light, noise, spectrum, symmetry
from veridical.detector import Detector
from veridical.errors import VeridicalError
from veridical.explain import attribution, faithfulness
from veridical.infer import head, ood
from veridical.infer.calibration import conformal_rank
from veridical.io.formats import Limits
from veridical.present import records, words
from veridical.present.sections import MOST_FACES
from veridical.report import Decision, Reason
from veridical.stats.intervals import share_beyond
from veridical.train import (
    audit,
    audit_files,
    export,
    facts,
    ood_fit,
    probes,
    ready,
    recipes,
)
from veridical.vision import faces
from veridical.vision.perturb import PERTURBATIONS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "NOTICE")]
PAGES = sorted([*FRONT, *DOCS.glob("*.md"), ROOT / "examples" / "README.md"])
GENERATED = {"cli.md", "json.md"}
CONTEXT = click.Context(cli, **cli.context_settings)
COMMANDS = {name: cli.get_command(CONTEXT, name) for name in cli.list_commands(CONTEXT)}
MOST_WORDS = 16_750  # of what there is to read; CHANGELOG.md and NOTICE are records
MOST_GENERATED = 5_000  # and to look up

# Paths of one machine, addresses of registries, and words of salesmen.
FORBIDDEN = (
    r"/(?:work|tmp|root)/|/home/\w|/Users/|\.\./shared|\bC:\\",
    r"(?i)pypi\.org|pythonhosted",
    r"(?i)state.of.the.art|cutting.edge|\brevolution|\bseamless|blazing|world.class|\bleverag",
    r"(?i)\b(?:TODO|FIXME|XXX|lorem ipsum)\b",
    "[\N{SPARKLES}\N{ROCKET}\N{PARTY POPPER}\N{WHITE HEAVY CHECK MARK}\N{CROSS MARK}]",
)
OF_SERVICES = r"(?i)localhost|127\.0\.0\.1|https?://[^\s)]*:\d+"  # elsewhere a slip
# What the glossary has another word for. Words of plain English are here only in phrases in which
# they were terms.
OLD = (
    r"(?i)\b(?:outlier gauge|cover(?:ing)? rule|twins?|rivals?)\b",
    r"(?i)\bpresum(?:e|es|ed|ing)\b|\bhow far .{0,20} is believed\b|\bbeliefs?\b",
    r"(?i)\b(?:two|three|first|second|\d+) looks?\b|\blook again\b|\blooks taken\b",
    r"(?i)\b(?:dear|dearer|dearest)\b|\bof everything random\b|\bdone by us\b",
    r"(?i)\b(?:silences|a silence|is silent|are silent|silent on)\b",
    r"(?i)\b(?:speaks?|spoken?) (?:for|against)\b",
    r"(?i)\bdoubt (?:is|lies|that lies) in\b|\bfits? at .{0,40}coverage\b",
    r"\b(?:OutlierGauge|CoverRule|Looker|FaceReport|BayesianHead)\b",
    r"\b(?:allowed_(?:real|ai)|veridical\.report/1|veridical\.explanation/1)\b",
    r"--(?:most|fill|stability)\b",
)
AMERICAN = r"(?i)\b\w*(?:color|behavior|favorite|labeled|normaliz|standardiz|quantiz|gray)\w*"


def text(page: Path | str) -> str:
    return (DOCS / page if isinstance(page, str) else page).read_text(encoding="utf-8")


def where(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fences(page: Path, language: str) -> Iterator[tuple[int, bool, str]]:
    """Line, whether it is marked to run, and content of each fenced block of a language."""
    found = re.finditer(
        rf"^(<!-- runs -->\n)?```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL
    )
    for block in found:
        yield text(page)[: block.start()].count("\n") + 1, bool(block[1]), block[2]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", text(page), flags=re.MULTILINE | re.DOTALL)


def named(blocks: Sequence[tuple[Path, int, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "code", [pytest.param(code, id=f"{where(page)}:{line}") for page, line, code in blocks]
    )


PYTHON = [(page, *block) for page in PAGES for block in fences(page, "python")]
SHELL = [(page, *block) for page in PAGES for block in fences(page, "sh")]


# --- generated pages ---------------------------------------------------------------------------


def test_what_the_program_writes_is_fresh() -> None:
    made: dict[str, str] = run_path(str(ROOT / "scripts" / "make_docs.py"))["pages"]()
    assert made.keys() > GENERATED
    stale = [name for name, page in made.items() if text(name) != page]
    assert not stale, f"Run `python scripts/make_docs.py`: {stale} would change."


def test_every_command_and_option_is_documented_and_has_help() -> None:
    page = text("cli.md")
    for name, command in COMMANDS.items():
        assert f"## veridical {name}\n" in page
        assert command is not None
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"
                assert all(opt in page for opt in option.opts)
    written = "".join(text(page) for page in PAGES if page.name not in GENERATED)
    assert all(f"veridical {name}" in written for name in COMMANDS)


def test_the_examples_of_json_are_of_the_published_shape() -> None:
    blocks = list(fences(DOCS / "json.md", "json"))
    assert len(blocks) == 2
    for _, _, example in blocks:
        jsonschema.validate(json.loads(example), records.schema())


# --- what is shown runs ------------------------------------------------------------------------


@named([(page, line, code) for page, line, _, code in PYTHON])
def test_every_python_example_compiles(code: str) -> None:
    compile(code, "example", "exec")


@named([(page, line, code) for page, line, runs, code in PYTHON if runs])
def test_marked_examples_run(
    code: str,
    tiny_detector: Detector,
    face_picture: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "portraits").mkdir()
    for name in ("portrait.jpg", "portraits/one.jpg", "portraits/two.png"):
        Image.fromarray(face_picture).save(tmp_path / name)
    (tmp_path / "portraits" / "three.jpg").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Detector, "load", classmethod(lambda *_args, **_options: tiny_detector))
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def commands(block: str) -> Iterator[list[str]]:
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["veridical"]:
            end = next((i for i, word in enumerate(words) if word in (">", "|")), len(words))
            yield words[1:end]


@named([(page, line, code) for page, line, _, code in SHELL])
def test_every_command_line_is_understood(code: str) -> None:
    for name, *arguments in commands(code):
        command = COMMANDS[name]
        assert command is not None
        command.make_context(name, arguments, parent=CONTEXT)


@named([(page, line, code) for page, line, _, code in SHELL])
def test_every_make_target_is_there(code: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make (\w+)", code, re.MULTILINE):
        assert target in targets


def test_every_extra_that_is_named_exists() -> None:
    declared = (ROOT / "pyproject.toml").read_text()
    for page in PAGES:
        for extra in re.findall(r"pip install '(?:\.|veridical)\[(\w+)\]'", text(page)):
            assert f"\n{extra} = [" in declared


# --- what is named is there --------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_its_own_words(reason: Reason) -> None:
    assert f"| `{reason}` | {words.says(reason)} |" in text("numbers.md")


@pytest.mark.parametrize("decision", Decision)
def test_every_decision_is_explained(decision: Decision) -> None:
    assert f"| `{decision}` |" in text("using.md")


def test_every_error_is_mentioned() -> None:
    kinds = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, VeridicalError)
    }
    written = "".join(text(page) for page in PAGES if page.name not in GENERATED)
    missing = {name for name in kinds if f"`{name}`" not in written}
    assert not missing


def test_every_public_name_is_on_the_api_page() -> None:
    page = text("api.md")
    assert all(f"`{name}`" in page for name in veridical.__all__ if not name.startswith("__"))
    for name in re.findall(r"^::: veridical\.([\w.]+)", page, re.MULTILINE):
        module, _, thing = name.rpartition(".")
        parent = import_module(f"veridical.{module}" if module else "veridical")
        assert hasattr(parent, thing) or import_module(f"veridical.{name}"), name


def test_every_room_is_in_the_drawing() -> None:
    house = text("architecture.md").split("src/veridical/\n")[1].split("```")[0]
    rooms = {
        path.name
        for path in (ROOT / "src" / "veridical").rglob("*.py")
        if path.name != "__init__.py" or path.parent.name == "veridical"
    }
    assert not {room for room in rooms if room not in house}
    drawn = set(re.findall(r"\b\w+\.py\b", house))
    assert not drawn - rooms


def test_the_decisions_that_the_code_refers_to_are_there() -> None:
    page = text("architecture.md")
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "pyproject.toml"]
    for source in sources:
        for number in re.findall(r"architecture\.md, decision (\d+)", source.read_text()):
            assert f"\n**{number}. " in page


def numbers() -> dict[str, list[str]]:
    """What the pages say in numbers, said again by the code."""
    limits, defaults = Limits(), Detector.__dataclass_fields__
    sure, fairly, not_very = (limit for limit, _ in words.SURENESS)
    short, thorough = faithfulness.SHORT, faithfulness.THOROUGH
    return {
        "using.md": [
            f"{limits.max_bytes // 2**20} MiB",
            f"{limits.max_pixels // 10**6} million",
            f"| {limits.max_side} px |",
            f"| {limits.max_seconds:g} |",
        ],
        "faces.md": [
            f"| {faces._SCORE} |",
            f"| {faces._OVERLAP} |",
            f"long side of {faces._FIRST_PX} px",
            f"a copy of {faces._SECOND_PX} px",
            f"at least {faces._ALONE} of",
            *(
                f"| `{name}` | {margin} | {config.least_px} px |"
                for (name, margin), config in zip(
                    recipes.DEFAULT.crops, recipes.DEFAULT.configs(224), strict=True
                )
            ),
        ],
        "numbers.md": [
            f"T is {recipes.DEFAULT.samples}. They are drawn",
            f"The middle {defaults['level'].default:.0%}".replace("%", " %"),
            f"their {ood_fit.DIRECTIONS} strongest",
            f"the {ood_fit.LIMIT * 100:g} % quantile",
            f"the coverage is {recipes.DEFAULT.coverage_of_reals} for real",
            f"pictures and {recipes.DEFAULT.coverage_of_ai} for AI-generated ones",
            f'below {sure} nats the model is "sure", below {fairly}',
            f"below {not_very:.3f} ",
            *(f"| `{copy.name}` |" for copy in PERTURBATIONS),
            f"JPEG of quality {PERTURBATIONS[0].quality}, colours",
            f"JPEG of quality {PERTURBATIONS[1].quality} (",
        ],
        "explanations.md": [
            f"{short.orders} random orders with their reverses: {short.passes} forward passes, "
            f"and {2 * short.steps} for each map. A map that knows nothing passes 1 time in "
            f"{1 / short.by_chance:.0f}:",
            f"has {thorough.steps} steps, a quarter, half and three quarters, and "
            f"{thorough.orders} random orders: {thorough.passes} passes, and "
            f"{2 * thorough.steps} for each map; 1 time in {1 / thorough.by_chance:.0f}.",
            f"covers this very face {thorough.passes} times",
            f"the {attribution.N_CHANNELS} largest",
            f"up to the {MOST_FACES} largest",
        ],
        "audit.md": [
            f"At most {audit.MOST} pictures",
            f"Above {probes.WARN},",
            f"is above {probes.REFUSE} with its whole interval",
            f"Fewer than {probes.FEWEST} independent groups",
            f"less than {facts.LEAST_SHOWN} of the frame",
            f"a copy of {facts.THUMBNAIL_PX} x {facts.THUMBNAIL_PX} px",
            f"a JPEG of quality {facts._QUALITY}",
            f"schema `{audit_files.AUDIT}`",
        ],
        "cues.md": [
            f"up to {spectrum.MOST_PX} px",
            f"fewer than {spectrum.LEAST_PX} px, or shows no texture",
            f"fewer than {noise.LEAST_PX} px, or if it is mostly",
            f"at least {symmetry.LEAST_EYES_PX} px apart, whether",
            f"at least {symmetry.LEAST_PX} px apart and the face",
            f"at most {symmetry.FRONTAL} of the eyes' distance",
            f"less than {light.LEAST_PX} px apart",
            f"at {ratios.MOST:g} nats",
            f"by more than {ratios.DROP}; and",
        ],
        "training.md": [
            f"Up to {audit.MOST} pictures",
            f"At least {ready.FEWEST} pictures",
            f"above {export.PARITY:.0e}".replace("e-0", "e-"),
        ],
    }


@pytest.mark.parametrize(
    "page",
    [
        *("using.md", "faces.md", "numbers.md", "explanations.md", "audit.md", "cues.md"),
        "training.md",
    ],
)
def test_numbers_in_the_text_are_those_in_the_code(page: str) -> None:
    said = " ".join(text(page).split())
    assert not [fact for fact in numbers()[page] if fact not in said]


def test_the_table_of_reached_rates_is_what_the_code_gives() -> None:
    rows = re.findall(
        r"^\| ([\d,]+) \| (\d+) % \| (\S+) % \| (\S+) % to (\S+) % \|$",
        text("recalibrating.md"),
        re.MULTILINE,
    )
    assert len(rows) == 6
    for count, asked, *told in rows:
        n = int(count.replace(",", ""))
        found = share_beyond(n, conformal_rank(n, 1 - int(asked) / 100))
        assert told == [f"{100 * share:.2f}" for share in (found.value, found.low, found.high)]


def test_the_sources_of_the_formulas_are_named() -> None:
    for module, paper in ((head, "1112.5745"), (attribution, "1605.01713"), (ood, "ViM")):
        assert paper in (module.__doc__ or "") + Path(str(module.__file__)).read_text()
        assert any(paper in text(page) for page in PAGES)


# --- links and words ---------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S), re.M
    )
    return {
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles
    }


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_no_relative_link_is_dead(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


def test_the_readme_says_how_many_pictures_got_no_verdict() -> None:
    (told,) = re.findall(r"(\d+) % got no verdict", text(ROOT / "README.md"))
    decided = re.findall(r"\| share decided \(not `undecided`\) \| (0\.\d+)", text("accuracy.md"))
    assert len(decided) == 2
    assert all(abs(100 * (1 - float(one)) - int(told)) < 1 for one in decided)


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_no_page_has_forbidden_words(page: Path) -> None:
    patterns = FORBIDDEN if page.name in ("serving.md", "cli.md") else (*FORBIDDEN, OF_SERVICES)
    found = [match[0] for pattern in patterns for match in re.finditer(pattern, text(page))]
    assert not found


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_no_page_uses_a_word_that_the_glossary_replaced(page: Path) -> None:
    if page.name not in ("CHANGELOG.md", "NOTICE"):  # the changelog has a table of the old words
        assert not old_words(text(page))


def test_no_message_to_a_user_uses_a_word_that_the_glossary_replaced() -> None:
    found = {}
    for path in sorted((ROOT / "src" / "veridical").rglob("*.py")):
        strings = (
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        if old := [word for string in strings for word in old_words(string)]:
            found[where(path)] = old
    for path in sorted((ROOT / "src" / "veridical").rglob("*.j2")):
        if old := old_words(path.read_text(encoding="utf-8")):
            found[where(path)] = old
    assert not found


@pytest.mark.parametrize(
    "said", ["the outlier gauge", "It presumes 50 %.", "a second look", "This would be dear."]
)
def test_a_replaced_word_is_noticed(said: str) -> None:
    assert old_words(said)


def old_words(said: str) -> list[str]:
    return [match[0] for pattern in OLD for match in re.finditer(pattern, said)]


def test_every_term_of_the_glossary_is_used_and_no_old_one_is_explained() -> None:
    terms = re.findall(r"^- \*\*(.+?)\*\*: ", text("glossary.md"), re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    others = " ".join(text(page) for page in PAGES if page.name != "glossary.md").lower()
    assert not [term for term in terms if term.lower() not in others]


def test_there_is_not_more_to_read_than_can_be_read() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    words = {page: len(re.findall(r"\S*\w\S*", text(page))) for page in pages}
    generated = sum(count for page, count in words.items() if page.name in GENERATED)
    assert generated <= MOST_GENERATED
    assert sum(words.values()) - generated <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_prose_is_spelt_in_british_english(page: Path) -> None:
    if page.name not in GENERATED:
        assert not re.findall(AMERICAN, prose(page))


def test_every_page_is_in_the_navigation() -> None:
    nav = re.findall(r"^  - [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert {page.name for page in DOCS.glob("*.md")} == set(nav)


def test_marked_places_for_measured_numbers_are_whole() -> None:
    for page in PAGES:
        begun = re.findall(r"<!-- begin ([\w-]+) -->", text(page))
        assert begun == re.findall(r"<!-- end ([\w-]+) -->", text(page))
        assert len(set(begun)) == len(begun)


def test_the_licences_of_what_we_carry_are_named() -> None:
    notice = text(ROOT / "NOTICE")
    for path in (ROOT / "src" / "veridical" / "models").rglob("*.onnx"):
        assert path.relative_to(ROOT).as_posix() in notice
    for path in (ROOT / "examples").glob("*.jpg"):
        assert path.name.split("-")[0] in ("ai", "real")
        assert path.name in text(ROOT / "examples" / "README.md")
    assert shutil.which("make") is None or "demo:" in (ROOT / "Makefile").read_text()
