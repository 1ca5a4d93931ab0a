"""The description of the service held against the service: requests invented by schemathesis."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.serve.doubles import ByContent
from tests.serve.harness import QUICK, serving
from veridical.serve.app import build_app
from veridical.serve.pool import Pool
from veridical.serve.settings import Settings
from veridical.serve.tokens import Tokens, new_token

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Unix sockets")

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(
    build_app(Pool(ByContent(), QUICK), Settings(), Tokens.__new__(Tokens)).openapi()
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A token of a service that requests go to, whatever address they name."""
    path = tmp_path_factory.mktemp("contract") / "tokens"
    made = new_token(path, "schemathesis")

    def connected(*_args: Any, **_options: Any) -> socket.socket:
        return served.raw()

    known, settings = Tokens(path), Settings(max_jobs=4, model={"identity": "0" * 64})
    with (
        serving(ByContent(), QUICK, settings, known) as served,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("urllib3.util.connection.create_connection", connected)
        yield made


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_service_is_as_described(case: "schemathesis.Case[Any]", token: str) -> None:
    # Not every string of bytes is a picture, though all of them may be sent.
    case.call_and_validate(
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {token}"},
        excluded_checks=[positive_data_acceptance],
    )
