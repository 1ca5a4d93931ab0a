"""A scan of so many names, to be killed from outside: python -m tests.scan.killed OUT COUNT."""

import sys
from pathlib import Path

from tests.scan.doubles import ByName, identity
from veridical.scan.engines import InThreads
from veridical.scan.ledger import Pace
from veridical.scan.plan import Item
from veridical.scan.run import run


def main(out: str, count: int) -> None:
    items = (Item(path=f"{n:06d}.jpg", size=n) for n in range(count))
    pace = Pace(rows=max(60, count // 60), least_s=0.02)
    done = run(items, Path(out), ByName(), identity(), InThreads(1), pace=pace)
    print(done.judged, done.rows)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
