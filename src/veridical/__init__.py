"""Veridical tells photographs of people from AI-generated ones.

    from veridical import Detector

    report = Detector.load().inspect("portrait.jpg")
    print(report.decision, report.p_ai, report.interval)

Names are loaded when they are first used: importing the package wakes neither torch nor
ONNX Runtime.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from veridical._version import VERSION as __version__

# Nothing leaves the machine. ONNX Runtime (since 1.32, on Linux too) and Ray report their use to
# their makers unless they are told not to before they are imported; Hugging Face's hub likewise.
for _name, _value in (
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
):
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.errors import VeridicalError
    from veridical.report import Decision, FaceResult, Failure, Reason, Report, Verdict
    from veridical.scan.run import scan

__all__ = [
    "Decision",
    "Detector",
    "FaceResult",
    "Failure",
    "Reason",
    "Report",
    "Verdict",
    "VeridicalError",
    "__version__",
    "scan",
]

_HOME = {
    "Detector": "detector",
    "VeridicalError": "errors",
    **dict.fromkeys(("Decision", "FaceResult", "Failure", "Reason", "Report", "Verdict"), "report"),
}


def __getattr__(name: str) -> Any:
    if name == "scan":
        return import_module("veridical.scan")  # a room that can be called
    if name not in _HOME:
        raise AttributeError(f"module 'veridical' has no attribute {name!r}")
    return getattr(import_module(f"veridical.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
