"""One script per table of docs/benchmarks.md."""

import os

# What `veridical`'s command line sets, before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
