"""`--retain`: uploads and answers on disk, for those who have to keep them."""

import asyncio
import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from veridical.errors import FolderUnusable


class Keeper:
    """Keeps what came and what was answered, below a folder: `DAY/SHA256` and `DAY/ID.json`.

    Args:
        folder: Where to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, data: bytes | Path, body: bytes, name: str) -> None:
        """Write one upload and its answer.

        Args:
            data: The bytes, or the path of a clip.
            body: The answer.
            name: Of the answer, unique.

        Raises:
            FolderUnusable: If that cannot be done. Nobody may get an answer that was not kept.
        """
        await asyncio.to_thread(self._keep, data, body, name)

    def _keep(self, data: bytes | Path, body: bytes, name: str) -> None:
        day = self._folder / datetime.now(UTC).date().isoformat()
        try:
            day.mkdir(mode=0o700, parents=True, exist_ok=True)
            if isinstance(data, Path):
                with data.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if not (day / digest).exists():
                    shutil.copyfile(data, day / f".{name}")
                    (day / f".{name}").replace(day / digest)
            elif not (there := day / hashlib.sha256(data).hexdigest()).exists():
                _write(there, data, name)
            _write(day / f"{name}.json", body, name)
        except OSError as error:
            raise FolderUnusable(
                f"The answer cannot be kept ({error.strerror or type(error).__name__}).",
                hint="Make room in the folder that --retain names, and ask again.",
            ) from error


def _write(path: Path, data: bytes, name: str) -> None:
    draft = path.with_name(f".{name}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
    draft.replace(path)
