"""What kind of file came: what its first bytes tell at once needs no worker."""

from collections.abc import Callable

from veridical.errors import NotAPhoto
from veridical.io.clip import clip_kind
from veridical.io.clip_file import HEAD
from veridical.io.formats import describe, known_format, sniff

Check = Callable[[bytes, str], None]


def check_picture(data: bytes, name: str) -> None:
    """Refuse what is no picture by its first bytes; what else may be wrong, a worker finds.

    Args:
        data: All of the file.
        name: Of the file; empty for none.

    Raises:
        PhotoEmpty: If nothing came.
        NotAPhoto: If it is of no format that is read; the hint names where clips go.
    """
    try:
        if not data or sniff(data) is None:
            known_format(data[:HEAD], name or "The picture")
    except NotAPhoto as error:
        if clip_kind(data[:HEAD]) is None:
            raise
        raise NotAPhoto(error.message, hint="Send clips to /v1/videos.") from error


def check_clip(head: bytes, name: str) -> None:
    """Refuse what is no clip.

    Args:
        head: The first bytes of the file.
        name: Of the file; empty for none.

    Raises:
        NotAPhoto: If so; the hint names where pictures go.
    """
    if clip_kind(head) is not None:
        return
    name = name or "The file"
    if sniff(head):
        raise NotAPhoto(
            f"{name}: is a picture; a clip was wanted.", hint="Send pictures to /v1/inspect."
        )
    raise NotAPhoto(
        f"{name}: is {describe(head)}; a clip was wanted.",
        hint="Send a video, or an animated GIF, WebP or PNG.",
    )
