"""A scan: plan, engine and ledger put together."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from veridical._version import VERSION
from veridical.engines import cores
from veridical.io.formats import Limits
from veridical.scan.engines import InProcesses, InThreads, OnRay, ScanEngine
from veridical.scan.fetch import ahead
from veridical.scan.judge import DetectorMaker, Maker
from veridical.scan.ledger import Identity, Ledger, Pace
from veridical.scan.plan import Item, plan
from veridical.scan.same import Answers

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.io.walk import Skip
    from veridical.scan.sinks import FormatName

EngineName = Literal["threads", "processes", "ray"]
Hear = Callable[["Scanned"], object]


@dataclass(slots=True)
class Scanned:
    """How far a scan is, or what came of it.

    Attributes:
        folder: Of the results.
        decisions: What was judged in this run, by decision; `failed` too.
        met: Items of the plan: `new`, `changed`, `known` or `failed` from before, `repeated`.
        gone: Files with an answer that are no longer there.
        rows: Rows of `pictures` on the disk.
    """

    folder: Path
    decisions: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    rows: int = 0

    @property
    def judged(self) -> int:
        """Items with an outcome of this run."""
        return self.decisions.total()

    @property
    def done(self) -> int:
        """Items with an outcome."""
        return self.judged + self.met["known"] + self.met["failed"]

    @property
    def failed(self) -> int:
        """Items of the plan that could not be judged, now or before."""
        return self.decisions["failed"] + self.met["failed"]


def scan(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    detector: "Detector | None" = None,
    whole_image: bool = False,
    clips: bool = True,
    engine: "EngineName | ScanEngine" = "threads",
    jobs: int | None = None,
    address: str | None = None,
    format: "FormatName" = "parquet",  # noqa: A002 (as the option is called)
    new: bool = False,
    retry: bool = False,
    skip: "Skip | None" = None,
    hear: Hear | None = None,
) -> Scanned:
    """Judge any number of pictures and clips into tables; see docs/scale.md.

    Killed at any moment, it goes on where it was when it is called again. A file that changed is
    judged again; one that is gone is marked.

    Args:
        sources: One or several of what `scan.plan.plan` takes.
        out: Folder of the results.
        detector: From `Detector.load`; None for the model in the package.
        whole_image: See `Detector.inspect`.
        clips: Whether videos in folders are wanted, too.
        engine: `threads`, `processes`, `ray`, or an engine.
        jobs: Items at a time; None for one per core.
        address: Of a Ray cluster.
        format: `parquet` (needs the extra `scan`), `csv` or `jsonl`.
        new: Put the results of another model or other options into a sub-folder of `out`.
        retry: Try again what could not be judged before.
        skip: Is told of what is passed over.
        hear: Is told after each item.

    Raises:
        ScanError: If the folder cannot be added to, or another scan is at it.
        MissingExtra: If a package is needed that is not installed.
        ManifestError: If a table of sources has no column of paths.
        OSError: If the results cannot be written; what was written stays.
    """
    from veridical.detector import Detector
    from veridical.io.walk import unheard

    chosen = detector or Detector.load(threads=1)
    given = [sources] if isinstance(sources, str | os.PathLike) else sources
    items = plan((os.fspath(one) for one in given), skip or unheard, clips=clips)
    return run(
        items,
        Path(out),
        DetectorMaker(chosen, whole_image),
        identity_of(chosen, whole_image=whole_image, format_=format),
        engine_of(engine, jobs, address) if isinstance(engine, str) else engine,
        new=new,
        retry=retry,
        limits=chosen.limits,
        hear=hear,
    )


def run(
    items: Iterable[Item],
    out: Path,
    make: Maker,
    identity: Identity,
    engine: ScanEngine,
    *,
    new: bool = False,
    retry: bool = False,
    limits: Limits = Limits(),
    pace: Pace = Pace(),
    hear: Hear | None = None,
) -> Scanned:
    """Judge items into a folder; see `scan`.

    Args:
        items: What to judge.
        out: Folder of the results.
        make: Makes the judges.
        identity: What all rows have in common.
        engine: Where it is done.
        new: See `scan`.
        retry: See `scan`.
        limits: On what is fetched.
        pace: When rows are written.
        hear: Is told after each item.
    """
    folder = sub_folder(out, identity) if new else out
    done = Scanned(folder)
    with Ledger(folder, identity, pace=pace, retry=retry) as ledger:
        done.met = ledger.met
        if isinstance(engine, InProcesses) and engine.scratch is None:
            engine = replace(engine, scratch=folder)  # what a kill leaves there is cleaned up
        answers = Answers()
        todo = answers.given(ledger.wanted(iter(items)))
        if not isinstance(engine, OnRay):  # whose workers have better ways to other places
            todo = ahead(todo, limits)
        for one in engine.run(make, todo):
            ledger.add(one)
            answers.note(one)
            done.decisions[one.picture["decision"]] += 1
            done.rows = ledger.rows
            if hear:
                hear(done)
        done.gone = ledger.mark_gone()
        ledger.flush()
        done.rows = ledger.rows
    return done


def identity_of(detector: "Detector", *, whole_image: bool, format_: "FormatName") -> Identity:
    """Return what all rows of a scan with this detector have in common."""
    limits = detector.limits
    options: dict[str, Any] = {
        "whole_image": whole_image,
        "fast": len(detector.parts.branches) == 1,
        "recheck": bool(detector.perturbations),
        "samples": detector.parts.samples,
        "max_bytes": limits.max_bytes,
        "max_pixels": limits.max_pixels,
        "max_seconds": limits.max_seconds,
        "trust": hashlib.sha256(repr(detector.trust).encode()).hexdigest()[:12],
    }
    return Identity(model=detector.model, version=VERSION, options=options, format=format_)


def sub_folder(out: Path, identity: Identity) -> Path:
    """Return the folder for results of a model with these options, below `out`."""
    told = json.dumps([identity.told, identity.format])
    return out / f"{identity.model}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def engine_of(name: EngineName, jobs: int | None, address: str | None = None) -> ScanEngine:
    """Return an engine by its name.

    Args:
        name: `threads`, `processes` or `ray`.
        jobs: Items at a time; None for one per core.
        address: Of a Ray cluster.
    """
    if name == "ray":
        return OnRay(jobs, address)
    jobs = jobs or cores()
    return InProcesses(jobs) if name == "processes" else InThreads(jobs)
