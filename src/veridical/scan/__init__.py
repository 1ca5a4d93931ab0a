"""From one photo to millions: killed, resumed, spread, and read by any table tool.

    plan (what) ─→ engine (where) ─→ ledger (whole parts of rows)

`veridical.scan` is both this room and its door: `veridical.scan("photos/", "results/")`.
"""

import sys
from types import ModuleType
from typing import Any


class _Door(ModuleType):
    """Importing a room puts it over a function of the same name, so the room is called itself."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Scan; see `veridical.scan.run.scan`."""
        from veridical.scan.run import scan

        return scan(*arguments, **options)


sys.modules[__name__].__class__ = _Door
