import io
import json
import struct
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from tests.conftest import saved
from tests.provenance.made import (
    AI,
    CAPTURE,
    PARAMETERS,
    exif,
    painted,
    png,
    stealthy,
    typed,
    with_segments,
    xmp,
)
from veridical.claims import Claim, ClaimSource, Says, Standing
from veridical.io.exif import Exif
from veridical.io.metadata import Metadata
from veridical.io.source import open_source
from veridical.provenance import claims_of, read_claims
from veridical.provenance.fields import Fields
from veridical.provenance.generators import READERS, comfyui
from veridical.provenance.marks import Mark, read_marks, table
from veridical.provenance.vocabulary import SOURCE_TYPES, strongest

# What photographs carry in the same fields; no mark may be found in it.
ORDINARY = {
    "text:software": ["Adobe ImageReady", "GIMP 2.10.30", "gnome-screenshot", "Paint.NET 5.0"],
    "text:comment": [
        "Created with GIMP",
        "CREATOR: gd-jpeg v1.0, quality = 90",
        "Steps to the door",
    ],
    "text:description": ["Our garden", "Job ID: 5512", "A walk of 20 steps, Sampler sale"],
    "text:parameters": ["exposure 1/60"],
    "text:prompt": ["Say cheese"],
    "text:workflow": ["raw, lightroom, print"],
    "text:title": ["Dream"],
    "exif:make": ["Canon", "Apple", "samsung", "Google", "NIKON CORPORATION"],
    "exif:model": ["Canon EOS 5D", "iPhone 15 Pro", "Pixel 8"],
    "exif:software": ["Adobe Photoshop 25.0 (Windows)", "Picasa 3.0", "17.1.2", "HDR+ 1.0.5"],
    "exif:usercomment": ["Screenshot", "Steps: up the tower", '{"faces": 2}', "Seed: 12"],
    "exif:imagedescription": ["DCIM", "OLYMPUS DIGITAL CAMERA", "Signature: the bride"],
    "exif:artist": ["Newspix"],
    "xmp:creatortool": ["Adobe Photoshop Lightroom Classic 13.0", "Windows Photo Editor", "15.1"],
    "xmp:credit": ["Newspix via Getty Images", "Reuters", "Made by Google's photographer"],
    "iptc:credit": ["Getty Images", "AP"],
    "iptc:caption": ["SYDNEY, AUSTRALIA - APRIL 13"],
    "xmp:description": ["A portrait"],
    "xmp:usercomment": ["seed of a sampler"],
}


def fields(values: dict[str, list[str]]) -> Fields:
    return Fields(
        metadata=Metadata(format="PNG", mime="image/png"),
        exif=Exif(values={}),
        xmp=(),
        gaps=(),
        values={place.lower(): texts for place, texts in values.items()},
    )


def claims(data: bytes) -> tuple[Claim, ...]:
    return read_claims(open_source(data))


@pytest.mark.parametrize("mark", table(), ids=lambda mark: mark.id)
def test_every_row_of_the_table_finds_its_example_and_only_that_generator(mark: Mark) -> None:
    values = {mark.field: [mark.example]}
    if mark.also:
        place, _, _ = mark.also.partition("=")
        assert mark.found_in(fields(values)) is None  # half of a pair is none
        values[place] = ["0badcafe-0000-4000-8000-0123456789ab"]
    (claim,) = read_marks(fields(values))
    assert claim.by == (mark.generator or mark.example)
    assert (claim.says, claim.standing) == (Says(mark.says), Standing.UNSIGNED)
    assert claim.forgeable
    assert claim.raw[mark.field].startswith(mark.example[:20])
    assert mark.source
    if mark.reader:
        assert READERS[mark.reader](mark.example)


def test_no_mark_is_found_in_what_photographs_carry() -> None:
    assert list(read_marks(fields(ORDINARY))) == []


def test_every_row_has_a_place_of_its_own_name() -> None:
    ids = [mark.id for mark in table()]
    assert len(ids) == len(set(ids))
    text = files("veridical.provenance").joinpath("marks.csv").read_text(encoding="utf-8")
    assert text.isascii()


# --- details -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a1111_is_read_in_every_container_with_its_details(kind: str) -> None:
    comment = exif(UserComment=b"UNICODE\0" + PARAMETERS.encode("utf-16-be"))
    data = (
        png(("parameters", PARAMETERS)) if kind == "PNG" else saved(painted(), kind, exif=comment)
    )
    claim = claims(data)[0]
    assert claim.by == "Stable Diffusion web UI"
    told = {key: claim.raw[key] for key in ("prompt", "negative prompt", "model", "seed")}
    assert told == {
        "prompt": "a painted duck, 85 mm",
        "negative prompt": "blurry",
        "model": "duck_v2",
        "seed": "42",
    }
    assert claim.raw["model hash"] == "c0d1994c73"


@pytest.mark.parametrize(
    ("version", "program"),
    [("Version: f2.0.1v1.10.1", "Forge"), ("App: SD.Next, Version: 3f2b", "SD.Next")],
)
def test_forks_of_a1111_are_told_apart(version: str, program: str) -> None:
    (claim, *_) = claims(
        png(("parameters", f"duck\nSteps: 20, Sampler: Euler a, Seed: 1, {version}"))
    )
    assert claim.by == program


def test_a_graph_is_followed_to_its_prompt() -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "duck.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ["4", 0]}},
        "4": {"class_type": "PrimitiveString", "inputs": {"string": "a duck"}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 7,
                "sampler_name": "euler",
                "positive": ["3", 0],
                "negative": ["2", 0],
            },
        },
    }
    found = comfyui(json.dumps(graph))
    assert (found["prompt"], found["negative prompt"]) == ("a duck", "ugly")
    assert (found["model"], found["seed"], found["sampler"]) == ("duck.safetensors", "7", "euler")
    loop = {"1": {"class_type": "K", "inputs": {"positive": ["1", 0], "text": ["1", 0]}}}
    assert comfyui(json.dumps(loop))["nodes"] == "1"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"a": ' * 50_000, "null", '{"nodes": 5}', "9" * 10_000, '"']
)
def test_no_reader_fails_on_what_no_generator_writes(reader: object, text: str) -> None:
    found = reader(text)  # type: ignore[operator]
    assert all(isinstance(value, str) for value in found.values())


@pytest.mark.parametrize("packed", [True, False])
def test_the_stealth_mark_is_read_where_text_was_stripped(packed: bool) -> None:
    comment = json.dumps({"prompt": "a duck", "seed": 7, "uc": "ugly"})
    text = json.dumps({"Comment": comment, "Software": "NovelAI"}).encode()
    claim = claims(stealthy(text, packed=packed))[0]
    assert (claim.source, claim.by, claim.says) == (ClaimSource.ALPHA, "NovelAI", Says.AI)
    assert (claim.raw["prompt"], claim.raw["seed"]) == ("a duck", "7")


def test_a_stealth_mark_without_its_text_is_a_mark_all_the_same() -> None:
    claim = claims(stealthy(b"not json"))[0]
    assert "could not be read" in claim.technical
    assert claim.raw == {}


# --- source types, EXIF, silence ---------------------------------------------------------------


@pytest.mark.parametrize(("term", "meaning"), SOURCE_TYPES.items())
def test_every_term_of_the_vocabulary_is_read(term: str, meaning: tuple[Says, str]) -> None:
    address = f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"
    claim = claims(png(("XML:com.adobe.xmp", typed(address).decode())))[0]
    assert (claim.source, claim.says) == (ClaimSource.XMP, meaning[0])
    assert meaning[1] in claim.plain


def test_several_source_types_claim_what_all_of_them_bear_out() -> None:
    assert strongest((AI, CAPTURE)) is Says.AI_AND_CAPTURE
    assert strongest((CAPTURE, "humanEdits")) is Says.OTHER
    assert strongest(("something new",)) is Says.OTHER
    assert strongest(()) is None


def test_a_source_type_in_an_extended_packet_counts() -> None:
    guid, mark = b"B" * 32, b"http://ns.adobe.com/xmp/extension/\0"
    body = mark + guid + len(typed()).to_bytes(4, "big") + bytes(4) + typed()
    assert claims(with_segments((0xE1, body)))[0].says is Says.AI


def test_a_camera_is_a_claim_and_software_alone_is_none() -> None:
    camera = claims(saved(painted(), "JPEG", exif=exif(Make="Canon", Model="Canon EOS 5D")))[0]
    assert (camera.says, camera.by) == (Says.CAPTURE, "Canon EOS 5D")
    tool = claims(saved(painted(), "JPEG", exif=exif(Software="GIMP 2.10")))[0]
    assert (tool.says, tool.by) == (Says.OTHER, "GIMP 2.10")


def test_a_prompt_in_the_field_of_a_camera_is_no_camera() -> None:
    graph = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 5}}})
    data = saved(
        painted(), "WEBP", exif=exif(Model=f"prompt:{graph}", Make='workflow:{"nodes": []}')
    )
    found = claims(data)
    assert next(one.says for one in found if one.source is ClaimSource.EXIF) is Says.AI
    assert Says.CAPTURE not in {one.says for one in found}


def test_times_that_contradict_each_other_are_told() -> None:
    block = exif(Make="A", DateTime="2020:01:01 00:00:00", DateTimeOriginal="2021:01:01 00:00:00")
    assert "before it was taken" in claims(saved(painted(), "JPEG", exif=block))[0].technical


def test_history_and_origin_of_xmp_inform() -> None:
    packet = xmp("<xmpMM:DerivedFrom stRef:documentID='one'/>", "xmp:CreatorTool='Some Tool 3'")
    claim = claims(png(("XML:com.adobe.xmp", packet.decode())))[0]
    assert (claim.says, claim.by) == (Says.OTHER, "Some Tool 3")
    assert "derived from another file" in claim.plain


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_a_stripped_picture_says_nothing_and_that_is_no_evidence(kind: str) -> None:
    last = claims(saved(painted(), kind))[-1]
    assert (last.says, last.forgeable) == (Says.NOTHING, True)
    assert "nothing about its origin" in last.plain
    assert "no evidence" in last.technical


def test_what_could_not_be_read_is_named() -> None:
    found = claims(png(("XML:com.adobe.xmp", "<x>")))
    assert [one.says for one in found] == [Says.UNREADABLE, Says.NOTHING]
    assert "XMP packet was not read" in found[0].technical


def test_raw_values_are_bounded() -> None:
    claim = claims(png(("parameters", "x" * 100_000 + "\nSteps: 1, Sampler: y")))[0]
    assert all(len(value) <= 2000 for value in claim.raw.values())
    assert "characters)" in claim.raw["prompt"]


def test_a_fault_of_a_reader_costs_its_claims_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("veridical.provenance.read_marks", fail)
    block = exif(Make="Canon", Model="Canon EOS 5D")
    found = claims(saved(painted(), "JPEG", exif=block))
    assert "Internal error in the reader of marks (ZeroDivisionError)" in found[0].technical
    assert found[1].by == "Canon EOS 5D"


def test_a_credit_is_no_name_of_what_made_the_picture() -> None:
    body = "<Iptc4xmpExt:DigitalSourceType>trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>"
    credited = f"{body}<photoshop:Credit>OpenAI (signature checked)</photoshop:Credit>"
    told = claims_of(open_source(png(("XML:com.adobe.xmp", xmp(credited).decode()))))
    assert told.declared == "ai_unverified"
    assert "OpenAI" not in told.headline
    assert all(claim.by is None for claim in told.claims if claim.says == "ai")


# --- thumbnails and tables -----------------------------------------------------------------------


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with a few large shapes."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def with_thumbnail(image: Image.Image, thumbnail: Image.Image, turn: int = 1) -> bytes:
    """A JPEG with another JPEG in its EXIF block."""
    into, inner = io.BytesIO(), io.BytesIO()
    image.save(into, "JPEG", quality=90)
    thumbnail.save(inner, "JPEG")
    small = inner.getvalue()
    first = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, turn, 0, 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(small), 0)
    body = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + small
    data = into.getvalue()
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2) + body + data[2:]


def of_file(data: bytes) -> str:
    return next(one.technical for one in claims(data) if one.source is ClaimSource.FILE)


@pytest.mark.parametrize("change", ["none", "bars", "crop", "upright"])
def test_a_thumbnail_of_the_picture_shows_the_same_however_a_camera_makes_it(change: str) -> None:
    image, turn = scene(1), 1
    small = image.resize((160, 120))
    if change == "bars":
        image = scene(1, (360, 240))
        small = Image.new("RGB", (160, 120))
        small.paste(image.resize((160, 106)), (0, 7))
    elif change == "crop":
        small = image.crop((40, 0, 280, 240)).resize((120, 120))
    elif change == "upright":
        small, turn = small.transpose(Image.Transpose.ROTATE_270), 6
    assert "shows the same picture" in of_file(with_thumbnail(image, small, turn))


def test_a_thumbnail_of_another_picture_is_told_as_information() -> None:
    data = with_thumbnail(scene(1), scene(2).resize((160, 120)))
    assert "shows another picture (correlation" in of_file(data)
    assert all(one.standing is not Standing.BROKEN for one in claims(data))


def test_a_thumbnail_that_cannot_be_compared_is_told() -> None:
    flat = Image.new("RGB", (160, 120), "grey")
    assert "was not compared with the picture" in of_file(with_thumbnail(scene(1), flat))
    cut = with_thumbnail(scene(1), scene(1).resize((160, 120))).replace(b"JFIF", b"JFIX")
    assert "thumbnail of" in of_file(cut)


def test_an_exif_block_without_thumbnail_says_so() -> None:
    into, exif = io.BytesIO(), Image.Exif()
    exif[0x010F] = "Maker"
    scene(1).save(into, "JPEG", exif=exif)
    assert "no thumbnail in EXIF" in of_file(into.getvalue())


@pytest.mark.parametrize("quality", [1, 50, 75, 92, 100])
def test_a_table_of_libjpeg_is_named_and_another_is_not(quality: int) -> None:
    into = io.BytesIO()
    scene(1).save(into, "JPEG", quality=quality)
    assert f"that of libjpeg (IJG) at quality {quality}, used by many programs" in (
        of_file(into.getvalue())
    )
    into = io.BytesIO()
    scene(1).save(into, "JPEG", qtables=[[7 + k for k in range(64)]] * 2)
    assert "is none of libjpeg's (IJG)" in of_file(into.getvalue())
