import io
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.present import made
from tests.present.filed import BASIS, EXPLAINED, FILING, SECRETS, TEXT, filed, hostile
from tests.present.test_dossier import texts
from veridical.errors import MissingExtra
from veridical.present import pdf
from veridical.present.dossier import Dossier
from veridical.present.dossier_forms import blocks
from veridical.present.dossier_parts import dossier

pytest.importorskip("typst")
pypdf = pytest.importorskip("pypdf")


def pages(made_: Dossier) -> list[str]:
    return [page.extract_text() for page in read(made_).pages]


def read(made_: Dossier) -> Any:
    return pypdf.PdfReader(io.BytesIO(pdf.to_pdf(made_)))


def squeezed(text: str) -> str:
    """Text without spaces and line ends, which a page sets anew."""
    return re.sub(r"\s", "", text)


def test_equal_dossiers_give_equal_bytes_and_another_time_others() -> None:
    one = pdf.to_pdf(filed(EXPLAINED))
    assert one == pdf.to_pdf(filed(EXPLAINED))
    later = replace(FILING, at=FILING.at + timedelta(seconds=1))
    assert one != pdf.to_pdf(filed(EXPLAINED, filing=later))


def test_the_date_of_the_document_is_the_time_of_the_report_in_any_zone() -> None:
    at = datetime(2026, 2, 3, 23, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    found = read(filed(filing=replace(FILING, at=at))).metadata
    assert found.creation_date == found.modification_date == at


def test_the_pdf_says_all_that_the_dossier_says() -> None:
    made_ = filed(replace(EXPLAINED, readings=(made.SPOKEN, made.ABSENT)))
    told = squeezed("".join(pages(made_)))
    for text in texts(blocks(made_)):
        if "in grey under" not in text and not text.startswith("The photo,"):  # alternative texts
            # A page may end within a paragraph: its ends are there, whatever stands between.
            assert squeezed(text)[:30] in told
            assert squeezed(text)[-30:] in told


def test_every_page_is_a4_and_has_case_exhibit_and_its_number() -> None:
    found = read(filed(EXPLAINED, filing=replace(FILING, note="Line.\n" * 60)))
    count = len(found.pages)
    assert count > 2
    for number, page in enumerate(found.pages, start=1):
        assert [round(float(x)) for x in page.mediabox] == [0, 0, 595, 842]
        text = page.extract_text()
        assert "Case 17 | Exhibit 3" in text
        assert f"Page {number} of {count}" in text
    assert found.metadata["/Title"] == made_title()
    assert found.metadata["/Author"] == "A. Examiner"


def made_title() -> str:
    return filed(EXPLAINED).title


@pytest.mark.parametrize("lines", range(0, 40, 3))
def test_no_heading_stands_alone_at_the_end_of_a_page(lines: int) -> None:
    made_ = filed(EXPLAINED, made.SMALL, filing=replace(FILING, note="Line.\n" * lines))
    titles = {section.title for section in made_.sections}
    for text in pages(made_):
        body = [
            line
            for line in text.splitlines()
            if not line.startswith(("Case 17 |", "SHA-256 of the picture", "Page "))
        ]
        assert body[-1].strip() not in titles


def test_hostile_text_is_set_as_it_stands() -> None:
    report, one = hostile()
    filing = replace(FILING, case=TEXT, examiner=TEXT, note=TEXT)
    told = squeezed("".join(pages(dossier(report, one, filing, BASIS))))
    assert "#read(1)$x$\\u202egpj.exe\\u200b.png" in told
    assert "*b*@ref<script>alert(2)</script>\\x1b[31m=1+1\\u4e2d" in told


def test_a_name_without_a_place_to_break_stays_on_the_page() -> None:
    """The rest of a very long word would else be outside of the paper: it takes more lines."""
    long, short = ("x" * n for n in (900, 9))
    one, other = (pages(filed(made.FACE, path=name)) for name in (long, short))
    lines = [line for line in "\n".join(one).splitlines() if "xxxx" in line]
    assert squeezed("".join(one)).count("x" * 9) >= 2 * 900 // 9
    assert len(lines) > 15
    assert len(one) >= len(other)
    assert all(line.count("x") < 110 for line in lines)


def test_a_redacted_pdf_is_made_of_nothing_that_stands_in_the_file(tmp_path: Path) -> None:
    report, one = hostile()
    for redact in (False, True):
        made_ = dossier(report, one, replace(FILING, redact=redact), BASIS)
        folder = tmp_path / str(redact)
        folder.mkdir()
        pdf.write_sources(made_, folder)  # all that the PDF is made of
        sources = b"".join(path.read_bytes() for path in folder.iterdir())
        reader = read(made_)
        streams = b"".join(
            item.get_data()
            for number in reader.xref[0]
            if hasattr(item := reader.get_object(number), "get_data")
            and "/DCTDecode" not in str(item.get("/Filter"))
        )
        text = "".join(page.extract_text() for page in reader.pages)
        for secret in SECRETS:
            found = [secret.encode() in sources, secret in text]
            assert found == [not redact] * 2, secret
            assert not (redact and secret.encode() in streams)


def test_characters_that_the_fonts_lack_are_escaped() -> None:
    assert pdf.legible("Zo\u00eb \u0416\u03b1 3 \u2264 4") == "Zo\u00eb \u0416\u03b1 3 \u2264 4"
    assert pdf.legible("\u4e2d\U0001f600\u0627\u202e\n") == r"\u4e2d\U0001f600\u0627\u202e\n"


def test_the_fonts_have_every_character_that_is_not_escaped() -> None:
    shown = "".join(
        chr(c)
        for low, high in pdf._SHOWN
        for c in range(low, high + 1)
        if chr(c).isprintable() and not chr(c).isspace()
    )
    parts = [shown[n : n + 30] for n in range(0, len(shown), 30)]
    made_ = filed(made.FACE, filing=replace(FILING, note="\n".join(parts)), path=f"{shown[:200]}")
    told = squeezed("".join(pages(made_)))
    missing = [part for part in parts if squeezed(part) not in told]
    assert not missing


def test_without_typst_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "typst", None)
    with pytest.raises(MissingExtra, match="typst") as caught:
        pdf.to_pdf(filed(made.FACE))
    assert "veridical[report]" in caught.value.hint
