"""Two fields in one frame: made into one picture by bwdif, as players do."""

from fractions import Fraction
from typing import TYPE_CHECKING

from veridical._optional import need
from veridical.io.clip_decode import Decoded

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def deinterlaced(one: Decoded, steps: list[str]) -> "VideoFrame":
    """Return the picture at the time of a frame's first field.

    Lines of the other field are filled in by bwdif (the filter of FFmpeg that follows the BBC's
    PH-2071), which looks at the frames before and after.

    Args:
        one: With its neighbours; at the ends of a clip there is one.
        steps: Is told what was done.
    """
    av = need("av", extra="video", to="read videos")
    frame = one.frame
    alike = [
        other
        for other in (one.before, frame, one.after)
        if other is not None
        and (other.width, other.height, other.format.name)
        == (frame.width, frame.height, frame.format.name)
    ]
    at = next(place for place, other in enumerate(alike) if other is frame)
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 90_000),  # what is flushed out has none
    )
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")
    ).configure()
    for other in alike:
        graph.vpush(other)
    graph.vpush(None)
    made: VideoFrame | None = None
    for _ in range(at + 1):
        made = graph.vpull()
    assert made is not None
    steps.append("deinterlaced (bwdif)")
    return made
