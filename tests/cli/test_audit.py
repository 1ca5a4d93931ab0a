import pytest

from tests.cli.conftest import Album, Run, clean_error


@pytest.mark.parametrize(("recipe", "stages"), [("default", 3), ("reference", 2)])
def test_audit_looks_at_so_many_and_says_what_it_did_not_ask(
    audit: Run, album: Album, recipe: str, stages: int
) -> None:
    data = album(real=6, ai=4)
    told = audit(data, "--recipe", recipe, "--sample", 8, "--jobs", 2)
    assert told.exit_code == 0
    assert "4 real and 4 AI-generated pictures, drawn with seed 0 from 10" in told.stdout
    assert told.stdout.count("too few to audit") == 3 * stages
    clean_error(audit(data / "real"), "no sub-folders")
