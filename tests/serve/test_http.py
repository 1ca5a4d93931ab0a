"""What the service answers, over a real connection to a real server with workers of a double."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import jsonschema
import pytest

from tests.conftest import wait_for
from tests.serve.doubles import ByContent, SeeThrough
from tests.serve.harness import QUICK, Served, serving
from veridical.present.records import schema
from veridical.serve.orders import Size
from veridical.serve.settings import Settings
from veridical.serve.tokens import Tokens, new_token

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Unix sockets")

BYTES = {"Content-Type": "application/octet-stream"}
SMALL = Settings(
    max_bytes=100_000,
    max_batch_bytes=300_000,
    max_batch_files=20,
    max_clip_bytes=200_000,
    max_held_bytes=3_000_000,
    grace_s=0.4,
    least_rate=100_000,
    max_jobs=3,
    hosts=("localhost",),
)
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isomiso2"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(ByContent(), replace(QUICK, queue=8), SMALL) as found:
        yield found


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as found:
        yield found


def posted(client: httpx.Client, data: bytes, path: str = "/v1/inspect", **more: Any) -> Any:
    return client.post(path, content=data, headers=BYTES, **more)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["error"]
    assert told["hint"]
    assert answer.headers["x-request-id"]
    return told


# --- pictures ------------------------------------------------------------------------------------


def test_a_form_and_the_bytes_give_the_same_report(client: httpx.Client) -> None:
    form = client.post("/v1/inspect", files={"file": ("a b.jpg", b"picture")})
    raw = posted(client, b"picture", params={"name": "a b.jpg"})
    assert form.status_code == raw.status_code == 200
    assert form.content == raw.content
    assert form.json()["path"] == "a b.jpg"
    jsonschema.validate(form.json(), schema())


def test_options_reach_the_worker(client: httpx.Client) -> None:
    asked = {"explain": "true", "cues": "1", "prior": "0.01", "whole_image": "true", "name": "n"}
    told = posted(client, b"pid", params=asked).json()["wish"]
    assert told == {
        "explain": True,
        "cues": True,
        "prior": 0.01,
        "whole_image": True,
        "page": False,
        "name": "n",
    }


def test_headers_of_every_answer(client: httpx.Client) -> None:
    for path in ("/healthz", "/v1/nothing"):
        headers = client.get(path, headers={"X-Request-ID": "mine-1", "Origin": "http://x"}).headers
        assert headers["x-request-id"] == "mine-1"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]
    strange = client.get("/healthz", headers={"X-Request-ID": "a b\x7f"}).headers["x-request-id"]
    assert len(strange) == 32


@pytest.mark.parametrize(
    ("data", "status", "error"),
    [
        (b"text", 415, "a.jpg: is text."),
        (b"large", 413, "Too large."),
        (b"die", 503, "The process that judged the picture has ended."),
        (b"fault", 500, "Internal error (Broken)."),
        (MP4, 200, ""),
    ],
)
def test_errors_become_problems_in_the_same_words(
    client: httpx.Client, data: bytes, status: int, error: str
) -> None:
    answer = posted(client, data, params={"name": "a.jpg"})
    if status == 200:
        assert answer.status_code == 200
        return
    told = problem(answer, status)
    assert told["error"] == error
    assert "Limits" not in told["hint"]
    if data == b"large":
        assert told["hint"] == "Whoever runs the service can change this: Raise --max-mbytes."
    assert "picture" not in told["hint"]
    assert ("retry-after" in answer.headers) == (status == 503)


def test_what_is_asked_wrongly_is_said(client: httpx.Client) -> None:
    assert problem(client.get("/v1/nothing"), 404)
    answer = client.put("/v1/inspect")
    assert "POST" in problem(answer, 405)["hint"]
    assert answer.headers["allow"] == "POST"
    told = problem(posted(client, b"a", params={"explian": "1"}), 422)
    assert told["hint"] == "Did you mean `explain`?"
    told = problem(posted(client, MP4, "/v1/videos", params={"whole_image": "1"}), 422)
    assert told["hint"] == "Use one of: `explain`, `prior`, `name`, `page`."
    assert problem(client.get("/v1/model?explain=1"), 422)["hint"] == "Leave it out."
    for prior in ("0", "1", "nan", "much"):
        told = problem(posted(client, b"a", params={"prior": prior}), 422)
        wanted = "a share between 0 and 1 was wanted, such as 0.01."
        assert told["error"] == f"The option `prior` is {prior!r}; {wanted}"
    told = problem(posted(client, b"a", params={"cues": "x" * 99}), 422)
    assert told["error"].endswith("x...'; `true` or `false` was wanted.")
    for path in ("/v1/inspect", "/page/inspect"):
        told = problem(posted(client, b"a", f"{path}?prior=0.1&prior=0.2"), 422)
        assert told["error"] == "The option 'prior' came 2 times."
    told = problem(client.post("/v1/inspect", data={"file": "a"}), 415)
    assert "curl -F file=@photo.jpg" in told["hint"]
    problem(client.post("/v1/inspect", json={}), 415)
    both = [("file", ("a", b"a")), ("file", ("b", b"b"))]
    assert "/v1/batch" in problem(client.post("/v1/inspect", files=both), 422)["hint"]
    other = {"file": ("a", b"a"), "picture": ("b", b"b")}
    assert "'picture'" in problem(client.post("/v1/inspect", files=other), 422)["error"]
    field = client.post("/v1/inspect", files={"file": ("a", b"a")}, data={"cues": "1"})
    assert "belong into the address" in problem(field, 422)["error"]
    long = client.post("/v1/inspect", files={"file": ("a" * 1100, b"a")})
    assert "1100 characters" in problem(long, 422)["error"]
    problem(posted(client, b"a", params={"name": "a" * 1100}), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b"--b--\r\n",
        b"no form at all",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
        b"--b\r\nContent-Disposition: form-data; " + b"x" * 5000 + b"\r\n\r\n\r\n--b--\r\n",
        b"--b\r\n\r\nabc\r\n--b--\r\n",
    ],
)
def test_a_broken_form_is_a_bad_request(client: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/v1/inspect", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)
    headers = {"Content-Type": "multipart/form-data"}
    problem(client.post("/v1/inspect", content=body, headers=headers), 400)


# --- several, and clips --------------------------------------------------------------------------


def test_a_batch_answers_in_order_and_goes_on_after_a_failure(client: httpx.Client) -> None:
    data = [b"sleep 0.3", b"a", b"text", b"die", b"fault", *(b"%d" % n for n in range(12))]
    files = [("file", (f"{n}.jpg", one)) for n, one in enumerate(data)]
    answer = client.post("/v1/batch", files=files)
    assert answer.headers["content-type"] == "application/x-ndjson"
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["path"] for one in found] == [f"{n}.jpg" for n in range(17)]
    assert ["error" in one for one in found] == [False, False, True, True, True] + [False] * 12
    for one in found:
        jsonschema.validate(one, schema())


def test_a_batch_comes_line_by_line(client: httpx.Client) -> None:
    files = [("file", ("a", b"a")), ("file", ("b", b"sleep 3.0"))]
    begun = time.monotonic()
    with client.stream("POST", "/v1/batch", files=files) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["path"] == "a"
        assert time.monotonic() - begun < 2.5
        assert json.loads(next(lines))["path"] == "b"


def test_a_batch_has_limits(client: httpx.Client) -> None:
    many = [("file", (str(n), b"a")) for n in range(21)]
    assert "20 files" in problem(client.post("/v1/batch", files=many), 413)["error"]
    told = problem(posted(client, b"a", "/v1/batch"), 415)
    assert "octet-stream" not in told["hint"]
    assert "-F file=@b.jpg" in told["hint"]
    large = [("file", ("a", bytes(100_001)))]
    assert "100,000" in problem(client.post("/v1/batch", files=large), 413)["error"]


def test_a_clip_becomes_a_job(client: httpx.Client) -> None:
    answer = client.post("/v1/videos", files={"file": ("a.mp4", MP4)})
    assert answer.status_code == 202
    job = answer.json()
    assert str(answer.url.join(answer.headers["location"])).endswith(f"/v1/jobs/{job['id']}")
    until = time.monotonic() + 10
    while job["state"] in ("queued", "running"):
        assert time.monotonic() < until
        job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["state"] == "done"
    assert job["report"]["path"] == "a.mp4"
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    problem(client.get(f"/v1/jobs/{job['id']}"), 404)


def test_what_is_no_clip_is_refused_at_once(client: httpx.Client) -> None:
    told = problem(client.post("/v1/videos", files={"file": ("a.jpg", b"\xff\xd8\xff")}), 415)
    assert told["hint"] == "Send pictures to /v1/inspect."
    told = problem(client.post("/v1/videos", files={"file": ("notes.txt", b"a note")}), 415)
    assert told["error"] == "notes.txt: is text; a clip was wanted."
    assert "/v1/inspect" not in told["hint"]
    assert "200,000" in problem(posted(client, bytes(200_001), "/v1/videos"), 413)["error"]


def test_what_is_no_picture_is_refused_without_a_worker() -> None:
    size = replace(QUICK, workers=1, queue=1)
    with serving(SeeThrough(), size) as served, served.client() as client:
        assert served.pool
        told = problem(client.post("/v1/inspect", files={"file": ("a.mp4", MP4)}), 415)
        assert told["hint"] == "Send clips to /v1/videos."
        told = problem(posted(client, b"%PDF-1.7", params={"name": "contract.jpg"}), 415)
        assert "contract.jpg: is a PDF" in told["error"]
        problem(posted(client, b"a note", "/page/inspect"), 415)
        files = [("file", ("a.mp4", MP4)), ("file", ("a.txt", b"text")), ("file", ("b", b""))]
        lines = client.post("/v1/batch", files=files).text.splitlines()
        hints = [json.loads(line)["hint"] for line in lines]
        assert hints[0] == "Send clips to /v1/videos."
        assert hints[1].startswith("Pass a JPEG")
        assert hints[2] == "Get the file again."
        assert served.pool.done == 0


def test_head_is_answered_as_get_without_a_body(client: httpx.Client) -> None:
    for path in ("/", "/healthz", "/readyz", "/v1/model", "/metrics", "/openapi.json"):
        answer = client.head(path)
        assert answer.status_code == 200, path
        assert answer.content == b""
        assert answer.headers["content-type"] == client.get(path).headers["content-type"]
    assert client.head("/v1/nothing").status_code == 404
    answer = client.head("/v1/inspect")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"
    assert client.post("/").headers["allow"] == "GET, HEAD"


# --- limits --------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_while_it_comes(served: Served) -> None:
    with served.client() as client:
        assert "100,000" in problem(posted(client, bytes(100_001)), 413)["error"]

        def endless() -> Iterator[bytes]:
            for _ in range(10_000):
                yield bytes(65_536)

        for content in (endless(), bytes(1_500_000)):  # however much: there is one limit
            answer = client.post("/v1/inspect", content=content, headers=BYTES)
            assert "limit of 100,000 bytes" in problem(answer, 413)["error"]
    with served.raw() as raw:  # by its length alone, before a byte of it came
        raw.sendall(
            b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_slow_upload_ends(served: Served) -> None:
    with served.raw() as raw:
        raw.sendall(
            b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n"
        )
        begun = time.monotonic()
        raw.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - begun < 10:
            raw.sendall(b"a")
            try:
                answer = raw.recv(10_000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 8


def test_a_silent_connection_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veridical.serve.wire.HEAD_S", 0.3)
    for head in (b"", b"POST /v1/insp", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET"):
        with served.raw() as raw:
            raw.sendall(head)
            begun, answer = time.monotonic(), b""
            try:
                while more := raw.recv(10_000):
                    answer += more
            except ConnectionResetError:
                pass
            assert 0.2 < time.monotonic() - begun < 10
            assert answer.startswith(b"HTTP/1.1 200") == head.startswith(b"GET")


def test_a_client_that_does_not_read_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veridical.serve.wire.UNREAD_S", 1.0)
    ask = b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\nlong 5000000"
    for patience, whole in ((0.0, True), (2.5, False)):
        with served.raw() as raw:
            raw.sendall(ask)
            time.sleep(patience)
            came = 0
            with suppress(ConnectionResetError):
                while came < 5_000_000 and (more := raw.recv(20_000)):
                    came += len(more)
                    time.sleep(0.002)  # slowly: that is allowed
            assert (came >= 5_000_000) == whole


def test_too_many_uploads_at_a_time_are_refused(served: Served) -> None:
    held = [served.raw() for _ in range(40)]
    try:
        for raw in held:
            raw.sendall(
                b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
                + bytes(99_000)
            )
        with served.client() as client:
            wait_for(lambda: posted(client, bytes(90_000)).status_code == 429)
            told = problem(posted(client, bytes(90_000)), 429)
            assert "Other uploads" in told["error"]
    finally:
        for raw in held:
            raw.close()
    with served.client() as client:
        wait_for(lambda: posted(client, bytes(90_000)).status_code == 200)


def test_requests_that_nobody_waits_for_stop_their_work(served: Served) -> None:
    pool = served.pool
    assert pool
    raw = served.raw()
    raw.sendall(
        b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsleep 30"
    )
    wait_for(lambda: pool.busy == 1)
    raw.close()
    wait_for(lambda: pool.busy == 0)
    with served.client() as client:
        gone = 'route="/v1/inspect",status="499"'
        wait_for(lambda: gone in client.get("/metrics").text)


# --- overload ------------------------------------------------------------------------------------


def test_over_its_capacity_it_refuses_at_once_and_answers_the_others() -> None:
    size = Size(workers=2, queue=2, deadline_s=20.0)
    with serving(ByContent(), size) as served, served.client() as client:

        def ask(n: int) -> tuple[int, float, str]:
            begun = time.monotonic()
            answer = posted(client, b"sleep 0.3 %d" % n)
            seconds = time.monotonic() - begun
            if answer.status_code == 429:
                problem(answer, 429)
            return answer.status_code, seconds, answer.headers.get("retry-after", "")

        with ThreadPoolExecutor(16) as many:
            found = list(many.map(ask, range(32)))
        assert {status for status, *_ in found} == {200, 429}
        accepted = [seconds for status, seconds, _ in found if status == 200]
        refused = [(seconds, retry) for status, seconds, retry in found if status == 429]
        assert len(accepted) >= 4
        assert max(accepted) < size.deadline_s
        assert median(seconds for seconds, _ in refused) < min(accepted)
        assert min(int(retry) for _, retry in refused) >= 1
        assert (
            max(int(retry) for _, retry in refused) <= 5
        )  # each picture takes 0.3 s, on a machine with time
        counted = f'route="/v1/inspect",status="429"}} {len(refused)}.0'
        wait_for(lambda: counted in client.get("/metrics").text)
        assert 'route="other"' not in client.get("/metrics").text


# --- who may ask ---------------------------------------------------------------------------------


def test_only_who_has_a_token_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    one, two = new_token(path, "one"), new_token(path, "two")
    assert one not in path.read_text()
    settings = replace(SMALL, rate=3)
    size = replace(QUICK, workers=1)
    with serving(ByContent(), size, settings, Tokens(path)) as served, served.client() as client:
        for headers in ({}, {"Authorization": "Bearer vd_wrong"}, {"Authorization": "Basic !"}):
            answer = client.get("/v1/model", headers=headers)
            problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        mine = {"Authorization": f"Bearer {one}", **BYTES}
        for _ in range(3):
            assert client.post("/v1/inspect", content=b"a", headers=mine).status_code == 200
        answer = client.post("/v1/inspect", content=b"a", headers=mine)
        assert "3 pictures a minute" in problem(answer, 429)["error"]
        assert 15 <= int(answer.headers["retry-after"]) <= 20
        counted = [
            f'route="{route}",status="{status}"'
            for route, status in (("/v1/model", 401), ("/v1/inspect", 429))
        ]
        figures = partial(client.get, "/metrics", headers=mine)
        wait_for(lambda: all(one in figures().text for one in counted))
        yours = httpx.BasicAuth("anybody", two)
        answer = client.post("/v1/videos", content=MP4, auth=yours, headers=BYTES)
        assert answer.status_code == 202
        where = answer.url.join(answer.headers["location"])
        assert client.get(where, auth=yours).status_code == 200
        problem(client.get(where, headers=mine), 404)  # a job is its owner's
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
        problem(client.get("/v1/model", headers=mine), 401)
        path.write_text("nonsense")
        assert client.get("/v1/model", auth=yours).status_code == 200


def test_each_picture_of_a_batch_counts() -> None:
    size = replace(QUICK, workers=1)
    with serving(ByContent(), size, replace(SMALL, rate=3)) as served, served.client() as client:
        for count, status in ((6, 413), (2, 200), (2, 429), (1, 200), (1, 429)):
            files = [("file", (f"{n}.jpg", b"a")) for n in range(count)]
            answer = client.post("/v1/batch", files=files)
            assert answer.status_code == status
            if count == 6:
                assert problem(answer, 413)["hint"] == "Send at most 3 at a time."
            if status == 429:
                assert 1 <= int(answer.headers["retry-after"]) <= 20


def test_other_sites_and_other_names_are_refused(client: httpx.Client) -> None:
    for host, status in (("localhost:1", 200), ("evil.example", 400), ("", 400)):
        assert client.get("/healthz", headers={"Host": host}).status_code == status
    for origin, status in (("http://localhost", 200), ("https://evil.example", 403), ("null", 403)):
        headers = {"Origin": origin, **BYTES}
        assert client.post("/v1/inspect", content=b"a", headers=headers).status_code == status


# --- what is kept --------------------------------------------------------------------------------


def test_logs_hold_no_names_and_no_contents(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        posted(client, b"text of a secret", params={"name": "secret-name.jpg"})
        client.post("/v1/inspect", files={"file": ("secret-name.jpg", b"secret")})
        client.get("/secret-path?secret=1")

        def own() -> list[str]:
            ours = (one for one in caplog.records if not one.name.startswith("httpx"))
            return [one.getMessage() for one in ours]

        wait_for(lambda: any("route=other status=404" in one for one in own()))
    assert any("route=/v1/inspect status=415" in one for one in own())
    assert not [one for one in own() if "secret" in one]


def test_nothing_is_kept_unless_asked(tmp_path: Path) -> None:
    settings = Settings(retain=tmp_path)
    with (
        serving(ByContent(), replace(QUICK, workers=1), settings) as served,
        served.client() as client,
    ):
        body = posted(client, b"picture").content
        assert posted(client, b"text").status_code == 415
        (day,) = tmp_path.iterdir()
        kept = {one.suffix: one.read_bytes() for one in day.iterdir()}
        assert kept == {"": b"picture", ".json": body}
        assert all(one.stat().st_mode & 0o077 == 0 for one in day.iterdir())
        for one in day.iterdir():
            one.unlink()
        day.rmdir()
        day.write_text("in the way")
        assert "--retain" in problem(posted(client, b"picture"), 503)["hint"]


def test_figures_are_there(client: httpx.Client) -> None:
    posted(client, b"a")
    wanted = (
        'veridical_requests_total{method="POST",route="/v1/inspect",status="200"}',
        'veridical_request_seconds_count{route="/v1/inspect"}',
        "veridical_workers_ready 2.0",
        'veridical_workers_lost_total{why="died"}',
        "veridical_waiting 0.0",
        "veridical_received_bytes_total",
    )  # a request is counted when its answer has gone; the second worker may be starting
    wait_for(lambda: all(name in client.get("/metrics").text for name in wanted))
