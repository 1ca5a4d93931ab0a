"""What a judgement was computed with: this program's libraries, and the processor.

Equal bytes of a picture and equal models give equal bits only on equal arithmetic. So a report that
is filed names what takes part in it.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from PIL import features

LIBRARIES = (
    *("onnxruntime", "numpy", "pillow", "safetensors", "threadpoolctl"),
    *("pillow-heif", "c2pa-python", "jinja2", "typst"),
)
"""Distributions that a report passes through; those that are not installed are left out."""

_CODECS = ("libjpeg_turbo", "jpg", "zlib", "webp", "avif", "libtiff", "littlecms2", "freetype2")
_CPUINFO = Path("/proc/cpuinfo")
_ARITHMETIC = (  # beginnings of the flags that choose between kernels
    *("sse", "ssse", "avx", "fma", "f16c", "amx", "vnni"),
    *("neon", "asimd", "sve", "sme", "bf16", "i8mm", "fp16", "fphp"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What takes part in the arithmetic of a judgement.

    Attributes:
        system: Operating system and architecture.
        python: Implementation and version.
        libraries: Version of each library by its name.
        processor: Name of the processor; empty where the system does not tell.
        flags: What the processor can do, in alphabetical order.
        flags_from: Who says so.
    """

    system: str
    python: str
    libraries: Mapping[str, str]
    processor: str
    flags: tuple[str, ...]
    flags_from: str

    @property
    def arithmetic(self) -> tuple[str, ...]:
        """The flags that choose between kernels of the arithmetic."""
        own = (flag for flag in self.flags if flag.lower().startswith(_ARITHMETIC))
        return tuple(flag for flag in own if flag != "smep")  # which is about memory


@cache
def this_machine() -> Machine:
    """Return what this process computes with."""
    processor, flags, said_by = _processor()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=dict(_libraries()),
        processor=processor,
        flags=flags,
        flags_from=said_by,
    )


def _libraries() -> list[tuple[str, str]]:
    found = []
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    for name in _CODECS:
        told = features.version(name) if features.check(name) else None
        if told:
            found.append((f"pillow: {name}", str(told)))
    return [*found, *_blas()]


def _blas() -> list[tuple[str, str]]:
    from threadpoolctl import threadpool_info

    blas = [one for one in threadpool_info() if one["user_api"] == "blas"]
    # Other packages bring pools of their own into a process; ours is NumPy's.
    own = [one for one in blas if "numpy" in str(one.get("filepath"))] or blas
    found = ((one["internal_api"], one["version"], one.get("architecture")) for one in own)
    return sorted({(f"numpy: {name}", ", ".join(filter(None, told))) for name, *told in found})


def _processor() -> tuple[str, tuple[str, ...], str]:
    """Return the processor's name, its flags, and who says so."""
    try:
        # The first processor speaks for all: the others differ in their number and clock only.
        entries = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        entries = ""
    told = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition(":") for line in entries.splitlines())
    }
    name = told.get("model name") or platform.processor() or os.environ.get("PROCESSOR_IDENTIFIER")
    flags = told.get("flags") or told.get("features")
    if flags:
        return name or "", tuple(sorted(set(flags.split()))), "the system"
    simd = np.show_config(mode="dicts") or {}  # type: ignore[call-overload, unused-ignore]
    known = simd.get("SIMD Extensions", {})
    found = {*known.get("baseline", ()), *known.get("found", ())}
    return name or "", tuple(sorted(found)), "NumPy"
