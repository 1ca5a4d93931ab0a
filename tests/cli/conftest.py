"""What the tests of several commands share."""

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.conftest import Painter
from veridical.cli.main import main
from veridical.detector import Detector
from veridical.present import records
from veridical.vision.prepare import Finder

CHECK = jsonschema.Draft202012Validator(records.schema())
Run = Callable[..., Result]
Picture = Callable[[Path], Path]
Album = Callable[..., Path]

HOSTILE = [
    "-x.jpg",
    "[red]x[/red].jpg",
    "a\nb\x1b[31m.jpg",
    "\u202egpj.jpg",
    os.fsdecode(b"\xe9.jpg"),
]


def invoke(*arguments: object) -> Result:
    """Run a command; whatever goes wrong on purpose must end in a message, never a traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.stderr
    return result


def lines(result: Result) -> list[dict[str, Any]]:
    """Read JSON lines, and hold each of them to the published schema."""
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


def written(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def see(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every detector that is loaded see faces where this finder does."""
    monkeypatch.setattr("veridical.detector.FaceFinder", lambda *_options: finder)


@pytest.fixture
def run(tiny_model: Path, tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `inspect` with the tiny model and a finder that sees one face in every picture."""
    see(tiny_detector.finder, monkeypatch)
    return lambda *arguments: invoke("inspect", "--model", tiny_model, *arguments)


@pytest.fixture
def picture(painter: Painter) -> Picture:
    """Paint a picture that can be judged; another name, another picture."""

    def picture(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = zlib.crc32(str(path).encode("utf-8", "surrogateescape"))
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=seed)).save(path)
        return path

    return picture


@pytest.fixture
def album(painter: Painter, tmp_path: Path) -> Album:
    """A folder with so many pictures in each sub-folder."""

    def album(**counts: int) -> Path:
        for name, count in counts.items():
            (tmp_path / "data" / name).mkdir(parents=True)
            for n in range(count):
                pixels = painter(80, 80, (12, 12, 56, 56), seed=zlib.crc32(f"{name}{n}".encode()))
                Image.fromarray(pixels).save(tmp_path / "data" / name / f"{n}.png")
        return tmp_path / "data"

    return album


@pytest.fixture
def audit(tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `audit` with a finder that sees one face in every picture."""
    monkeypatch.setattr("veridical.vision.faces.FaceFinder", lambda *_options: tiny_detector.finder)
    return lambda *arguments: invoke("audit", *arguments)


# --- pictures that cannot be judged -------------------------------------------------------------


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
    "truncated.jpg": (jpeg()[:150], "no picture comes of them"),
    "text.jpg": (b"This is not an image.\n", "is text"),
    "page.png": (b"<!DOCTYPE html><html>404</html>", "HTML page"),
    "wide.png": (png_of(40_000, 1), "40000 x 1 px"),
    "bomb.png": (png_of(60_000, 60_000), "60000 x 60000 px"),
    "heif.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "begins like HEIC"),
}


@pytest.fixture
def bad(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in BAD]
