"""A service with a double, as a program of its own: `python -m tests.serve.program`."""

import logging
import sys
from pathlib import Path

from tests.serve.doubles import ByContent, anything
from veridical.serve.app import build_app
from veridical.serve.orders import Size
from veridical.serve.pool import Pool
from veridical.serve.settings import Settings
from veridical.serve.wire import bound, run, server

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    pool = Pool(ByContent(), Size(workers=2, queue=16, deadline_s=20.0))
    app = build_app(pool, Settings(), check=anything)
    run(server(app, drain_s=20), bound("", 0, Path(sys.argv[-1])), pool)
