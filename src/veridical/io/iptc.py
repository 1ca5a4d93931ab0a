"""IPTC-IIM: the older way to write a caption and a credit into a file.

IPTC-NAA Information Interchange Model 4.2, chapter 1: datasets of a record and a number.
"""

import struct

from veridical.io.budget import Budget

_NAMES = {
    5: "Title",
    15: "Category",
    25: "Keywords",
    40: "Instructions",
    55: "DateCreated",
    60: "TimeCreated",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    80: "Byline",
    85: "BylineTitle",
    90: "City",
    92: "Sublocation",
    95: "Province",
    101: "Country",
    103: "TransmissionReference",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "Copyright",
    118: "Contact",
    120: "Caption",
    122: "CaptionWriter",
}
_IPTC = 0x0404


def resources(block: bytes, budget: Budget) -> list[tuple[str, str]]:
    """Return the datasets in a block of Photoshop's image resources (APP13 of a JPEG)."""
    at = 0
    while at + 12 <= len(block) and budget.part():
        if block[at : at + 4] != b"8BIM":
            break
        (kind,) = struct.unpack_from(">H", block, at + 4)
        start = at + 6 + (block[at + 6] + 2) // 2 * 2  # its name, padded to an even length
        if start + 4 > len(block):
            break
        (length,) = struct.unpack_from(">I", block, start)
        if kind == _IPTC:
            return datasets(block[start + 4 : start + 4 + length], budget)
        at = start + 4 + length + length % 2
    return []


def datasets(block: bytes, budget: Budget) -> list[tuple[str, str]]:
    """Return the datasets of the application record that have a name here."""
    if block.startswith(b"Photoshop 3.0\0"):
        block = block[14:]
    if block.startswith(b"8BIM"):
        return resources(block, budget)
    found, at = [], 0
    while at + 5 <= len(block) and block[at] == 0x1C and budget.part():
        record, number, length = struct.unpack_from(">BBH", block, at + 1)
        if length > 0x7FFF:  # longer ones come in no file we know
            budget.gap("An IPTC dataset of extended length was left out.")
            break
        if record == 2 and number in _NAMES:
            for raw in budget.take(block[at + 5 : at + 5 + length], "an IPTC dataset"):
                found.append((_NAMES[number], raw.decode("utf-8", "backslashreplace")))
        at += 5 + length
    return found
