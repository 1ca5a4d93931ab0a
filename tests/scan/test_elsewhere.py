"""Files in other places: an S3 server and a web server on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import LARGE, squares

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_pictures_elsewhere_get_the_rows_of_pictures_here(tmp_path: Path) -> None:
    for module in ("moto.server", "s3fs", "aiohttp", "flask"):
        pytest.importorskip(module)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for n in range(6):
        where = folder / "sub" if n > 3 else folder
        Image.fromarray(squares((LARGE, (n / 6, 0.0, 0.1)))).save(where / f"{n}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    # The tests refuse every connection: this one is in a process of its own.
    done = subprocess.run(
        [sys.executable, "-m", "tests.scan.elsewhere", str(folder), str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the same rows of 7 files elsewhere" in done.stdout
