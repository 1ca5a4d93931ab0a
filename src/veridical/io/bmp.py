"""What is left of a BMP whose data end early."""

from veridical.io.loss import Loss, Mended

_PLAIN = (0, 3, 6)  # not packed: rows of one length


def announced(data: bytes) -> int:
    """Return how many bytes the pixels and what stands before them are; 0 if that is not clear."""
    row, height = _rows(data)
    return int.from_bytes(data[10:14], "little") + row * height if row else 0


def mend(data: bytes, most: int) -> Mended | None:
    """Return a BMP whose missing rows are black; None if none are, or none came.

    Args:
        data: Whose header a decoder has read.
        most: Bytes that the file may have.
    """
    row, height = _rows(data)
    begin, wanted = int.from_bytes(data[10:14], "little"), announced(data)
    if not len(data) < wanted <= most:
        return None
    came = max(0, len(data) - begin) // row
    if not came:
        return None
    lost = 1 - came / height
    top, bottom = (came, height) if _from_top(data) else (0, height - came)
    zeros = bytes(wanted - begin - came * row)
    return Mended(
        data[: begin + came * row] + zeros, Loss("cut_off", lost, top, bottom), blank=True
    )


def _from_top(data: bytes) -> bool:
    return data[14:18] != b"\x0c\0\0\0" and int.from_bytes(data[22:26], "little", signed=True) < 0


def _rows(data: bytes) -> tuple[int, int]:
    """Return the bytes of a row, 0 where they are packed, and how many rows there are."""
    if data[14:18] == b"\x0c\0\0\0":
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
        depth, packing = int.from_bytes(data[24:26], "little"), 0
    else:
        width, height = (
            abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22)
        )
        depth, packing = (
            int.from_bytes(data[28:30], "little"),
            int.from_bytes(data[30:34], "little"),
        )
    return ((width * depth + 31) // 32 * 4 if packing in _PLAIN else 0), height
