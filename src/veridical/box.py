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

    def scaled(self, across: float, down: float | None = None) -> "Box":
        """Return where it is in a copy of the photo that is so many times as wide and as high.

        Args:
            across: Factor on lengths from left to right.
            down: On lengths from top to bottom; `across` if None.
        """
        down = across if down is None else down
        return Box(
            left=self.left * across,
            top=self.top * down,
            width=self.width * across,
            height=self.height * down,
        )
