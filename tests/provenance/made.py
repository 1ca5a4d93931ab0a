"""Files made to say something: painted pictures with text, XMP, EXIF and credentials of our own."""

import io
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import saved

AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
PARAMETERS = (
    "a painted duck, 85 mm\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512, "
    "Model hash: c0d1994c73, Model: duck_v2, Version: v1.9.0"
)


def painted(seed: int = 0, mode: str = "RGB", side: int = 48) -> Image.Image:
    y, x = np.mgrid[:side, :side]
    bands = [(x * 3 + y + 40 * k + 17 * seed) % 256 for k in range(len(mode))]
    return Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8).squeeze(), mode)


def xmp(body: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
        'xmlns:stRef="http://ns.adobe.com/xap/1.0/sType/ResourceRef#" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        f"{attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()


def typed(source_type: str = AI) -> bytes:
    return xmp(f"<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>")


def png(*texts: tuple[str, str], **options: Any) -> bytes:
    info = PngInfo()
    for key, text in texts:
        info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
    return saved(painted(), "PNG", pnginfo=info, **options)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(*chunks: bytes, last: bool = False) -> bytes:
    """A PNG with chunks before its pixels, or behind them."""
    data = saved(painted(), "PNG")
    at = data.index(b"IEND") - 4 if last else 33
    return data[:at] + b"".join(chunks) + data[at:]


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with segments of these markers before its tables."""
    data = saved(painted(), "JPEG")
    made = (struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body for mark, body in segments)
    return data[:2] + b"".join(made) + data[2:]


def exif(**tags: Any) -> bytes:
    """An EXIF block; `UserComment` as bytes, others by name."""
    numbers = {
        "Make": 0x010F,
        "Model": 0x0110,
        "Software": 0x0131,
        "DateTime": 0x0132,
        "Artist": 0x013B,
        "ImageDescription": 0x010E,
    }
    block = Image.Exif()
    for name, value in tags.items():
        if name in numbers:
            block[numbers[name]] = value
    inner = {
        {"UserComment": 0x9286, "DateTimeOriginal": 0x9003, "LensModel": 0xA434}[name]: value
        for name, value in tags.items()
        if name not in numbers
    }
    block.get_ifd(0x8769).update(inner)
    return block.tobytes()


def stealthy(text: bytes, *, packed: bool = True, seed: int = 0) -> bytes:
    """A PNG with NovelAI's mark in the lowest bits of its alpha, column by column."""
    import gzip

    body = gzip.compress(text) if packed else text
    magic = b"stealth_pngcomp" if packed else b"stealth_pnginfo"
    message = magic + struct.pack(">I", 8 * len(body)) + body
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    height, width = 160, max(40, -(-len(bits) // 160))
    alpha = np.full(height * width, 254, np.uint8)
    alpha[: len(bits)] |= bits
    y, x = np.mgrid[:height, :width]
    colour = [(x * 5 + y * 3 + 50 * k + seed) % 256 for k in range(3)]
    pixels = np.stack([*colour, alpha.reshape(width, height).T], axis=-1).astype(np.uint8)
    return saved(Image.fromarray(pixels), "PNG")


# --- credentials -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    """A certificate chain of our own and its key, as PEM."""

    chain: str
    key: str
    root: str


@cache
def signer(
    organisation: str = "Painted Models Ltd", *, days: tuple[float, float] = (-30, 300)
) -> Signer:
    """Make a root and a certificate under it; `days` from today say when that is valid."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)

    def name(common: str) -> Any:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def made(subject: Any, issuer: Any, key: Any, by: Any, authority: bool) -> Any:
        begin, end = (-400, 4000) if authority else days
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begin))
            .not_valid_after(now + timedelta(days=end))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not authority,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    **usage,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False
            )
        )
        if not authority:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        return builder.sign(by, hashes.SHA256())

    above, below = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    top = made(name("Root"), name("Root"), above, above, True)
    leaf = made(name("Signer"), name("Root"), below, above, False)
    pem = serialization.Encoding.PEM
    root = top.public_bytes(pem).decode()
    return Signer(
        chain=leaf.public_bytes(pem).decode() + root,
        key=below.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        root=root,
    )


def signed(
    data: bytes,
    by: Signer,
    *,
    source_type: str | None = AI,
    mime: str = "image/png",
    parent: bytes | None = None,
    gathered: bool = False,
    manifest: dict[str, Any] | None = None,
) -> bytes:
    """Sign a painted picture: it then says `source_type`, or what `manifest` says."""
    c2pa: Any = pytest.importorskip("c2pa")
    action: dict[str, Any] = {"action": "c2pa.created", "softwareAgent": {"name": "Painter"}}
    if parent is not None:
        action = {"action": "c2pa.opened"}
    if source_type:
        action["digitalSourceType"] = source_type
    told = manifest or {
        "claim_generator_info": [{"name": "painted", "version": "1"}],
        "title": "duck",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}, "created": not gathered}
        ],
    }
    context = c2pa.Context.from_dict(
        {
            "version": 1,
            "verify": {
                "verify_after_sign": False,
                "verify_after_reading": False,
                "ocsp_fetch": False,
                "remote_manifest_fetch": False,
            },
            "builder": {
                "thumbnail": {"enabled": False},
                "actions": {"auto_placed_action": {"enabled": False}},
            },
        }
    )
    info = c2pa.C2paSignerInfo(b"es256", by.chain.encode(), by.key.encode(), None)
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as key, c2pa.Builder(told, context=context) as builder:
        if parent is not None:
            builder.add_ingredient(
                {"title": "parent", "relationship": "parentOf"}, mime, io.BytesIO(parent)
            )
        builder.sign(key, mime, io.BytesIO(data), out)
    return out.getvalue()


# --- what to mutate ----------------------------------------------------------------------------


def seeds() -> list[bytes]:
    """Small files of every container that say as much as they can."""
    from importlib.util import find_spec

    camera = exif(
        Make="Painted",
        Model="One",
        Software="GIMP 2.10",
        UserComment=b"ASCII\0\0\0" + b"Steps: 1, ",
    )
    packet = typed()
    long = xmp(f"<dc:description>{'x' * 3000}</dc:description>")
    guid = b"A" * 32
    more = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(long), 0) + long
    iim = b"\x1c\x02\x6e" + struct.pack(">H", 19) + b"Made with Google AI"
    app13 = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iim)) + iim
    texts = (
        ("parameters", PARAMETERS),
        ("prompt", '{"3": {"class_type": "KSampler", "inputs": {}}}'),
    )
    rgb = painted()
    found = [
        png(*texts, exif=camera),
        with_chunks(
            chunk(b"zTXt", b"parameters\0\0" + zlib.compress(PARAMETERS.encode())),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)),
        ),
        with_segments(
            (0xE1, camera if camera.startswith(b"Exif") else b"Exif\0\0" + camera),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet),
            (0xE1, more),
            (0xED, app13),
            (0xFE, b"Steps: 1, Sampler: x"),
        ),
        saved(rgb, "WEBP", exif=camera, xmp=packet),
        saved(rgb, "AVIF", exif=camera, xmp=packet),
        saved(rgb, "TIFF", tiffinfo={0x010F: "Painted", 0x0110: "One", 700: packet}),
        saved(rgb, "GIF", comment=b"Steps: 1, Sampler: x"),
        stealthy(b'{"Comment": "{}", "Software": "NovelAI"}'),
        struct.pack(">I4s", 24, b"ftyp")
        + b"isom\0\0\0\1isomavc1"
        + struct.pack(">I4s", 8, b"free"),
    ]
    if find_spec("c2pa") and find_spec("cryptography"):
        found.append(signed(saved(rgb, "PNG"), signer()))
        found.append(signed(saved(rgb, "JPEG"), signer(), mime="image/jpeg"))
    return found
