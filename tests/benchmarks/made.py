"""What the tests of benchmarks make and read."""

from pathlib import Path

from veridical.io.samples import Label, Sample


def sample(name: str, label: Label, source: str = "web", generator: str = "sd") -> Sample:
    """A picture; only AI-generated ones have a generator."""
    made = generator if label == "ai" else ""
    return Sample(path=Path(name), label=label, source=source, generator=made, group=name)


def cells(page: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]
