"""Answers for people, at the terminal: one picture on one line, for many pictures.

The columns are as wide as their widest content, so lines that are printed one by one stand below
each other. What may be of any width, the name of the picture or what went wrong, comes last.
"""

from rich.console import Console
from rich.text import Text

from veridical.present import clip_words, words
from veridical.present.numbers import percent, share, span
from veridical.present.terminal import FAILED, STYLE, safe
from veridical.report import Failure
from veridical.video import Answer, VideoReport

_GAP = "  "


def header(console: Console, level: float) -> None:
    """Print what the columns are.

    Args:
        console: Where to.
        level: Mass of the intervals.
    """
    says = _row(
        "ANSWER", "P(ai)", f"{percent(level)} interval", "WHY", "FILE SAYS", "FACES", "PICTURE"
    )
    _print(Text(says, style="bold"), console)


def line(outcome: Answer | Failure, console: Console) -> None:
    """Print one picture: what was judged, what the file says of its origin, and its path.

    Behind the path stands how many frames there are, if there is more than the one judged.
    A picture that could not be judged has what went wrong in the place of its path, which that
    begins with.
    """
    if isinstance(outcome, Failure):
        style, row = FAILED, _row(words.NOT_JUDGED, "-", "-", "failed", "-", "-", outcome.error)
    else:
        style = STYLE[outcome.decision]
        judged = outcome.p_ai is not None and outcome.interval is not None
        name = "a picture without a file name" if outcome.path is None else outcome.path
        row = _row(
            words.WORD[outcome.decision],
            share(outcome.p_ai) if judged and outcome.p_ai is not None else "-",
            span(outcome.interval) if judged and outcome.interval is not None else "-",
            words.shortly(outcome.reasons[0]) if outcome.reasons else "",
            words.declares(outcome.declared),
            str(_faces(outcome)),
            f"{name} ({frames})" if (frames := words.of_frames_shortly(outcome)) else name,
        )
    text = Text(safe(row, console))
    text.stylize(style, 0, len(row.split(_GAP)[0]))
    _print(text, console)


def _faces(answer: Answer) -> int:
    if isinstance(answer, VideoReport):
        return len(clip_words.people(answer.tracks))
    return len(answer.faces)


def _row(
    answer: str, p_ai: str, interval: str, why: str, declares: str, faces: str, last: str
) -> str:
    cells = (
        f"{answer:<12}",
        f"{p_ai:>6}",
        f"{interval:<16}",
        f"{why:<18}",
        f"{declares:<18}",
        f"{faces:>5}",
        last,
    )
    return _GAP.join(cells)


def _print(text: Text, console: Console) -> None:
    """Print in one piece, which can be copied; the terminal wraps it where it must."""
    console.print(text, soft_wrap=True)
