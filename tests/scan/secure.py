"""Fetch a file from a web server of this machine with TLS; run by `test_elsewhere.py`.

python -m tests.scan.secure FOLDER CERTIFICATE KEY    of it all; the name of the file is `0.png`
"""

import ssl
import sys
from pathlib import Path

from tests.scan.elsewhere import begin_web
from veridical.errors import PhotoUnreadable
from veridical.io.formats import Limits
from veridical.scan.fetch import fetched


def main(folder: Path, certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web = begin_web(folder, context)
    try:
        data = fetched(f"https://localhost:{web.server_address[1]}/0.png", Limits())
        print("fetched" if data == (folder / "0.png").read_bytes() else "other bytes")  # noqa: T201
    except PhotoUnreadable as error:
        print(error.message, error.hint)  # noqa: T201
    web.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
