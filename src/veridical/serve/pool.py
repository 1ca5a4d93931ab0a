"""What a judge is asked, and what it answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of one picture.

    Attributes:
        explain: Also explain every face that was judged.
        cues: Also ask the forensic cues.
        prior: Share of AI-generated pictures where it comes from; None for none.
        whole_image: Judge the frame as if it were a face.
        page: Also draw it for the page.
        name: Of the file.
    """

    explain: bool = False
    cues: bool = False
    prior: float | None = None
    whole_image: bool = False
    page: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a judge answers.

    Attributes:
        body: The report as JSON.
        page: The same as HTML for the page; empty where none was asked for.
    """

    body: bytes
    page: str = ""
