"""How fine detail falls off with its frequency, and whether an up-sampling grid shows in it.

Up-convolutions do not reproduce the spectrum of photographs (Durall, Keuper, Pfreundt and Keuper,
"Unmasking DeepFakes with simple Features", arXiv:1911.00686; Durall, Keuper and Keuper, "Watch your
Up-Convolution", CVPR 2020, arXiv:2003.01826), and repeat the spectrum at fractions of the sampling
rate (Zhang, Karaman and Chang, "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019,
arXiv:1907.06515; Corvi et al., arXiv:2211.00680, for diffusion models). Interpolation also leaves a
periodic variance (Gallagher, "Detection of linear and cubic interpolation in JPEG compressed
images", CRV 2005).

Departures: the spectrum is the average over overlapping tiles under a Hann window (Welch, IEEE
Transactions on Audio and Electroacoustics 15(2), 1967) instead of one transform of the whole
picture, so that it is steadier and a face's rim does not draw a cross; the azimuthal integral is a
mean; and its height is told by its distance from a power law, not from the constant component.
"""

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Bool, Float, Int, UInt8, ndarray
from veridical.cues.pixels import face_window, luma
from veridical.cues.protocol import Cue, CueInput, Measurement
from veridical.explanation import Curve
from veridical.report import NotApplicable

LEAST_PX = 64  # shorter side of the face; one tile
MOST_PX = 256  # px in the middle of the face that are looked at
_TILE, _HOP = 64, 32  # px; a multiple of 8, so that every grid frequency is a bin of its own
_LAW = (0.06, 0.30)  # cycles per px; where the power law is fitted
_MIDDLE, _HIGH = (0.25, 0.40), (0.40, 0.50)  # cycles per px; where the distance from it is taken
_USUAL = (-1.35, 0.65)  # nats; 9 in 10 of our real photographs lie between, in the highest band
_GRID = 1.0  # nats; 19 in 20 of them have no line this high
_FLAT = 0.25  # squared levels; below it there is no texture but rounding
_REACH = 3  # bins around a grid frequency that it is compared with
_GUARD = 1  # bins of them that belong to its own peak


def measure(given: CueInput) -> Measurement | NotApplicable:
    """Measure the spectrum of the middle of a face, at the resolution in which it came."""
    window = face_window(given, most=MOST_PX, least=LEAST_PX)
    if window is None:
        return NotApplicable(
            cue="spectrum",
            why=f"The shorter side of the face has fewer than {LEAST_PX} px; its fine detail "
            "cannot be told from chance.",
        )
    values = luma(window)
    if values.var() < _FLAT:
        return NotApplicable(cue="spectrum", why="The face is a flat area without any texture.")
    power = _welch(values)
    where, profile = azimuthal(power)
    log_power, log_where = np.log(profile), np.log(where)
    slope, offset = np.polyfit(log_where[_in(where, _LAW)], log_power[_in(where, _LAW)], 1)
    law = offset + slope * log_where
    away = log_power - law
    grids = _grids(window)
    high = float(away[_in(where, _HIGH)].mean())
    seen = "is about as strong as in most photographs"
    if not _USUAL[0] <= high <= _USUAL[1]:
        seen = f"is {'stronger' if high > 0 else 'weaker'} than in most photographs"
    if max(grids.values()) > _GRID:
        seen += ", and regular lines stand out of it, as up-sampling leaves them"
    return Measurement(
        statistics={
            "slope": float(slope),
            "middle": float(away[_in(where, _MIDDLE)].mean()),
            "high": high,
            "ripple": float(away[_in(where, _LAW)].std()),
            **{f"grid_{step}": value for step, value in grids.items()},
        },
        plain=f"The finest detail of the face {seen}",
        technical=(
            f"Power falls as f^{slope:.2f} from {_LAW[0]} to {_LAW[1]} cycles/px; the band from "
            f"{_HIGH[0]} to {_HIGH[1]} lies {high:+.2f} nats off that law; lines at multiples of "
            "1/2, 1/4 and 1/8 of the sampling rate stand "
            f"{grids[2]:+.2f}, {grids[4]:+.2f} and {grids[8]:+.2f} nats above their neighbourhood "
            "(those of 1/8, and weaker ones of 1/4 and 1/2, can be JPEG's)."
        ),
        drawing=Curve(
            x=where,
            y=log_power - log_power[0],
            fit=law - log_power[0],
            marks=(1 / 8, 1 / 4, 1 / 2),
            x_label="frequency, cycles per px",
            y_label="power, nats",
        ),
    )


def azimuthal(
    power: Float[ndarray, "side side"],
) -> tuple[Float[ndarray, " radii"], Float[ndarray, " radii"]]:
    """Return radii in cycles per px, up to 1/2, and the mean power around each.

    The discrete form of the azimuthal integral AI of arXiv:2003.01826, as a mean.
    """
    side = len(power)
    steps = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(steps[:, None], steps[None, :])).astype(int).ravel()
    total = np.bincount(radius, power.ravel())[1 : side // 2 + 1]
    count = np.bincount(radius)[1 : side // 2 + 1]
    return np.arange(1, side // 2 + 1) / side, np.maximum(total / count, 1e-9)


def _in(where: Float[ndarray, " n"], band: tuple[float, float]) -> Bool[ndarray, " n"]:
    inside: ndarray = (where >= band[0]) & (where <= band[1])
    return inside


def _welch(values: Float[ndarray, "rows columns"]) -> Float[ndarray, "tile tile"]:
    """Return the mean power of overlapping tiles, squared levels per bin."""
    taper = np.hanning(_TILE + 2)[1:-1]
    taper = np.outer(taper, taper)
    tiles = np.lib.stride_tricks.sliding_window_view(values, (_TILE, _TILE))[::_HOP, ::_HOP]
    flat = tiles.reshape(-1, _TILE, _TILE)
    flat = (flat - flat.mean(axis=(1, 2), keepdims=True)) * taper
    power: ndarray = np.abs(np.fft.rfft2(flat)) ** 2
    half = power.mean(axis=0) / (taper**2).sum()
    full = np.empty((_TILE, _TILE))
    full[:, : _TILE // 2 + 1] = half
    # The spectrum of a real picture is even: P(-f) = P(f).
    full[:, _TILE // 2 + 1 :] = half[(-np.arange(_TILE)) % _TILE, 1:-1][:, ::-1]
    return full


def _grids(window: UInt8[ndarray, "rows columns 3"]) -> dict[int, float]:
    """Return how far the lines of each grid stand above their neighbourhood, nats.

    Of the residual's spectrum, where an uneven up-convolution repeats the constant component, and
    of that of its size, where interpolation leaves a periodic variance: the larger of both.
    """
    grey = Image.fromarray(window).convert("L")
    rest = np.asarray(grey, dtype=float) - np.asarray(
        grey.filter(ImageFilter.MedianFilter(3)), dtype=float
    )
    powers = [np.log(_welch(part) + 1e-6) for part in (rest, np.abs(rest))]
    found = {}
    for step in (2, 4, 8):
        lines = _lines(step)
        found[step] = max(_above(power, lines) for power in powers)
    return found


def _lines(step: int) -> Int[ndarray, "lines 2"]:
    """Return the bins at multiples of 1/step in both directions that are none of 2/step."""
    ticks = np.arange(step) * (_TILE // step)
    bins = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    coarser = 2 * _TILE // step
    own: ndarray = bins[(bins % coarser != 0).any(axis=1)]
    return own


def _above(log_power: Float[ndarray, "tile tile"], lines: Int[ndarray, "lines 2"]) -> float:
    """Return how far bins stand above the median around each, nats, on average; bins wrap round."""
    span = np.arange(-_REACH, _REACH + 1)
    near = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    near = near[np.abs(near).max(axis=1) > _GUARD]
    around = (lines[:, None] + near[None]) % _TILE
    usual = np.median(log_power[around[..., 0], around[..., 1]], axis=1)
    return float((log_power[lines[:, 0], lines[:, 1]] - usual).mean())


SPECTRUM = Cue(
    name="spectrum",
    statistics=("slope", "middle", "high", "ripple", "grid_2", "grid_4", "grid_8"),
    measure=measure,
)
