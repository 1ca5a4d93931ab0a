"""Which class a name means.

A class name is read by its meaning. The usual convention, numbering classes by alphabet, makes
class 1 *real* for the folders `ai` and `real` and *AI* for `0_real` and `1_fake`, and nobody
notices. Here a name that is not plain is an error that asks the user.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from veridical.errors import ClassNamesUnclear
from veridical.io.samples import Label


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAYS: dict[str, Label] = {
    **dict.fromkeys(_words_of("real reals genuine authentic human humans bonafide"), "real"),
    **dict.fromkeys(_words_of("nonai notai nonfake notfake nofake"), "real"),
    **dict.fromkeys(
        _words_of("ai aigc aigenerated genai fake fakes faked deepfake deepfakes"), "ai"
    ),
    **dict.fromkeys(
        _words_of("synthetic synth synthesized synthesised artificial generated"), "ai"
    ),
    **dict.fromkeys(_words_of("generative nonreal notreal"), "ai"),
}
# "photos" alone are real; "ai photos" are not. Names of generators are not here on purpose:
# GenImage's `Midjourney` folder holds that generator's real counterparts as well.
_SUGGESTS_REAL = _words_of("photo photos photograph photographs nature natural original originals")
_NEGATES = _words_of("not non no without")
_ARTICLES = _words_of("a an the")
# Next to one of these even a plain word promises nothing: "hyper-real", "possibly fake".
_HEDGES = _words_of(
    "un unreal hyper pseudo quasi semi almost nearly half partly partially maybe possibly "
    "probably mixed mix both or vs versus unknown unsure anti computer esrgan"
)
_NEUTRAL = _words_of(
    "image images img imgs picture pictures pic pics face faces portrait portraits people person "
    "art data dataset set class train training test testing val validation sample samples"
)
_CAMEL_SAFE = _SAYS.keys() | _SUGGESTS_REAL | _NEGATES | _ARTICLES | _HEDGES | _NEUTRAL
SPLITS = _words_of("train training val valid validation test testing dev eval")
"""Names that folders of splits have."""


def parse_label(name: str) -> Label | None:
    """Say which class a folder or label name means, or None where it does not say plainly.

    A negation turns the words right after it ("non-AI-generated" is real). A name that says both
    ("real_vs_fake"), hedges ("hyper-real"), or only numbers ("1") means nothing here: asking costs
    one option, guessing wrongly costs the model.
    """
    words = _words(name)
    said: set[Label] = set()
    negating, negated = False, None  # between "not" and its end; the class that it turns round
    for word in words:
        label = _SAYS.get(word)
        if word in _HEDGES:
            return None
        if word in _NEGATES:
            if negating and negated is None:
                return None
            negating, negated = True, None
        elif negating and negated is None:
            if word in _ARTICLES:
                continue
            if label is None:
                return None  # "not photos" may be paintings
            negated = label
            said.add("ai" if label == "real" else "real")
        elif not (negating and label == negated):
            negating = False
            if label is not None:
                said.add(label)
    if negating and negated is None:
        return None  # "ai or not", "real no"
    if not said and not _SUGGESTS_REAL.isdisjoint(words):
        said.add("real")
    if "real" in said and "photoreal" in "".join(words):
        return None  # the word of those who imitate photographs
    return said.pop() if len(said) == 1 else None


def _words(name: str) -> list[str]:
    """Split at separators, digits and camelCase; digits stay, for "no 1" is not "no"."""
    words: list[str] = []
    for chunk in re.findall(r"\d+|[^\W\d_]+", name):
        humps = [hump.lower() for hump in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", chunk)]
        # RealVisXL is a generator and does not say "real": split only what we wholly understand.
        words += humps if humps and set(humps) <= _CAMEL_SAFE else [chunk.lower()]
    return words


def labels_of(
    names: Mapping[str, str], *, real: str | None, ai: str | None, where: Path, things: str
) -> dict[str, Label]:
    """Return the label of each class name that counts.

    Args:
        names: As found, with how messages show them.
        real: The name that the user says is real.
        ai: The name that the user says is AI-generated.
        where: The data set, for messages.
        things: What the names are of, such as "sub-folders".

    Raises:
        ClassNamesUnclear: If a name is neither plainly real nor plainly AI-generated.
    """
    found = f"the {things} are {listed(names.values())}"
    labels: dict[str, Label | None] = {name: parse_label(name) for name in names}
    asked: tuple[tuple[Label, str | None], ...] = (("real", real), ("ai", ai))
    for label, name in asked:
        if name is not None and name not in names:
            raise ClassNamesUnclear(
                f"{where}: {name!r} was named as the {label} class, but {found}.",
                hint=f"Give --{label} one of these names exactly.",
            )
        if name is not None:
            labels[name] = label
    if real is not None and real == ai:
        raise ClassNamesUnclear(
            f"{where}: {real!r} was named as both classes, and {found}.", hint="Name one for each."
        )
    if real is not None and ai is not None:
        return {real: "real", ai: "ai"}
    unclear = [shown for name, shown in names.items() if labels[name] is None]
    if unclear:
        known = {label: name for name, label in labels.items()}
        options = " ".join(
            f"--{label} {shlex.quote(known[label]) if label in known else 'NAME'}"
            for label, _ in asked
        )
        raise ClassNamesUnclear(
            f"{where}: {found}; not plainly real or AI-generated: {listed(unclear)}.",
            hint=f"Say which is which, spelt exactly so: {options} (all others are left out).",
        )
    return {name: label for name, label in labels.items() if label is not None}


def listed(shown: Iterable[str], most: int = 8) -> str:
    """Return the first items, and how many more there are."""
    items = list(shown)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more if items else "none"


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number of things: "1 row", "2 rows"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
