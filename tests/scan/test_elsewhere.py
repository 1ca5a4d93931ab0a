"""Files in other places: an S3 server and a web server on this machine."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from tests.conftest import LARGE, squares

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_pictures_elsewhere_get_the_rows_of_pictures_here(tmp_path: Path) -> None:
    for module in ("moto.server", "s3fs", "aiohttp", "flask"):
        pytest.importorskip(module)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for n in range(6):
        where = folder / "sub" if n > 3 else folder
        Image.fromarray(squares((LARGE, (n / 6, 0.0, 0.1)))).save(where / f"{n}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    # The tests refuse every connection: this one is in a process of its own.
    done = subprocess.run(
        [sys.executable, "-m", "tests.scan.elsewhere", str(folder), str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the same rows of 7 files elsewhere" in done.stdout


def _certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for `localhost` that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def test_a_certificate_that_is_not_trusted_is_named_and_one_that_is_does(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    certificate, key = _certificate(tmp_path)
    said = []
    for trusted in ({}, {"SSL_CERT_FILE": certificate}):
        own = {name: value for name, value in os.environ.items() if not name.startswith("SSL_")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.scan.secure", str(tmp_path), certificate, key],
            cwd=ROOT,
            env={**own, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **trusted},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said.append(done.stdout.strip())
    refused, fetched = said
    assert "0.png: the server's certificate is not trusted (self" in refused
    assert "SSL_CERT_FILE" in refused
    assert fetched == "fetched"
