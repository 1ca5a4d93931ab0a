"""Check a log of reports, and the line in it about one of them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from veridical.io import chain
from veridical.present.checks import HEAD, Check, counted
from veridical.present.filing import SUMS


def verify_log(log: Path, head: str | None = None) -> Iterator[Check]:
    """Check that a log holds together and, if its head is known, that nothing is cut off or new.

    Raises:
        OSError: If it cannot be read.
    """
    found = chain.read_chain(log)
    count = len(found.entries)
    if found.fault:
        before = f"Intact before it: {counted(count, 'line')}."
        yield Check("log", "differs", f"{found.fault} {before}")
        return
    says = f"What holds together: {counted(count, 'line')}; the head is {found.head}."
    yield Check("log", "same", says)
    known = [entry["seq"] for entry in found.entries if entry["hash"] == head]
    if head == found.head:
        yield Check(HEAD, "same", "It is the one that was given.")
    elif head is None:
        yield Check(HEAD, "note", "Not compared: lines at the end could be missing. Give --head.")
    elif known:
        says = f"The one that was given is of line {known[0]} of {count}: lines were added since."
        yield Check("later lines", "note", says)
    else:
        says = f"It is {found.head}, not the one given: lines were cut off or all made new."
        yield Check(HEAD, "differs", says)


_LATE = timedelta(hours=1)  # between a report's own time and its line: longer needs a word


def in_log(folder: Path, log: Path, record: Mapping[str, Any]) -> Iterator[Check]:
    """Compare the files with the line about them, and the line's time with that of the report."""
    paths = [path for path in folder.iterdir() if path.is_file()]
    own = {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}
    name = "line in the log"
    lines = [(_alike(one, own), one) for one in chain.read_chain(log).entries]
    found = max((one for one in lines if one[0]), key=lambda one: one[0], default=None)
    if found is None:
        yield Check(name, "differs", "No intact line of the log is about these files.")
        return
    line = found[1]
    told = {**line.get("files", {}), SUMS: line.get("sums")}
    wrong = [one for one, digest in told.items() if own.get(one) != digest]
    says = f"Line {line['seq']} has the hashes of all files."
    if wrong:
        says = f"Line {line['seq']} is about this report, with another hash of {', '.join(wrong)}."
    yield Check(name, "differs" if wrong else "same", says)
    try:
        at, written = (datetime.fromisoformat(one) for one in (record["at"], line["written"]))
        apart = abs(written - at)
    except (KeyError, TypeError, ValueError):
        yield Check("time", "differs", "The report or its line in the log has no time with a zone.")
        return
    if apart > _LATE:
        says = f"The report says {at.isoformat(' ')}, its line was written {written.isoformat(' ')}"
        yield Check("time", "note", f"{says}: {round(apart / _LATE)} hours apart.")


def _alike(line: Mapping[str, Any], own: Mapping[str, str]) -> int:
    """Return how many files have the hash that a line of the log names."""
    files = {**line.get("files", {}), SUMS: line.get("sums")}
    return sum(own.get(name) == digest for name, digest in files.items())
