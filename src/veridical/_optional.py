"""Optional packages: imported where they are used, missed politely."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from veridical.errors import MissingExtra


def need(module: str, *, extra: str, to: str) -> ModuleType:
    """Import `module`; if it is absent, say which extra brings it. A broken one fails as itself.

    Args:
        module: Dotted name of the module to import.
        extra: The extra of this package that installs it.
        to: What it is needed for, completing the sentence "is needed to ...".

    Raises:
        MissingExtra: If the module's top-level package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name != module.partition(".")[0]:
            raise
        raise MissingExtra(
            f"The package {module.partition('.')[0]!r} is needed to {to}, and is not installed.",
            hint=f"Install it with: pip install 'veridical[{extra}]'",
        ) from missing


def absent(modules: Iterable[str]) -> list[str]:
    """Return the top-level packages of modules that are not installed; none is imported."""
    names = dict.fromkeys(module.partition(".")[0] for module in modules)
    return [name for name in names if not _found(name)]


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a finder that refuses; a module without a specification
        return False
