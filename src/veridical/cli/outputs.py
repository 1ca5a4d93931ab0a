"""Where answers go beside the terminal: a table, and a folder of pages."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.explain.face import ExplainConfig
    from veridical.io.clip import Sampling
    from veridical.io.source import File
    from veridical.present.files import Extra, Folder, Made
    from veridical.present.table import Writer
    from veridical.report import Failure, Report
    from veridical.video import Answer, VideoReport


@contextmanager
def opened_table(path: Path) -> "Iterator[Writer]":
    """Open the table; refuse to write it over something else."""
    from veridical.present.table import TableTaken, Writer, open_table

    if str(path) == "-":
        # RFC 4180 wants line ends that no system changes.
        stream = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield Writer(stream, bom=False)
        finally:
            stream.detach()  # standard output is not ours to close
        return
    try:
        file = open_table(path)
    except TableTaken:
        raise click.UsageError(
            f"--csv {path}: this file is there, and is no table of veridical. Name another one."
        ) from None
    with options.naming(str(path)):
        table = Writer(file, bom=True)
    try:
        yield table
    finally:
        with suppress(OSError):  # a disk that is full was told of when a row was written
            file.close()


def opened_folder(path: Path, detector: "Detector") -> "Folder":
    """Open the folder of pages; refuse to write over an index of somebody else."""
    from veridical.infer.priors import assumed
    from veridical.present.files import Folder, FolderTaken

    try:
        folder = Folder(path=path, prior=assumed(detector.card))
    except FolderTaken as taken:
        raise click.UsageError(
            f"--explain {path}: {taken} is there, and was not written by veridical. Name another "
            "folder."
        ) from None
    options.ready(path)
    return folder


class Desk:
    """Judges pictures and writes the page of each, so that each is decoded and judged once."""

    def __init__(
        self,
        detector: "Detector",
        folder: "Folder",
        config: "ExplainConfig",
        extras: "tuple[Extra, ...]",
        sampling: "Sampling",
        *,
        whole_image: bool,
        cues: bool,
    ) -> None:
        self._detector, self._folder, self._sampling = detector, folder, sampling
        self._config, self._extras = config, extras
        self._whole_image, self._cues = whole_image, cues
        self.lost = 0  # explanations that are missing

    def answers(
        self, sources: "Iterable[str | File | Failure]", jobs: int
    ) -> "Iterator[Answer | Failure]":
        """Yield the answer about each picture or clip, in order, when its page is made."""
        from veridical.engines import engine_of
        from veridical.report import Failure

        for answer, made, why in engine_of(jobs).map(self._work, sources):
            if why and not isinstance(answer, Failure):
                self.lost += 1
                options.warn(f"no explanation: {why.path}: {why.error}")
            self._folder.add(made, answer)
            yield answer

    def close(self) -> None:
        """Write the last page and the index, and tell what could not be written."""
        self._folder.close()
        for why, count in self._folder.unwritten.items():
            self.lost += count
            options.warn(f"{self._folder.path}: {why}: {count} files were not written.")

    def _work(
        self, source: "str | File | Failure"
    ) -> "tuple[Answer | Failure, Made, Failure | None]":
        """Return the answer, what to write, and what went wrong."""
        from veridical.engines import outcome
        from veridical.io.video import moves
        from veridical.present.files import make_failure
        from veridical.report import Failure

        clip = moves(source, animations=self._sampling.animations)

        def work(source: "str | File") -> "tuple[Answer, Made]":
            return self._filmed(source) if clip else self._explained(source)

        found = outcome(partial(work), source)
        if not isinstance(found, Failure):
            return *found, None
        detector = self._detector
        made = make_failure(found, model=detector.model, limits=detector.limits)
        if found.bug is None or clip:
            return found, made, found
        # Our fault, perhaps only in explaining: that must not cost the answer.
        inspect = partial(detector.inspect, whole_image=self._whole_image, cues=self._cues)
        return outcome(inspect, source), made, found

    def _filmed(self, source: "str | File") -> "tuple[VideoReport, Made]":
        from veridical.present.files import make_of_clip

        report = self._detector.inspect_video(source, self._sampling, jobs=1, explain=self._config)
        return report.without_explanations(), make_of_clip(report, self._extras)

    def _explained(self, source: "str | File") -> "tuple[Report, Made]":
        from veridical.io.source import open_source
        from veridical.present.files import make

        file = open_source(source, self._detector.limits)
        report = self._detector.inspect(
            file, whole_image=self._whole_image, cues=True, explain=self._config
        )
        faces = tuple(
            replace(face, explanation=None, readings=face.readings if self._cues else None)
            for face in report.faces
        )
        return replace(report, faces=faces), make(report, file, self._extras)
