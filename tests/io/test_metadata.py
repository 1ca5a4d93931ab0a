import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import exif_of, heic, saved
from tests.provenance.made import (
    chunk,
    exif,
    painted,
    png,
    typed,
    with_chunks,
    with_segments,
    xmp,
)
from veridical.io.exif import read_exif
from veridical.io.formats import Limits
from veridical.io.header import read_header
from veridical.io.metadata import read_metadata
from veridical.io.png_chunks import alpha_of_first_column
from veridical.io.xmp import BadXmp, read_xmp

# --- containers --------------------------------------------------------------------------------


def test_text_of_a_png_is_read_before_and_behind_the_pixels_packed_or_not() -> None:
    packed = zlib.compress("größer".encode())
    data = with_chunks(
        chunk(b"tEXt", b"Software\0old \xe9"),
        chunk(b"zTXt", b"parameters\0\0" + packed),
        chunk(b"iTXt", b"Comment\0\1\0de\0Kommentar\0" + packed),
        chunk(b"tEXt", b"Late\0behind"),
        last=True,
    )
    found = read_metadata(data)
    assert found.text == (
        ("Software", "old é"),
        ("parameters", "größer"),
        ("Comment", "größer"),
        ("Late", "behind"),
    )
    assert (found.format, found.mime, found.trailing) == ("PNG", "image/png", 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"])
def test_exif_and_xmp_are_found_in_every_container(kind: str) -> None:
    packet, block = typed(), exif(Make="Painted", Model="One")
    if kind == "PNG":
        data = png(("XML:com.adobe.xmp", packet.decode()), exif=block)
    elif kind == "TIFF":
        data = saved(painted(), kind, tiffinfo={0x010F: "Painted", 0x0110: "One", 700: packet})
    elif kind == "HEIF":
        pytest.importorskip("pillow_heif")
        data = heic(painted(), exif=block, xmp=packet)
    else:
        data = saved(painted(), kind, exif=block, xmp=packet)
    found = read_metadata(data)
    assert found.format == kind
    assert read_exif(found.exif).values["Make"] == "Painted"
    assert [one.strip(b"\0") for one in found.xmp] == [packet]


def test_an_extended_packet_is_put_together_whatever_the_order_of_its_parts() -> None:
    long = xmp(f"<dc:description>{'x' * 100}</dc:description>")
    mark, guid = b"http://ns.adobe.com/xmp/extension/\0", b"A" * 32
    parts = [
        (0xE1, mark + guid + struct.pack(">II", len(long), at) + long[at : at + 100])
        for at in range(0, len(long), 100)
    ]
    assert read_metadata(with_segments(*reversed(parts))).xmp == (long,)
    torn = read_metadata(with_segments(*parts[1:]))
    assert torn.xmp == ()
    assert "missing" in torn.gaps[0]


def test_iptc_is_found_in_a_jpeg_and_in_what_imagemagick_writes() -> None:
    iim = b"\x1c\x02\x6e" + struct.pack(">H", 4) + b"Made"
    app13 = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iim)) + iim
    assert read_metadata(with_segments((0xED, app13))).iptc == (("Credit", "Made"),)
    profile = f"\niptc\n      {len(iim)}\n{iim.hex()}\n"
    assert read_metadata(png(("Raw profile type iptc", profile))).iptc == (("Credit", "Made"),)


def test_a_gif_has_comments_and_xmp() -> None:
    assert read_metadata(saved(painted(), "GIF", comment=b"hello")).text == (("comment", "hello"),)
    data = saved(painted(), "GIF")
    block = b"\x21\xff\x0bXMP DataXMP" + typed() + bytes([1, *range(255, -1, -1)]) + b"\0"
    at = data.index(b"\x2c", 13 + 3 * 256)
    assert read_metadata(data[:at] + block + data[at:]).xmp == (typed(),)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_bytes_behind_the_picture_are_counted(kind: str) -> None:
    data = saved(painted(), kind, **({"progressive": True} if kind == "JPEG" else {}))
    assert read_metadata(data).trailing == 0
    assert read_metadata(data + b"more of it").trailing == 10


@pytest.mark.parametrize("quality", [5, 60, 95])
def test_the_table_is_the_one_that_the_decoder_sees(quality: int) -> None:
    data = saved(painted(), "JPEG", quality=quality)
    assert read_metadata(data).table == read_header(data).tables[0]


def test_what_is_no_picture_has_no_metadata() -> None:
    for data in (b"", b"text", b"\x89PNG\r\n\x1a\n"):
        found = read_metadata(data)
        assert (found.text, found.xmp, found.exif, found.credential) == ((), (), b"", False)


# --- limits ------------------------------------------------------------------------------------


def test_a_bomb_is_left_packed_and_named() -> None:
    bomb = zlib.compress(bytes(20 * 2**20), 9)
    found = read_metadata(with_chunks(chunk(b"zTXt", b"parameters\0\0" + bomb)))
    assert found.text == ()
    assert "'parameters'" in found.gaps[0]
    assert str(8 * 2**20) in found.gaps[0]


def test_the_limit_on_text_is_for_all_texts_together() -> None:
    texts = [chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(b"x" * 600)) for n in range(3)]
    found = read_metadata(with_chunks(*texts), Limits(max_text=1000))
    assert [key for key, _ in found.text] == ["k0"]
    assert len(found.gaps) == 2


def test_the_limit_on_parts_is_named_too() -> None:
    found = read_metadata(with_chunks(*[chunk(b"tEXt", b"k\0v")] * 50), Limits(max_parts=20))
    assert not found.whole
    assert len(found.text) < 21
    assert "More than 20 parts" in found.gaps[0]


def test_a_length_of_four_gigabytes_ends_the_walk() -> None:
    found = read_metadata(with_chunks(b"\xff\xff\xff\xfftEXtkey\0value"))
    assert "breaks off" in found.gaps[0]


def test_a_shorter_stream_than_it_says_is_named() -> None:
    packed = zlib.compress(b"hello" * 100)
    cut = read_metadata(with_chunks(chunk(b"zTXt", b"k\0\0" + packed[:-8])))
    torn = read_metadata(with_chunks(chunk(b"zTXt", b"k\0\0not packed")))
    assert "breaks off" in cut.gaps[0]
    assert "damaged" in torn.gaps[0]


# --- XMP ---------------------------------------------------------------------------------------


def test_attributes_elements_lists_and_structures_are_all_properties() -> None:
    packet = xmp(
        "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"
        "<xmpMM:DerivedFrom stRef:documentID='one'/>"
        "<Iptc4xmpExt:DigitalSourceType rdf:resource='x/print'/>",
        "xmp:CreatorTool='Tool'",
    )
    found = [(one.name, one.value) for one in read_xmp(packet)]
    assert found == [
        ("CreatorTool", "Tool"),
        ("subject", "a"),
        ("subject", "b"),
        ("documentID", "one"),
        ("DigitalSourceType", "x/print"),
    ]
    assert read_xmp(packet)[3].within == ("DerivedFrom",)


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "ha">]><x>&a;</x>', "entity"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type"),
        (b"<x>" * 100, "deep"),
        (b"<x>" + b"<y/>" * 30_000 + b"</x>", "parts"),
        (b"<x>", "well-formed"),
        (b"", "well-formed"),
        (b"<x>&lol;</x>", "well-formed"),
    ],
)
def test_a_hostile_packet_is_refused_with_a_reason(packet: bytes, why: str) -> None:
    with pytest.raises(BadXmp, match=why):
        read_xmp(packet)


# --- EXIF --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"ASCII\0\0\0hello",
        b"UNICODE\0" + "hello".encode("utf-16-be"),
        b"UNICODE\0" + "hello".encode("utf-16-le"),
        b"\0" * 8 + b"hello\0\0",
        b"hello",
    ],
)
def test_a_user_comment_is_read_in_every_character_set_that_is_written(raw: bytes) -> None:
    block = exif(UserComment=raw)
    assert read_exif(block.removeprefix(b"Exif\0\0")).values["UserComment"] == "hello"


def test_private_fields_are_not_read() -> None:
    found = read_exif(exif_of(6).removeprefix(b"Exif\0\0"))
    assert found.values.keys() <= {"Make", "Model", "Software"}


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_whatever_exif_is_it_is_values_or_nothing(data: bytes) -> None:
    for block in (data, b"II*\0\x08\0\0\0" + data, b"MM\0*\0\0\0\x08" + data):
        assert all(isinstance(value, str) for value in read_exif(block).values.values())


# --- alpha -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 6, 9])
def test_the_first_column_of_alpha_is_what_the_decoder_gives(level: int) -> None:
    image = painted(mode="RGBA", side=64)
    data = saved(image, "PNG", compress_level=level)
    found = alpha_of_first_column(data, 40)
    assert found is not None
    assert found.tolist() == list(image.getchannel("A").crop((0, 0, 1, 40)).tobytes())
    assert alpha_of_first_column(data, 65) is None
    assert alpha_of_first_column(saved(painted(), "PNG"), 1) is None
