"""The sentences of a report that is filed, beside those of `words.py`.

The conclusion itself is worded in `dossier_conclusion.py`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from veridical.cues.jpeg import DOUBLE, GRID
from veridical.infer.priors import SPLITS
from veridical.infer.rates import composed_of, error_rates, pictures_of
from veridical.present.numbers import percent, share, span
from veridical.present.words import assumption, printable
from veridical.report import Estimate, Reading, Report

REDACTED = "[redacted]"
NONE_GIVEN = "not given"

DATE_GIVEN = "The date of this document is the one that the examiner gave."
NUMBERS = "The numbers, and how they relate"
TITLE = "Report on the examination of a picture"
PROPOSITIONS = (
    "Proposition 1: a generative model made the picture (AI-generated).",
    "Proposition 2: the picture is a photograph of a person, taken with a camera (real).",
)
WHAT_IS_ASKED = (
    "The conclusion is one of three: support for proposition 1, support for proposition 2, or no "
    "conclusion. It rests on the pixels alone. A picture can be neither: a face swap, a composite, "
    "a retouched photograph, a drawing or a rendering; the conclusion says nothing about these. "
    "The scale of support: weak, moderate, moderately strong, strong, very strong, extremely "
    "strong."
)
EXPIRED = "Its certificate has expired."
_MANY_FACES = (
    "The conclusion is about the picture as a whole. Each face has a section of its own below."
)

REDACTION = (
    "This copy is redacted. Faces are covered in every picture that is shown, and names and values "
    "that stand in the file are replaced. Hashes and measurements are not changed: whoever has the "
    "file can recognise it by its hashes. The examiner's own words (case, exhibit, name, note) are "
    "kept as they were given. The answer was computed from the picture as it came. A face that was "
    "not found cannot be covered: look at the pictures before you pass them on."
)
REDACTED_COPY = (
    "The report is redacted. Your own words (--case, --exhibit, --examiner, --note) are kept, and "
    "the hashes still identify the file."
)
WITHHELD = (
    "The picture is withheld: this copy is redacted, and no face was found that could be covered."
)
CLAIMS = (
    "What a file says about its own origin is kept apart from the examination of the pixels, and "
    "moves no number in this report."
)
NO_HEADER = "none in the headers, which were read up to the pixels"
NO_CLAIMS = "No statement of the file about its own origin was read."
NO_RATES = (
    "The error rates of this model, used in this way, were not measured. How often such a "
    "conclusion is wrong is not known."
)
RATES = (
    "What answers the model gave when it was tested. A rate is followed by how many pictures it "
    "comes from and by its 95 % interval: that of a bootstrap of groups of pictures that belong "
    "together, or the exact one (Clopper and Pearson), at each end the wider. The rates hold for "
    "pictures like those of the set, and may be worse for others, such as those of new generators."
)
WHOLE_IMAGE = (
    "The frame was judged as a whole, as asked. The error rates below were measured on faces, and "
    "say nothing about this."
)
CHARACTERS = (
    r"Characters that cannot be shown safely, or that the fonts of the PDF do not have, are "
    r"written as an escape, such as \u202e."
)
REPEAT = (
    "The first command, in the folder of this report, says whether its files are unchanged. The "
    "second also examines the picture again and compares every number. Keep the picture as it "
    "came: its SHA-256 was taken before it was decoded. FOLDER is the folder of this report, LOG "
    "the log of reports and HASH its head, as it was noted elsewhere; leave out --log and --head "
    "where no log was kept."
)
COPY = "A copy of the picture, the same to the byte, is in the folder of this report."
CHECK_FILES = "sha256sum -c sha256sums.txt"
REPEAT_IT = "veridical verify FOLDER{photo} --log LOG --head HASH"
FILE_ELSEWHERE = (
    "Note these hashes somewhere else: whoever can change the files can change their hashes, too."
)
FORGERY = (
    "A log that holds together can still be a forgery: whoever can rewrite the whole file can make "
    "a new chain. Compare its head with the one that was noted elsewhere (--head)."
)
SIGN = ("Name", "Place and date", "Signature")


# --- what JPEG compression left -------------------------------------------------------------------

CUES = (
    "Forensic cues measure pixels and file without the network. They do not move the answer. "
    "Positive support is for AI-generated, negative for real; a cue that is not weighed is for "
    "information: no support by it was measured."
)
BLOCKS = "JPEG blocks"


def saved_before(report: Report) -> str | None:
    """Say once for the file where it was compressed more than once; None if that is not known."""
    found = {
        number: one.statistics["ripple"]
        for number, face in enumerate(report.faces, start=1)
        for one in face.readings or ()
        if isinstance(one, Reading) and one.cue == "jpeg" and "ripple" in one.statistics
    }
    if not found:
        return None
    faces = [str(number) for number, power in found.items() if power > DOUBLE]
    kind, largest = "faces" if len(found) > 1 else "face", max(found.values())
    where = f"around the {kind}"
    if faces and len(found) > 1:
        where = f"around {len(faces)} of {len(found)} faces ({', '.join(faces)})"
    signs = f"{'signs' if faces else 'no sign'} of more than one JPEG compression"
    return (
        f"{signs} {where}: ripple of the coefficients' histograms, log power "
        f"{'up to ' if len(found) > 1 else ''}{largest:.2f}; above {DOUBLE:g} it is a sign"
    )


def of_blocks(one: Reading) -> str:
    """Say what grid of JPEG blocks the pixels of a face have."""
    strength = one.statistics.get("grid")
    if strength is None:
        return "The face is too small to look for a grid of blocks."
    errors = f"({strength:.1f} standard errors; more than {GRID:g} is a grid)"
    if strength <= GRID:
        return f"No grid of blocks shows in the face {errors}."
    if one.statistics.get("elsewhere"):
        return (
            f"The face has a grid of blocks that is not the frame's own {errors}: it was part of "
            "another JPEG, or was moved."
        )
    return f"The face has a grid of blocks, at the place of the frame's own {errors}."


# --- error rates ---------------------------------------------------------------------------------

_RATE_ROWS = (
    ("real_called_ai", "Real pictures called AI-generated"),
    ("ai_called_ai", "AI-generated pictures called so"),
    ("ai_called_real", "AI-generated pictures called real"),
    ("real_called_real", "Real pictures called so"),
    ("real_undecided", "Real pictures left undecided"),
    ("ai_undecided", "AI-generated pictures left undecided"),
    ("error_when_decided", "Errors among the decided"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model card says of one set of pictures that the model was tested on.

    Attributes:
        name: Of the set.
        pictures: What they are; empty where the card does not say.
        n_real: Real pictures; None where the card does not say.
        n_ai: AI-generated pictures, likewise.
        n_groups: Groups of pictures that belong together, likewise.
        rates: By name.
        generators: How many of its AI-generated pictures each made; empty where that is not known.
        sources: How many of its real pictures came from each collection, likewise.
    """

    name: str
    pictures: str
    n_real: int | None
    n_ai: int | None
    n_groups: int | None
    rates: Mapping[str, Estimate]
    generators: Mapping[str, int]
    sources: Mapping[str, int]

    def count(self, name: str) -> tuple[int, int] | None:
        """Return how many pictures a rate counts, and of how many; None where it is not known."""
        rate = self.rates.get(name)
        of = pictures_of(name, {"n_real": self.n_real, "n_ai": self.n_ai}, self.rates)
        return (round(rate.value * of), of) if rate and of else None


def measured(card: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Return the sets that a model was tested on, `test` first, if their error rates are there."""
    entries = card.get("measured", {})
    found = []
    for name in (*SPLITS, *sorted(entries.keys() - set(SPLITS))):
        one, rates = entries.get(name, {}), error_rates(card, name)
        if {"real_called_ai", "ai_called_real"} <= rates.keys():
            found.append(
                Measured(
                    name=name,
                    pictures=str(one.get("pictures", "")),
                    n_real=one.get("n_real"),
                    n_ai=one.get("n_ai"),
                    n_groups=one.get("n_groups"),
                    rates=rates,
                    generators=composed_of(card, name, "ai"),
                    sources=composed_of(card, name, "real"),
                )
            )
    return tuple(found)


_CHOSEN_ON = (
    "Parts of the model and its thresholds were chosen on this set, so its rates may be a little "
    "too good."
)


def of_set(one: Measured) -> str:
    """Say on what pictures rates were measured."""
    if one.n_real is None or one.n_ai is None:
        return f'Set "{one.name}": the model card does not say how many pictures it has.'
    groups = f" in {one.n_groups} groups" if one.n_groups else ""
    what = f", {one.pictures}" if one.pictures else ""
    chosen = f" {_CHOSEN_ON}" if one.name == "val" else ""
    return f'Set "{one.name}": {one.n_real} real and {one.n_ai} AI-generated{groups}{what}.{chosen}'


SET_HEAD = ("Set", "AI-generated pictures, by generator", "Real pictures, by source")
OF_SETS = (
    "What the sets are made of, under the names in the model's card. The names of generators are "
    "those that the collections gave."
)


def set_rows(sets: tuple[Measured, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the rows of the table of what the sets are made of; none where no card says it."""
    return tuple(
        (f'"{one.name}"', _parts(one.generators), _parts(one.sources))
        for one in sets
        if one.generators or one.sources
    )


def known_generators(sets: tuple[Measured, ...], learnt_from: Iterable[str]) -> str:
    """Say which generators of the sets were in training, too; empty for none."""
    tested = {name for one in sets for name in one.generators}
    known = sorted(tested & set(learnt_from))
    if not known:
        return ""
    return (
        "Of these generators, the model was also trained on pictures of "
        f"{printable(', '.join(known))}, from other sources; others may be related to those that "
        "it was trained on."
    )


def _parts(parts: Mapping[str, int]) -> str:
    told = (f"{printable(name)} {count}" for name, count in parts.items())
    return ", ".join(told) or "not told"


def rate_rows(sets: tuple[Measured, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the rows of the table of error rates: a name, then a cell for each set."""
    return tuple((label, *(_rate(one, key) for one in sets)) for key, label in _RATE_ROWS)


def _rate(one: Measured, key: str) -> str:
    rate = one.rates.get(key)
    if rate is None:
        return "not measured"
    count = one.count(key)
    told = f"{count[0]} of {count[1]}; " if count else ""
    return f"{share(rate.value)} ({told}{span((rate.low, rate.high))})"


def assumptions(report: Report) -> Iterator[str]:
    """Say what the numbers of an answer assume; nothing where there are none."""
    if report.p_ai is None:
        return
    yield (
        f"P(ai) assumes that {assumption(report.prior)} where the picture came from, before it was "
        "examined. With another share it is another number; the conclusion stays."
    )
    yield (
        f"The interval is the middle {percent(report.level)} of what the model's posterior holds "
        "possible. It knows nothing of generators that are unlike all the training pictures."
    )
    yield (
        "A conclusion is given only where one answer alone is plausible: the answers that are left "
        f"hold the truth for {percent(report.coverage_of_reals)} of the real pictures and for "
        f"{percent(report.coverage_of_ai)} of the AI-generated ones like those that the model was "
        "calibrated on. That was promised before the picture came; what was measured stands among "
        "the error rates."
    )


def of_faces(report: Report) -> str:
    """Say which of several faces the answer rests on, and by what rule."""
    if report.lead_index is None:
        return _MANY_FACES
    return (
        f"{_MANY_FACES} It rests on face {report.lead_index + 1}: of the faces with this answer, "
        "or with the one that was taken back, that with the highest P(ai)."
    )


def learnt(generators: Iterable[str], decoders: Iterable[str]) -> str:
    """Say which generators a model was trained on, and which decoders that imitate one."""
    told = f"The model was trained on these generators: {printable(', '.join(generators))}."
    if through := printable(", ".join(sorted(decoders))):
        told += f" It was also trained on photographs that were sent through: {through}."
    return told


def on_paper(text: str) -> str:
    """Return a text without what only programmers read: names of files, backticks."""
    named = re.sub(r"docs/\w+\.md", "the program's documentation", text)
    answers = re.sub(r"\bcalled ai\b", "called AI-generated", named)
    return re.sub(r"`([^`]*)`", r'"\1"', answers)


def lines(text: str) -> tuple[str, ...]:
    """Return a note's lines, each made safe to show."""
    return tuple(printable(line) for line in text.splitlines() if line.strip())
