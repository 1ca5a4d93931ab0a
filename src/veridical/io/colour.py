"""Whatever a decoder gives, as RGB of 8 bits in sRGB: depth, colour profiles, transparency.

Each step that was taken is put into `steps`, in words.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from veridical.errors import NotAPhoto

BYTE_OF = ((np.arange(65536) + 128) // 257).astype(np.uint8)
"""For each level of 16 bits the nearest one of 8."""


def eight_bits(image: Image.Image, name: str, inverted: bool, steps: list[str]) -> Image.Image:
    """Scale greyscale of more than 8 bits to mode L; return all else as it is.

    Args:
        image: What the decoder gave.
        name: Of the picture, for the message.
        inverted: Whether the file says that zero is white.
        steps: Is told what was done.

    Raises:
        NotAPhoto: If the values are floats that no picture has.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        top = next((top for top in (1, 255, 65535) if high <= top), None)
        if top is None or not low >= 0:  # a NaN is neither
            raise NotAPhoto(
                f"{name}: has float values from {low:g} to {high:g}; a picture in [0, 1] was "
                "wanted.",
                hint="Scale it to [0, 1], or save it with 8 bits.",
            )
        depth, scaled = "float", np.rint(values * (255 / top)).astype(np.uint8)
    elif low >= 0 and high <= 65535:
        depth, scaled = "16-bit", BYTE_OF[values]
    else:
        depth, scaled = "32-bit", (values.view(np.uint32) >> 24).astype(np.uint8)
    steps.append(f"{depth} scaled to 8-bit")
    grey = Image.fromarray(~scaled if inverted else scaled)  # Pillow inverts 8-bit TIFF only
    # The profile and no more: a "transparency" of 16 bits would be misread in 8.
    grey.info["icc_profile"] = image.info.get("icc_profile")
    return grey


def to_srgb(image: Image.Image, steps: list[str]) -> Image.Image:
    """Return the picture as RGB in sRGB, over white where it is transparent.

    A profile that cannot be used is ignored, and `steps` says so.
    """
    profile = image.info.get("icc_profile")
    colour, alpha = _split(image)
    if isinstance(profile, bytes) and profile:
        colour = _through_profile(colour, profile, steps)
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


def _through_profile(colour: Image.Image, profile: bytes, steps: list[str]) -> Image.Image:
    try:
        mode, name, transform = _transform(profile)
        if (mode, colour.mode) == ("RGB", "L"):
            colour = colour.convert("RGB")
        if mode != colour.mode:
            steps.append(f"colour profile ignored: it is for {mode}, the picture is {colour.mode}")
        elif transform is not None:
            colour = ImageCms.applyTransform(colour, transform) or colour
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
