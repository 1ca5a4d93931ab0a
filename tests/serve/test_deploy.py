"""The files in deploy/ keep the rules of their kind; the unit is held by systemd where it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.harness import ROOT

DEPLOY = ROOT / "deploy"


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Containerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in text.splitlines() if line]


def test_the_container_is_built_by_the_rules() -> None:
    found = instructions()
    images = [rest for word, rest in found if word == "FROM"]
    for image in images:  # DL3006, DL3007: a tag, and not the newest whatever it is
        assert re.match(r"[\w./-]+:\d[\w.-]+( AS \w+)?$", image)
    words = [word for word, _ in found]
    last = len(words) - 1 - words[::-1].index("FROM")
    own = dict(found[last:])
    user = own["USER"]  # DL3002: and by number, so that Kubernetes can see that it is not root
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert "RUN" not in own  # nothing is installed as root into what runs
    assert own["ENTRYPOINT"].startswith("[")  # DL3025: signals reach it
    assert "HEALTHCHECK" in own
    assert Path(own["WORKDIR"]).is_absolute()  # DL3000
    commands = " ".join(rest for word, rest in found if word == "RUN")
    assert "--no-cache-dir" in commands  # DL3042
    assert not re.search(r"\b(?:sudo|curl|wget|apt-get)\b", commands)
    assert "ADD" not in words  # DL3020
    for word, rest in found:
        if word == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / one).exists() for one in rest.split()[:-1])


def test_what_the_container_starts_is_understood() -> None:
    from veridical.cli.main import main

    (entry,) = [rest for word, rest in instructions() if word == "ENTRYPOINT"]
    arguments = re.findall(r'"([^"]+)"', entry)[1:]
    command = main.get_command(main.make_context("veridical", [*arguments]), "serve")
    assert command is not None
    command.make_context("serve", arguments[1:])


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "veridical.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_has_a_sandbox() -> None:
    found = unit()
    for key in (
        *("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"),
        *("ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups"),
        *("RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality", "RestrictRealtime"),
    ):
        assert found[key] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["IPAddressDeny"] == ["any"]
    assert found["KillMode"] == ["mixed"]  # or its workers would be told to end in the middle


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd")
def test_systemd_understands_the_unit_and_finds_it_safe(tmp_path: Path) -> None:
    program = tmp_path / "veridical"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = tmp_path / "veridical.service"
    text = (DEPLOY / "veridical.service").read_text()
    path.write_text(text.replace("/opt/veridical/bin/veridical", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True
    )
    assert "veridical.service" not in done.stderr, done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
    )
    exposure = re.search(r"exposure level[^:]*: (\d+\.\d)", done.stdout)
    if exposure is None:
        pytest.skip("this systemd does not rate units offline")
    assert float(exposure[1]) < 2.5
