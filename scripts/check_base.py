"""Prove that the base install alone inspects pictures: run it in an environment without extras.

    python scripts/check_base.py EXAMPLES

Fails if an absent extra is missed, if a heavy package is installed, or if a picture
gets no verdict.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HEAVY = (
    *("torch", "scipy", "sklearn", "transformers", "matplotlib", "onnx", "jaxtyping", "pandas"),
    *("c2pa", "cryptography"),
)


def main() -> None:
    present = [name for name in HEAVY if find_spec(name)]
    if present:
        raise SystemExit(f"This is no base install: {present} are installed.")
    pictures = sorted(Path(sys.argv[1]).glob("*.jpg"))
    command = [sys.executable, "-m", "veridical", "inspect", "--json", *map(str, pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"inspect exited with {done.returncode}: {done.stderr}")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    leads = [one["faces"][one["lead_index"]] for one in records if one["lead_index"] is not None]
    judged = [face for face in leads if face["verdict"]["p_ai"] is not None]
    if len(judged) != len(pictures) or not pictures:
        raise SystemExit(f"{len(judged)} of {len(pictures)} pictures were judged.")
    trained = subprocess.run(
        [sys.executable, "-m", "veridical", "train", "nowhere", "--out", "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Traceback" in trained.stderr or not trained.returncode:
        raise SystemExit(f"train without extras should say what is missing: {trained.stderr}")
    print(f"base install: {len(judged)} pictures judged, {len(HEAVY)} heavy packages absent")


if __name__ == "__main__":
    main()
