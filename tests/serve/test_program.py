"""The service as a program of its own: signals, kills, the command line."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from tests.conftest import wait_for
from tests.serve.doubles import Late, NoModel
from tests.serve.harness import ROOT, Served, program
from veridical.cli.main import main as cli
from veridical.errors import ModelMissing, NotServing
from veridical.serve.app import build_app
from veridical.serve.orders import Maker, Size
from veridical.serve.pool import Pool
from veridical.serve.settings import Settings
from veridical.serve.wire import bound, run, server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
BYTES = {"Content-Type": "application/octet-stream"}
Running = tuple[Served, subprocess.Popen[str]]


@pytest.fixture
def running() -> Iterator[Running]:
    with program("tests.serve.program") as found:
        yield found


def test_a_worker_killed_under_load_costs_its_own_request_and_no_other(running: Running) -> None:
    served, service = running
    done = threading.Event()

    def ask(_: int) -> list[int]:
        found = []
        with served.client() as client:
            while not done.is_set():
                answer = client.post("/v1/inspect", content=b"spin 0.03", headers=BYTES)
                found.append(answer.status_code)
        return found

    with ThreadPoolExecutor(6) as many, served.client() as client:
        asked = many.map(ask, range(6))
        try:
            for lost in (1, 2, 3):
                time.sleep(0.3)
                os.kill(_busiest(service.pid), signal.SIGKILL)
                noticed = {
                    f'veridical_workers_lost_total{{why="died"}} {lost}.0',
                    "veridical_workers_ready 2.0",
                }
                while not noticed <= set(client.get("/metrics").text.splitlines()):
                    time.sleep(0.05)
        finally:
            done.set()
        found = [status for one in asked for status in one]
        figures = client.get("/metrics").text
    assert set(found) <= {200, 503}
    assert 1 <= found.count(503) <= 3 < found.count(200)
    assert 'veridical_workers_lost_total{why="died"} 3.0' in figures


def _busiest(parent: int) -> int:
    """The child that used the processor most since it was last asked."""
    children = _workers(parent)

    def ticks(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11])  # in clock ticks

    before = {pid: ticks(pid) for pid in children}
    time.sleep(0.2)
    return max(before, key=lambda pid: ticks(pid) - before[pid])


def _workers(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").iterdir()
    children = (pid for one in tasks for pid in (one / "children").read_text().split())
    return [int(pid) for pid in children if b"spawn_main" in _command(pid)]


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_sigterm_lets_what_was_begun_end(running: Running) -> None:
    served, service = running
    answers: list[httpx.Response] = []

    def ask() -> None:
        with served.client() as client:
            answers.append(client.post("/v1/inspect", content=b"sleep 2.0", headers=BYTES))

    asked = [threading.Thread(target=ask) for _ in range(4)]  # two are judged and two wait
    for one in asked:
        one.start()
    with served.client() as client:
        wait_for(lambda: "veridical_waiting 2.0" in client.get("/metrics").text)
    service.send_signal(signal.SIGTERM)
    wait_for(lambda: not _connects(served))
    for one in asked:
        one.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert service.wait(10) == 0


def _connects(served: Served) -> bool:
    try:
        served.raw().close()
    except OSError:
        return False
    return True


def test_a_signal_to_the_whole_group_lets_what_was_begun_end() -> None:
    answers: list[httpx.Response] = []
    with program("tests.serve.program", apart=True) as (served, service):

        def ask() -> None:
            with served.client() as client:
                answers.append(client.post("/v1/inspect", content=b"sleep 2.0", headers=BYTES))

        asked = threading.Thread(target=ask)
        asked.start()
        with served.client() as client:
            wait_for(lambda: "veridical_workers_busy 1.0" in client.get("/metrics").text)
        os.killpg(service.pid, signal.SIGTERM)
        asked.join()
        assert service.wait(10) == 0
    assert [answer.status_code for answer in answers] == [200]


def test_while_it_starts_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = bound("", 0, path)
    pool = Pool(Late(), Size(workers=1))
    answering = server(build_app(pool, Settings()))
    found: list[httpx.Response] = []
    ready = threading.Event()

    def ask() -> None:
        try:
            with Served(path).client() as client:
                for way in ("/healthz", "/readyz", "/v1/model"):
                    found.append(client.get(way))
                assert ready.wait(30)
                found.append(client.get("/v1/model"))
        finally:
            answering.should_exit = True

    asked = threading.Thread(target=ask)
    asked.start()
    run(answering, listener, pool, ready=ready.set)
    asked.join()
    assert [one.status_code for one in found] == [200, 503, 503, 200]
    assert "model is being loaded" in found[2].json()["error"]
    assert int(found[2].headers["retry-after"]) >= 1


def test_it_answers_before_its_workers_are_begun(tmp_path: Path) -> None:
    listener = bound("", 0, tmp_path / "s")
    asked = threading.Event()

    def prepare() -> Maker:
        assert asked.wait(30)
        return Late()

    pool = Pool(NoModel(), Size(workers=1), prepare)
    answering = server(build_app(pool, Settings()))
    found: list[int] = []

    def ask() -> None:
        with Served(tmp_path / "s").client() as client:
            found.extend(client.get(way).status_code for way in ("/healthz", "/readyz"))
            asked.set()
            wait_for(lambda: client.get("/readyz").status_code == 200)
        answering.should_exit = True

    asking = threading.Thread(target=ask)
    asking.start()
    run(answering, listener, pool)
    asking.join()
    assert found == [200, 503]


def test_workers_that_cannot_start_end_the_service(tmp_path: Path) -> None:
    pool = Pool(NoModel(), Size(workers=1))
    with bound("", 0, tmp_path / "s") as listener, pytest.raises(ModelMissing):
        run(server(build_app(pool, Settings())), listener, pool)


def test_workers_end_with_their_service_in_the_midst_of_work(running: Running) -> None:
    served, service = running
    with served.raw() as raw:
        raw.sendall(
            b"POST /v1/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsleep 600"
        )
        time.sleep(0.4)
        children = _workers(service.pid)
        service.kill()
        service.wait()
    until = time.monotonic() + 10
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_workers_end_with_their_service(running: Running) -> None:
    _, service = running
    children = _workers(service.pid)
    assert len(children) == 2
    service.kill()
    service.wait()
    until = time.monotonic() + 10
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < until
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- the command ---------------------------------------------------------------------------------


def test_the_command_serves_the_reports_of_the_command_line() -> None:
    example = sorted((ROOT / "examples").glob("real-*.jpg"))[0]
    with program("veridical", "serve", "--workers", "1") as (served, service):
        with served.client() as client:
            form = {"file": (example.name, example.read_bytes())}
            answer = client.post("/v1/inspect?cues=true&prior=0.01", files=form)
            card = client.get("/v1/model").json()
        service.terminate()
        _, said = service.communicate(timeout=20)
    assert service.returncode == 0
    assert "Serving at " in said
    assert example.name not in said
    arguments = ["inspect", example.name, "--json", "--cues", "--prior", "0.01"]
    done = subprocess.run(
        [sys.executable, "-m", "veridical", *arguments],
        cwd=example.parent,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"},
        capture_output=True,
        check=True,
    )
    assert answer.content == done.stdout.rstrip(b"\n")
    assert card["identity"].startswith(json.loads(done.stdout)["model"])


def test_a_token_is_made_and_shown_once(tmp_path: Path) -> None:
    path = str(tmp_path / "tokens")
    done = CliRunner().invoke(cli, ["serve", "--tokens", path, "--new-token", "archive"])
    assert done.exit_code == 0
    token = done.stdout.strip()
    assert re.fullmatch(r"vd_[\w-]{43}", token)
    assert token not in Path(path).read_text()
    assert Path(path).stat().st_mode & 0o077 == 0
    again = CliRunner().invoke(cli, ["serve", "--tokens", path, "--new-token", "archive"])
    assert again.exit_code == 1
    assert "already" in again.stderr
    assert CliRunner().invoke(cli, ["serve", "--new-token", "a"]).exit_code == 2


def test_it_is_loud_when_others_can_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name in (("serve.wire", "run"), ("vision.runtime", "laid_out")):
        module = import_module(f"veridical.{where}")
        monkeypatch.setattr(module, name, lambda *_args, **_options: None)
    quiet = CliRunner().invoke(cli, ["serve", "--port", "0"])
    loud = CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0", "--port", "0"])
    assert quiet.exit_code == loud.exit_code == 0
    assert quiet.stderr == ""
    assert "other machines can send pictures" in loud.stderr
    assert "--tokens FILE" in loud.stderr


def test_without_its_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = CliRunner().invoke(cli, ["serve"])
    assert done.exit_code == 1
    assert "pip install 'veridical[serve]'" in done.stderr


def test_an_address_that_is_taken_is_said_before_the_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(cli, ["serve", "--port", port])
    assert done.exit_code == 1
    assert f"127.0.0.1:{port}: cannot be listened at" in done.stderr
    assert "--port" in done.stderr


def test_a_socket_that_was_left_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bound("", 0, path).close()
    assert path.is_socket()
    with bound("", 0, path), pytest.raises(NotServing, match="cannot be listened at"):
        bound("", 0, path)
    path.unlink()
    path.write_text("a file")
    with pytest.raises(NotServing):
        bound("", 0, path)
    assert path.read_text() == "a file"
