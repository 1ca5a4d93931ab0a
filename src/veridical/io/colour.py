"""Whatever a decoder gives, as RGB of 8 bits in sRGB: depth, colour profiles, transparency.

Each step that was taken is put into `steps`, in words.
"""

import io
import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from veridical.arrays import Float, UInt8, ndarray
from veridical.errors import NotAPhoto

BYTE_OF = ((np.arange(65536) + 128) // 257).astype(np.uint8)
"""For each level of 16 bits the nearest one of 8."""


_DARKEST = 0.25  # of a range of more than 8 bits: a picture that stays below it may have another
_EXPORT = (
    "Open it in the program that made it, check that it looks right there, and export it as an "
    "8-bit PNG; keep the original beside it."
)
_OVER = 0.1  # of the range of floats: what sharpening or resampling may overshoot it by


def eight_bits(
    image: Image.Image,
    name: str,
    steps: list[str],
    *,
    inverted: bool = False,
    declared: tuple[float, float] | None = None,
) -> Image.Image:
    """Scale greyscale of more than 8 bits to mode L; return all else as it is.

    Never by what the values happen to be: floats by [0, 1] or what the file declares, 16 bits by 16
    bits, 32 bits where the file says that they have no sign.

    Args:
        image: What the decoder gave.
        name: Of the picture, for the message.
        steps: Is told what was done.
        inverted: Whether the file says that zero is white.
        declared: Lowest and highest value by the file's own word.

    Raises:
        NotAPhoto: If the range of the values is not clear.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        low, high = declared or (0.0, 1.0)
        scaled = float_bytes((values - low) / (high - low), f"{name}: has float values", steps)
    elif image.mode != "I":
        scaled = sixteen_bytes(values, name, steps)
    elif declared is not None:
        refuse_unclear(name, int(values.view(np.uint32).max()), 2**32 - 1)
        scaled = (values.view(np.uint32) >> 24).astype(np.uint8)
        steps.append("32-bit scaled to 8-bit")
    else:
        raise NotAPhoto(
            f"{name}: has whole numbers of 32 bits, from {values.min()} to {values.max()}, and "
            "does not say which is white; 8 bits were wanted.",
            hint="Scale it to 0 to 255 and pass it with 8 bits.",
            cli_hint=_EXPORT,
        )
    grey = Image.fromarray(~scaled if inverted else scaled)  # Pillow inverts 8-bit TIFF only
    # The profile and no more: a "transparency" of 16 bits would be misread in 8.
    grey.info["icc_profile"] = image.info.get("icc_profile")
    return grey


def sixteen_bytes(values: ndarray, name: str, steps: list[str]) -> UInt8[ndarray, "..."]:
    """Return 16-bit levels as 8-bit ones, to the nearest; of four channels the last is alpha.

    Raises:
        NotAPhoto: If they may be of fewer bits.
    """
    colour = values[..., :3] if values.ndim == 3 else values
    refuse_unclear(name, int(colour.max()), 65535)
    steps.append("16-bit scaled to 8-bit")
    scaled: ndarray = BYTE_OF[values]
    return scaled


def refuse_unclear(name: str, highest: int, top: int) -> None:
    """Refuse levels that leave most of their range empty: 8, 10, 12 or 14 bits in a wider type.

    Raises:
        NotAPhoto: If so. A picture that is all black is black in any range.
    """
    if 0 < highest <= top * _DARKEST:
        raise NotAPhoto(
            f"{name}: its values go up to {highest} of {top}; it is either very dark, or of fewer "
            "bits than its type.",
            hint="Scale it to its own range and pass it with 8 bits.",
            cli_hint=_EXPORT,
        )


def float_bytes(
    values: Float[ndarray, "..."], came: str, steps: list[str]
) -> UInt8[ndarray, "..."]:
    """Return floats in [0, 1] as levels, to the nearest; a small overshoot is clipped.

    Raises:
        NotAPhoto: If they are not in [0, 1].
    """
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(low + high):
        raise NotAPhoto(
            f"{came} that are no numbers, or infinite; floats in [0, 1] were wanted.",
            hint="Look for what divides by zero on the way to them.",
            cli_hint=_EXPORT,
        )
    if not (low >= -_OVER and high <= 1 + _OVER):
        raise NotAPhoto(
            f"{came} from {low:g} to {high:g}; floats in [0, 1] were wanted.",
            hint="Undo the normalisation, or divide by 255.",
            cli_hint=_EXPORT,
        )
    clipped = "clipped to [0, 1] and " if low < 0 or high > 1 else ""
    steps.append(f"float {clipped}scaled to 8-bit")
    scaled: ndarray = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return scaled


def to_srgb(image: Image.Image, steps: list[str], *, ours: bool = False) -> Image.Image:
    """Return the picture as RGB in sRGB, over white where it is transparent.

    A profile that cannot be used is ignored, and `steps` says so.

    Args:
        image: Of 8 bits.
        steps: Is told what was done.
        ours: Whether the image may be changed, which spares a copy.
    """
    profile = image.info.get("icc_profile")
    colour, alpha = _split(image)
    if isinstance(profile, bytes) and profile:
        colour = _through_profile(colour, profile, steps, ours=ours)
    if colour.mode == "CMYK":
        steps.append("CMYK converted without a profile")
    colour = colour if colour.mode == "RGB" else colour.convert("RGB")
    if alpha is None:
        return colour
    steps.append("transparency laid over white")
    white = Image.new("RGB", colour.size, "white")
    white.paste(colour, mask=alpha)
    return white


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colour, as RGB, L or CMYK, and the alpha if any of it is less than opaque."""
    if image.mode in ("La", "RGBa", "PA") or (
        "transparency" in image.info and image.mode in ("1", "L", "RGB", "P")
    ):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None and alpha.getextrema()[0] == 255:
        alpha = None
    if image.mode in ("1", "LA"):
        return image.convert("L"), alpha
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB"), alpha


def _through_profile(
    colour: Image.Image, profile: bytes, steps: list[str], *, ours: bool
) -> Image.Image:
    try:
        mode, name, transform = _transform(profile)
        if (mode, colour.mode) == ("RGB", "L"):
            colour = colour.convert("RGB")
        if mode != colour.mode:
            steps.append(f"colour profile ignored: it is for {mode}, the picture is {colour.mode}")
        elif transform is not None:
            here = ours and colour.mode == "RGB"
            colour = ImageCms.applyTransform(colour, transform, inPlace=here) or colour
            steps.append(f"colour profile {name!r} converted to sRGB")
    except (ImageCms.PyCMSError, LookupError, OSError, TypeError, ValueError):
        steps.append("broken colour profile ignored")
    return colour


@lru_cache(maxsize=8)  # most pictures carry one of a few profiles
def _transform(profile: bytes) -> tuple[str, str, ImageCms.ImageCmsTransform | None]:
    """Return the mode a profile is for, its name, and the way to sRGB (None if it is sRGB).

    Relative colorimetric with black point compensation, as photo editors do by default. sRGB is
    told by what the profile does, not by its name: no colour of a grid moves by more than two
    levels of 255, about what rounding costs.
    """
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[opened.profile.xcolor_space.strip()]
    name = "".join(c for c in ImageCms.getProfileDescription(opened) if c.isprintable())[:60]
    transform = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "RGB":
        grid = np.indices((17, 17, 17), np.uint8).reshape(3, 17, 289).transpose(1, 2, 0) * 15
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform))
        if np.abs(moved.astype(int) - grid).max() <= 2:
            return mode, name, None
    return mode, name, transform
