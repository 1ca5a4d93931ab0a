"""A rectangle in a photo."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle in the pixels of the photo after EXIF orientation.

    Attributes:
        left: Distance of the left edge from the photo's left edge, px.
        top: Distance of the upper edge from the photo's upper edge, px.
        width: px.
        height: px.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"A box needs a positive size; got {self.width} x {self.height} px.")

    @property
    def size_px(self) -> float:
        """The longer side, px."""
        return max(self.width, self.height)
