"""One picture: the detector's report, and what the forensic cues say of each face it judged.

The cues stay beside the verdict and do not move it: fused with it, they made it no better
(docs/cues.md, "Fusion").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from veridical.cues import DEFAULT_CUES, examine_all
from veridical.cues.shape import Cue, Examined
from veridical.detector import Detector
from veridical.errors import PhotoError
from veridical.images import Limits, Photo, read_bytes, read_photo
from veridical.report import FaceReport, Reading, Report, Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """A report, and the cues' answers beside it.

    Attributes:
        report: On the picture; the same as without cues.
        cues: For each face of the report one answer per cue, in the order asked; None for a face
            that was not judged. None altogether if no cue was asked.
    """

    report: Report
    cues: tuple[tuple[Reading | Silence, ...] | None, ...] | None = None

    def __post_init__(self) -> None:
        if self.cues is not None and len(self.cues) != len(self.report.faces):
            raise ValueError(
                f"An examination needs answers, or None, for each of {len(self.report.faces)} "
                f"faces; got {len(self.cues)}."
            )


def inspect(detector: Detector, path: Path, *, whole_image: bool = False) -> Examination:
    """Judge one picture, and ask the cues about every face that was judged.

    Args:
        detector: Judges.
        path: Of the picture.
        whole_image: As for `Detector.inspect`.

    Raises:
        PhotoError: If the picture cannot be read.
    """
    photo = read_photo(path, detector.limits)
    report = detector.inspect(photo, whole_image=whole_image)
    judged = [face for face in report.faces if face.verdict is not None]
    data = bytes_of(photo, path, detector.limits) if judged else None
    return together(report, [ask(photo, face, data) for face in judged])


def together(report: Report, examined: Sequence[Sequence[Examined]]) -> Examination:
    """Put what was said of the judged faces, in the report's order, beside the report."""
    told = iter(examined)
    return Examination(
        report=report,
        cues=tuple(
            None if face.verdict is None else tuple(one.answer for one in next(told))
            for face in report.faces
        ),
    )


def ask(
    photo: Photo, face: FaceReport, data: bytes | None, *, cues: Sequence[Cue] = DEFAULT_CUES
) -> tuple[Examined, ...]:
    """Ask every cue about one face. A fault in a cue silences that cue, and nothing else.

    Args:
        photo: The picture.
        face: One of its faces.
        data: The file's bytes; None where there are none.
        cues: Whom to ask.
    """
    return tuple(_asked(photo, face, data, cue) for cue in cues)


def _asked(photo: Photo, face: FaceReport, data: bytes | None, cue: Cue) -> Examined:
    try:
        (answer,) = examine_all(photo, face, data, cues=(cue,))
    except Exception as error:  # our fault: it costs this cue, says so, and the verdict stays
        why = f"internal error ({type(error).__name__}), a fault of veridical; please report it."
        return Examined(answer=Silence(cue=cue.name, why=why))
    return answer


def bytes_of(photo: Photo, path: Path, limits: Limits) -> bytes | None:
    """Return the file's bytes; None if it is no longer the file that was judged."""
    try:
        data = read_bytes(path, limits)
    except PhotoError:
        return None
    return data if sha256(data).hexdigest() == photo.sha256 else None
