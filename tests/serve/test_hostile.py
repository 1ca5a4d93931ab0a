"""Files made to hurt whoever opens them, sent to a service with a real decoder."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.attacks.test_images import VICTIMS, bmp, gif, png, tiff
from tests.serve.doubles import SeeThrough
from tests.serve.harness import QUICK, Served, serving

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Unix sockets")
BYTES = {"Content-Type": "application/octet-stream"}


def mutant(seed: int) -> bytes:
    """A valid file with some bytes changed, cut out, doubled or broken off."""
    dice = random.Random(seed)
    data = bytearray(VICTIMS[seed % len(VICTIMS)])
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(min(len(data), 64) if dice.random() < 0.5 else len(data))
        blow = dice.choice(["set", "set", "extreme", "cut", "double", "end"])
        if blow == "set":
            data[at : at + 1] = dice.randbytes(1)
        elif blow == "extreme":
            data[at : at + 4] = dice.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        elif blow == "cut":
            del data[at : at + dice.randint(1, 16)]
            data = data or bytearray(1)
        elif blow == "double":
            data[at:at] = data[at : at + dice.randint(1, 64)]
        else:
            del data[max(at, 8) :]
    return bytes(data)


BOMBS = [
    *(png(2**31 - 1, 2**31 - 1), gif(65535, 65535), bmp(2**30, 2**20), tiff(19_000, 19_000)),
    *(b"", b"\0" * 1000, b"GIF89a", b"\xff\xd8\xff" + b"\0" * 50, b"<svg>" * 99, b"PK\3\4" * 9),
    *(VICTIMS[0] + bytes(200_000), VICTIMS[0] * 20, b"\0\0\0\x18ftypisom" + bytes(500)),
]
UPLOADS = [*BOMBS, *map(mutant, range(200 - len(BOMBS)))]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(SeeThrough(), QUICK) as found:
        yield found


def test_two_hundred_hostile_uploads_end_in_a_report_or_a_problem(served: Served) -> None:
    assert served.pool
    statuses: Counter[int] = Counter()
    with served.client() as client:
        for n, data in enumerate(UPLOADS):
            asked = {"explain": str(n % 3 == 0), "cues": str(n % 2 == 0)}
            begun = time.monotonic()
            answer = client.post("/v1/inspect", params=asked, content=data, headers=BYTES)
            assert time.monotonic() - begun < 8, n
            statuses[answer.status_code] += 1
            told = answer.json()
            assert ("decision" in told) == (answer.status_code == 200), n
            assert answer.status_code == 200 or (told["error"] and told["hint"]), n
        assert client.get("/readyz").status_code == 200
    assert sum(statuses.values()) == len(UPLOADS) == 200
    assert set(statuses) == {200, 413, 415, 422}
    assert not served.pool.lost


def test_a_batch_of_them_loses_none(served: Served) -> None:
    files = [("file", (str(n), data)) for n, data in enumerate(UPLOADS[:60])]
    with served.client() as client:
        lines = client.post("/v1/batch", files=files).text.splitlines()
    assert [json.loads(line)["path"] for line in lines] == [name for _, (name, _) in files]
    assert not [line for line in lines if "Internal" in line or "internal" in line]
