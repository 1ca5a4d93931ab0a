"""Join the faces of a clip's frames into people.

Frames are searched a fraction of a second to some seconds apart, so a face may have moved by more
than its own size between two of them: boxes alone would join strangers. Two sightings are compared
by place, size, the aligned face and the colours around it. Frames are joined by the assignment of
least cost (Kuhn, "The Hungarian Method for the Assignment Problem", 1955). A link is only made
where no other assignment costs nearly as little: where in doubt, a track ends and another begins,
so that two people in a frame never swap. A cut ends all tracks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, log

import numpy as np
from PIL import Image

from veridical._optional import need
from veridical.arrays import Float, ndarray
from veridical.box import Box
from veridical.vision.faces import Face

# Chosen on clips with one person (1 link in 100 between neighbours is dearer than LIMIT) and on
# people who stand in one frame: see docs/video.md.
LIMIT = 3.5  # cost above which two sightings are not of one person
MARGIN = 0.6  # by which any other assignment has to be dearer
_MOVE = 1.5  # face sizes of movement that cost 1
_SIZE = 0.4  # logarithm of a ratio of sizes that costs 1
_LOOK = 0.5  # loss of correlation of the aligned face that costs 1
_COLOUR = 20.0  # mean difference of colours around the face, levels, that costs 1
_ALIKE = 2.7  # cost of face and colours above which nothing else helps
_PATIENCE = 2  # searched frames that a face may be missing in

_PATCH, _AROUND = 32, 12  # px: sides of the aligned face, and of what is around it
_EYES = 12.0  # row of the eyes in the aligned face
_DOWN = 0.36  # from eyes to mouth, over its side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Appearance:
    """What a face looks like, for comparing it with the next frame's.

    Attributes:
        face: Grey levels of the aligned face, mean 0 and norm 1.
        around: Mean colours of head, shoulders and what is behind them.
    """

    face: Float[ndarray, "32 32"]
    around: Float[ndarray, "12 12 3"]


@dataclass(slots=True, eq=False)
class Chain:
    """A track while it grows: (frame, face) places, in order."""

    places: list[tuple[int, int]] = field(default_factory=list)


def appearance(image: Image.Image, face: Face) -> Appearance:
    """Return what a face in an upright sRGB frame looks like."""
    (ax, ay), (bx, by) = face.landmarks[:2]
    mouth = np.mean(face.landmarks[3:], axis=0)
    eyes = np.array([(ax + bx) / 2, (ay + by) / 2])
    down = mouth - eyes
    length = max(float(np.hypot(*down)), 1.0)
    down = down / length
    step = length / (_DOWN * _PATCH)  # px of the frame per px of the patch
    across = np.array([down[1], -down[0]])
    corner = eyes - step * (_PATCH / 2 * across + _EYES * down)
    half = _PATCH * step * 1.5
    # Only what is around the face is made smaller, by whole areas, before it is sampled.
    left, top = max(0, int(eyes[0] - half)), max(0, int(eyes[1] - half))
    piece = image.crop((left, top, int(eyes[0] + half) + 1, int(eyes[1] + half) + 1))
    shrink = max(1.0, step)
    size = max(1, round(piece.width / shrink)), max(1, round(piece.height / shrink))
    small = piece.resize(size, Image.Resampling.BOX) if shrink > 1.25 else piece
    fx, fy = piece.width / small.width, piece.height / small.height
    matrix = (
        *(step * across[0] / fx, step * down[0] / fx, (corner[0] - left) / fx),
        *(step * across[1] / fy, step * down[1] / fy, (corner[1] - top) / fy),
    )
    patch = small.convert("L").transform(
        (_PATCH, _PATCH), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    grey = np.asarray(patch, np.float64)
    grey = grey - grey.mean()
    box = face.box
    around = image.resize(
        (_AROUND, _AROUND),
        Image.Resampling.BOX,
        box=_within(
            (
                box.left - box.width,
                box.top - 0.7 * box.height,
                box.left + 2 * box.width,
                box.top + 2.6 * box.height,
            ),
            image,
        ),
    )
    return Appearance(
        face=grey / max(float(np.linalg.norm(grey)), 1e-6), around=np.asarray(around, np.float64)
    )


def cost(
    before: tuple[Box, Appearance], after: tuple[Box, Appearance], gap_s: float = 0.0
) -> float:
    """Return how unlike two sightings are; above `LIMIT` they are not of one person.

    Args:
        before: Box, and what is in it.
        after: The same, later.
        gap_s: Seconds between them: who has more time may move farther.
    """
    (a, own), (b, other) = before, after
    size = (a.size_px + b.size_px) / 2
    apart = hypot(
        a.left + a.width / 2 - b.left - b.width / 2, a.top + a.height / 2 - b.top - b.height / 2
    )
    move = min(apart / size / (1 + min(gap_s, 2.0)), 3.0)
    ratio = abs(log(max(a.size_px, 1.0) / max(b.size_px, 1.0)))
    unlike = 1 - float((own.face * other.face).sum())
    colours = float(np.abs(own.around - other.around).mean())
    looks = unlike / _LOOK + colours / _COLOUR
    # Nobody becomes somebody else by standing in the same place.
    return move / _MOVE + ratio / _SIZE + looks + (LIMIT if looks > _ALIKE else 0.0)


def link(
    frames: Sequence[Sequence[tuple[Box, Appearance]]],
    times_s: Sequence[float],
    cuts: Sequence[bool],
) -> list[Chain]:
    """Join sightings into tracks.

    Args:
        frames: The faces of each searched frame, in order of time.
        times_s: When these frames are shown, seconds.
        cuts: Whether each of them begins another shot.

    Returns:
        Tracks, in order of their first sighting; every face is in one of them.
    """
    done: list[Chain] = []
    alive: list[Chain] = []
    for at, faces in enumerate(frames):
        if cuts[at]:
            alive = []
        alive = [one for one in alive if at - one.places[-1][0] <= 1 + _PATIENCE]
        costs = np.array(
            [
                [cost(frames[f][k], face, times_s[at] - times_s[f]) for face in faces]
                for f, k in (one.places[-1] for one in alive)
            ]
        ).reshape(len(alive), len(faces))
        links, doubtful = assigned(costs)
        for row, column in links:
            alive[row].places.append((at, column))
        # Who may be either of two is neither: both tracks end here.
        alive = [one for row, one in enumerate(alive) if row not in doubtful]
        taken = {column for _, column in links}
        new = [Chain([(at, k)]) for k in range(len(faces)) if k not in taken]
        done += new
        alive += new
    return done


def assigned(
    costs: Float[ndarray, "rows columns"],
) -> tuple[list[tuple[int, int]], set[int]]:
    """Return the links that are beyond doubt, and the rows that had one in doubt.

    Args:
        costs: Of linking each row to each column.
    """
    if not costs.size:
        return [], set()
    solve = need("scipy.optimize", extra="video", to="follow faces").linear_sum_assignment
    # A row may also stay alone, at the price of a link that is just refused.
    rows, columns = costs.shape
    padded = np.full((rows, columns + rows), LIMIT)
    padded[:, :columns] = np.minimum(costs, 10 * LIMIT)

    def total(matrix: Float[ndarray, "rows all"]) -> tuple[float, list[tuple[int, int]]]:
        chosen = list(zip(*solve(matrix), strict=True))
        pairs = [(int(r), int(c)) for r, c in chosen]
        return float(sum(matrix[r, c] for r, c in pairs)), pairs

    least, pairs = total(padded)
    links, doubtful = list[tuple[int, int]](), set[int]()
    for row, column in pairs:
        if column >= columns:
            continue
        other = padded.copy()
        other[row, column] = 1e6
        rival, _ = total(other)
        if rival - least < MARGIN:
            doubtful.add(row)
        else:
            links.append((row, column))
    return links, doubtful


def _within(
    box: tuple[float, float, float, float], image: Image.Image
) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    left, top = min(max(left, 0.0), image.width - 1.0), min(max(top, 0.0), image.height - 1.0)
    return (
        left,
        top,
        max(min(right, image.width), left + 1),
        max(min(bottom, image.height), top + 1),
    )
