"""Every sentence of the page that is not about one picture; those are in `present.words`.

The page's script has no sentence of its own: it gets `SAID` from the page, and fills in what stands
in braces.
"""

from dataclasses import dataclass

from veridical.present.words import NOT_MEANT, WORD
from veridical.report import Decision

NAME = "Veridical"
HEADING = "Is the person in this photo real, or AI-generated?"
LEAD = (
    "Add photos or clips of people. Every face gets one of three answers, with how sure the answer "
    "is, and what it rests on."
)

PRIVATE = "Nothing leaves this computer."
PRIVATE_HOST = "Pictures are sent to {host}, which runs this page, and nowhere else."
FORGOTTEN = "Nothing is kept: when you close the page, the results are gone."
RETAINED = "This service keeps the pictures that it is sent."

DROP = "Drop photos, clips or a folder here"
LET_GO = "Let go to add the files"
PASTE = "You can also paste a picture."
CHOOSE = "Choose files"
CHOOSE_FOLDER = "Choose a folder"
SKIP = "Skip to the results"
NO_SCRIPT = "This page needs JavaScript. Its script comes from this service alone."

OPTIONS = "Options"
OPTIONS_NOTE = "For the photos that you add from now on."
WHOLE = "Judge the whole frame instead of the faces in it"
PRIOR = "Share of AI-generated pictures where yours come from"
PRIORS = (
    ("", "not known"),
    ("0.001", "1 in 1,000"),
    ("0.01", "1 in 100"),
    ("0.1", "1 in 10"),
    ("0.5", "half of them"),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer means, and what it does not.

    Attributes:
        kind: The decision.
        word: What the page calls it.
        means: In a sentence.
        not_meant: What it does not mean.
    """

    kind: str
    word: str
    means: str
    not_meant: str


_MEANS = {
    Decision.REAL: "In our tests, few AI-generated faces looked like this one.",
    Decision.AI: "In our tests, few real faces looked like this one.",
    Decision.UNDECIDED: "Both are possible, or the model does not know such pictures.",
}
MEANINGS = tuple(
    Meaning(one.value, WORD[one], means, NOT_MEANT[one]) for one, means in _MEANS.items()
)
MEANING_HEADING = "The three answers"
MEANING = "It means"
NOT_MEANING = "Remember"

RESULTS = "Results"
DETAILS = "Details"
COLUMNS = {
    "thumb": "Picture",
    "name": "Name",
    "kind": "Answer",
    "p": "P(ai)",
    "interval": "Interval",
    "why": "Why",
    "says": "File says",
    "faces": "Faces",
}
SHOW = "Show"
ALL = "All"
FIND = "Find a name"
SAVE_TABLE = "Save as CSV"
SAVE_REPORT = "Save this report as JSON"
FORGET = "Forget all"
STOP = "Stop"
AGAIN = "Try again"
BACK = "Back to the list"
PROGRESS = "Progress"
NONE_FITS = "No result fits."
KEYS = "Keys: ↑ and ↓ choose, Enter reads, Esc goes back."

HOW_SURE = "How sure that is"
DOES_NOT_MEAN = "What it does not mean"
NEXT = "What to do next"
FILE_SAYS = "What the file says"
USED = "What the model used"
BLEND = "Map over the face"
BLEND_ENDS = ("photo", "map")
SCALE = "A line from real to AI-generated: a point at P(ai) {p}, and a band from {ends}."
SCALE_ENDS = ("real", "even", "AI-generated")
OF_FACE = " (of face {n} of {total})"
NOT_MEANT_DAMAGED = (
    "Undecided supports neither answer. That the file is damaged says nothing about the person in "
    "it."
)
NEXT_NO_FACE = "Look for a clip in which a face is larger, or longer in sight."
AT_PRIOR = "Where {share} of the pictures are AI-generated: {at}."
LOOKED_AT = "What was looked at"
NOT_LOOKED_AT = "Not judged:"
NUMBERS = "Numbers"
MAPS = "More maps"
ADDS_UP = "How the evidence adds up"
CUES = "Forensic cues"
ABOUT_FILE = "The file's own words"
PROCESSING = "Processing, file and model"
LIMITS = "What no verdict can mean"

TOKEN = "This service asks for a token"
TOKEN_NOTE = "Whoever runs it gave you one. The page forgets it when you close it."
TOKEN_LABEL = "Token"
TOKEN_SEND = "Go on"
TOKEN_CANCEL = "Cancel"

SAID = {
    "waiting": "waiting",
    "sending": "sending, {percent} %",
    "judging": "being judged, {seconds} s",
    "queued": "waits for its turn",
    "searching": "looking for people, {percent} %",
    "percent": "being judged, {percent} %",
    "busy": "the service is busy; next try in {seconds} s",
    "done": "{done} of {total} done",
    "left": "about {time} left",
    "seconds": "{n} s",
    "minutes": "{n} min",
    "added_one": "1 file added.",
    "added": "{n} files added.",
    "answered": "{name}: {answer}.",
    "finished": "All {total} are done.",
    "forgotten": "All results are forgotten.",
    "sorted": "Sorted by {column}.",
    "shown": "{n} of {total} shown.",
    "saved": "The table is saved.",
    "saved_part": "The saved table has {done} of {total} files: the others are not done yet.",
    "pasted": "Pasted picture {n}.{ending}",
    "passed_over_one": "1 file of the folder was passed over: it is no photo and no clip.",
    "passed_over": "{n} files of the folder were passed over: they are no photos and no clips.",
    "nothing": "There is no photo and no clip in what you added.",
    "unreachable": "The service does not answer.",
    "unreachable_hint": "See whether it still runs, then try again.",
    "broken": "The service gave an answer that this page cannot read (status {status}).",
    "broken_hint": "Try again. If it happens again, tell whoever runs the service.",
    "too_large": "The file has {mib} MiB; this service takes at most {most} MiB.",
    "too_large_hint": "Judge it at the command line. A smaller copy is another picture.",
    "unreadable": "The browser cannot read the file.",
    "unreadable_hint": "See whether it is still there, then add it again.",
    "stopped": "You stopped before it was judged.",
    "stopped_hint": "Try again if you want to know.",
    "no_token": "The token was not accepted.",
}
"""What the page says while it works; `{n}` and the like are filled in there."""
