"""Scan pictures on an S3 server and on a web server of this machine; run by `test_elsewhere.py`.

python -m tests.scan.elsewhere FOLDER    of pictures, and a folder `sub` in it
"""

import os
import ssl
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.scan.doubles import SeeThrough, identity
from tests.scan.reading import rows
from veridical.scan.engines import InProcesses, InThreads
from veridical.scan.plan import plan
from veridical.scan.run import run

BUCKET = "album"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def begin_s3(folder: Path) -> Any:
    """Start a server with the files of a folder; set where fsspec finds it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), BUCKET, path.relative_to(folder).as_posix())
    return server


def begin_web(folder: Path, tls: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def found(sources: list[str], out: Path, engine: Any) -> dict[str, Any]:
    """Return what matters of the rows, by the name of the file."""
    run(plan(sources), out, SeeThrough(), identity(), engine)
    again = run(plan(sources), out, SeeThrough(), identity(), engine)
    assert again.judged == 0, "what did not change is known again"
    return {
        Path(row["path"]).name: {
            key: row[key]
            for key in ("decision", "p_ai", "sha256", "size", "phash", "reasons", "error_kind")
        }
        for row in rows(out)
    }


def main(folder: Path, out: Path) -> None:
    store, web = begin_s3(folder), begin_web(folder)
    here = found([str(folder)], out / "here", InThreads(1))
    for name, engine in (("threads", InThreads(2)), ("processes", InProcesses(2))):
        there = found([f"s3://{BUCKET}/"], out / name, engine)
        assert there == here, (there, here)
    address = f"http://127.0.0.1:{web.server_address[1]}"
    listed = out / "list.csv"
    listed.write_text("url\n" + "\n".join(f"{address}/{n}.png" for n in range(3)), encoding="utf-8")
    assert found([str(listed)], out / "web", InThreads(2)) == {
        name: row for name, row in here.items() if name in ("0.png", "1.png", "2.png")
    }
    gone = found([f"{address}/no.png", f"s3://{BUCKET}/no.png"], out / "gone", InThreads(1))
    assert {row["decision"] for row in gone.values()} == {"failed"}
    print(f"the same rows of {len(here)} files elsewhere")  # noqa: T201
    web.shutdown()
    store.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
