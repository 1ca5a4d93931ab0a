from base64 import b64encode
from pathlib import Path

import pytest

from veridical.errors import TokensUnusable
from veridical.serve.tokens import Rates, Tokens, new_token, read_tokens


def test_a_token_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    made = {label: new_token(path, label) for label in ("a", "b.c-d_e")}
    tokens = Tokens(path)
    assert sorted(read_tokens(path).values()) == ["a", "b.c-d_e"]
    for label, token in made.items():
        assert tokens.label(f"Bearer {token}") == label
        assert tokens.label(f"bearer  {token} ") == label
        basic = b64encode(f"anybody:{token}".encode()).decode()
        assert tokens.label(f"Basic {basic}") == label
        assert tokens.label(f"Bearer {token[:-1]}") is None
        assert tokens.label(token) is None
    (digest, *_) = read_tokens(path)
    assert tokens.label(f"Bearer {digest.hex()}") is None  # the hash is no token
    for other in ("", "Bearer", "Bearer ", "Basic", "Basic e", "Basic " + b64encode(b"x").decode()):
        assert tokens.label(other) is None


@pytest.mark.parametrize("label", ["", "a b", "ä", "a" * 65, "a\n"])
def test_a_label_is_a_word(tmp_path: Path, label: str) -> None:
    with pytest.raises(TokensUnusable, match="label"):
        new_token(tmp_path / "tokens", label)


@pytest.mark.parametrize("line", ["a", "a sha256:12", "a md5:" + "0" * 64, "token"])
def test_another_file_is_refused_with_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# ours\n\na sha256:{'0' * 64}\n{line}\n")
    with pytest.raises(TokensUnusable, match="line 4"):
        Tokens(path)
    with pytest.raises(TokensUnusable, match="cannot be read"):
        Tokens(tmp_path / "none")


def test_a_bucket_fills_steadily_and_may_owe() -> None:
    now = 0.0
    rates = Rates(60, clock=lambda: now)
    for _ in range(60):
        assert rates.wait_s("a") == 0
        rates.spend("a")
    assert rates.wait_s("a") == 1
    assert rates.wait_s("b") == 0
    now = 1.0
    assert rates.wait_s("a") == 0
    rates.spend("a", 10)
    assert rates.wait_s("a") == 10
    now = 1000.0
    for _ in range(60):
        assert rates.wait_s("a") == 0
        rates.spend("a")
    assert rates.wait_s("a") == 1  # no more than a minute's worth is saved up
    free = Rates(None)
    free.spend("a", 1000)
    assert free.wait_s("a") == 0
