import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.io.labels import parse_label


@pytest.mark.parametrize(
    ("real", "ai"),
    [
        ("real", "ai"),
        ("real", "fake"),
        ("Real Images", "AI-Generated Images"),
        ("0_real", "1_fake"),
        ("1_real", "0_fake"),
        ("REAL", "FAKE"),
        ("training_real", "training_fake"),
        ("reals", "fakes"),
        ("genuine", "synthetic"),
        ("authentic", "deepfake"),
        ("photos", "generated"),
        ("photo", "ai photo"),
        ("photo(s)", "synthetic_photos"),
        ("nature", "ai"),
        ("human", "AI"),
        ("original", "DeepFakes"),
        ("not_ai", "ai"),
        ("non-generated", "generated"),
        ("Non AI Generated", "AI Generated"),
        ("NotAI", "AIGenerated"),
        ("no_fake", "no_real"),
        ("not a fake", "not a real photo"),
        ("real_not_fake", "fake-not-real"),
        ("nonAI", "notReal"),
        ("without.ai", "GenAI"),
        ("realFaces", "FakeFaces"),
        ("RealImages2", "fake10k"),
        ("ffhq_real", "sdxl_fake"),
        ("real_photos", "generated_portraits"),
        ("bonafide", "artificial"),
        ("not_a_fake_human", "non_human_ai"),
    ],
)
def test_class_names_are_read_by_meaning(real: str, ai: str) -> None:
    assert (parse_label(real), parse_label(ai)) == ("real", "ai")


@pytest.mark.parametrize(
    "name",
    [
        *("0", "1", "class_a", "a", "b", "", "images", "faces", "hard", "train", "true", "false"),
        *("real_vs_fake", "RealVsFake", "ai or not", "real-or-ai", "real ai", "realfake", "mixed"),
        *("unreal", "un-real", "hyper-real", "HyperReal", "photorealistic", "photo-real", "realm"),
        *("RealVisXL", "Real-ESRGAN", "Midjourney", "stylegan2", "cgi", "computer generated"),
        *("not", "not_not_ai", "no_1_real", "not_photos", "fake no", "maybe fake", "real no"),
        *("human_generated", "aint", "air", "main", "surreal", "realistic", "настоящие", "真实"),
    ],
)
def test_a_name_that_does_not_say_plainly_says_nothing(name: str) -> None:
    assert parse_label(name) is None


@given(st.text(max_size=30))
def test_any_name_at_all_has_a_meaning_or_none(name: str) -> None:
    assert parse_label(name) in ("real", "ai", None)


@given(st.sampled_from(["real", "ai", "fake", "photos"]), st.sampled_from([" ", "_", "-", ".", ""]))
def test_neither_case_nor_numbers_change_the_meaning(word: str, separator: str) -> None:
    for name in (
        f"0{separator}{word}",
        f"1{separator}{word.upper()}",
        f"{word.title()}{separator}9",
    ):
        assert parse_label(name) == parse_label(word)
