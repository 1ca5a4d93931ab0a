"""All that a file says as text, by one name per place: `text:parameters`, `exif:Software`, ..."""

from dataclasses import dataclass, field

from veridical.io.exif import Exif, read_exif
from veridical.io.metadata import Metadata
from veridical.io.xmp import BadXmp, Property, read_xmp

MOST_VALUES = 2000  # of one file


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What the readers read.

    Attributes:
        metadata: Where it came from.
        exif: The EXIF block's fields.
        xmp: The properties of all XMP packets.
        gaps: What could not be read, and why, as sentences.
        values: Text by place, in order; names are in lower case.
    """

    metadata: Metadata
    exif: Exif
    xmp: tuple[Property, ...]
    gaps: tuple[str, ...]
    values: dict[str, list[str]] = field(default_factory=dict)

    def get(self, place: str) -> tuple[str, ...]:
        """Return the texts at a place, such as `exif:Software`."""
        return tuple(self.values.get(place.lower(), ()))


def fields_of(metadata: Metadata) -> Fields:
    """Collect what a file says; a packet that cannot be read is a gap."""
    gaps = list(metadata.gaps)
    properties: list[Property] = []
    for packet in metadata.xmp:
        try:
            properties += read_xmp(packet)
        except BadXmp as error:
            gaps.append(f"An XMP packet was not read: {error}.")
    exif = read_exif(metadata.exif) if metadata.exif else Exif(values={})
    values: dict[str, list[str]] = {}
    named = [
        *((f"text:{key}", text) for key, text in metadata.text),
        *((f"exif:{name}", text) for name, text in exif.values.items()),
        *((f"xmp:{one.name}", one.value) for one in properties),
        *((f"iptc:{name}", text) for name, text in metadata.iptc),
    ]
    if len(named) > MOST_VALUES:
        gaps.append(f"More than {MOST_VALUES} values came; the rest was not read.")
    for name, text in named[:MOST_VALUES]:
        values.setdefault(name.lower(), []).append(text)
    return Fields(
        metadata=metadata, exif=exif, xmp=tuple(properties), gaps=tuple(gaps), values=values
    )
