"""What is missing or wrong in the data of a file, and a whole file of the rest."""

from typing import Literal, NamedTuple

Kind = Literal["cut_off", "corrupt", "scans_missing"]


class Loss(NamedTuple):
    """What is wrong.

    Attributes:
        kind: As in `report.Damage`.
        share: Of the picture that is missing or wrong for sure.
        top: First row that may be wrong, px of the picture as stored.
        bottom: Row behind the last that may be wrong; None where all below `top` may be.
    """

    kind: Kind
    share: float
    top: int
    bottom: int | None = None


class Mended(NamedTuple):
    """A damaged file as one that can be decoded.

    Attributes:
        data: The file.
        loss: What is wrong with it; None where only what stands around the pixels is.
        blank: Whether what was lost shows something else, and is to be painted black.
        note: What is wrong around the pixels, as a step.
    """

    data: bytes
    loss: Loss | None
    blank: bool = False
    note: str = ""
