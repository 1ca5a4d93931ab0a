"""What the routes call: judging with all that belongs to it, and jobs for clips."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

from veridical.errors import Overloaded, VeridicalError
from veridical.report import Failure
from veridical.serve.kept import Keeper
from veridical.serve.kinds import Check, check_picture
from veridical.serve.orders import Answer, Broken, Progress, Wish
from veridical.serve.pool import Pool
from veridical.serve.problems import Problem, problem_of
from veridical.serve.settings import Settings
from veridical.serve.uploads import Upload

State = Literal["queued", "running", "done", "failed"]


@dataclass(eq=False, slots=True)
class Job:
    """A clip that is judged.

    Attributes:
        id: Cannot be guessed.
        owner: Whose it is.
        path: Of the clip.
        state: How far it is.
        progress: While it runs: what is done now, and the share that is done.
        answer: Once it is done.
        problem: Why there is none, once it failed.
        ended: When, on a monotonic clock.
    """

    id: str
    owner: str
    path: Path
    state: State = "queued"
    progress: Progress | None = None
    answer: Answer | None = None
    problem: Problem | None = None
    ended: float | None = None


class Service:
    """Judges for the routes.

    Args:
        pool: That does it.
        settings: Limits.
        check: Called with a picture and its name, before it waits for a worker; raises what it is
            refused for.
    """

    scratch: Path
    """Folder for clips on their way, while the service runs."""

    def __init__(self, pool: Pool, settings: Settings, check: Check = check_picture) -> None:
        self.pool, self.settings, self._check = pool, settings, check
        self._keeper = Keeper(settings.retain) if settings.retain else None
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._names = count()

    async def judge(self, data: bytes, wish: Wish, *, patient: bool = False) -> Answer:
        """Judge a picture; see `Pool.judge`. It is kept first, if the service keeps.

        Raises:
            PhotoError: If it is no picture: then no worker is waited for.
            VeridicalError: As `Pool.judge`.
            FolderUnusable: If it cannot be kept.
        """
        self._check(data, wish.name)
        answer = await self.pool.judge(data, wish, patient=patient)
        if self._keeper:
            await self._keeper.keep(data, answer.body, self._name())
        return answer

    async def batch(self, uploads: Sequence[Upload], wish: Wish) -> AsyncIterator[bytes]:
        """Yield a line of JSON for each picture, in order; as many at a time as there are workers.

        What cannot be judged gives the line of a `Failure`, as on the command line.
        """
        running: dict[int, asyncio.Task[bytes]] = {}
        started = 0
        try:
            for at in range(len(uploads)):
                while started < len(uploads) and started < at + self.pool.size.workers:
                    running[started] = asyncio.create_task(self._line(uploads[started], wish))
                    started += 1
                yield await running[at] + b"\n"
                del running[at]
        finally:
            for task in running.values():
                task.cancel()

    async def _line(self, upload: Upload, wish: Wish) -> bytes:
        own = replace(wish, name=upload.name)
        try:
            return (await self.judge(upload.data, own, patient=True)).body
        except (VeridicalError, Broken) as error:
            told = problem_of(error)
            return (
                Failure(path=upload.name or None, error=told.error, hint=told.hint)
                .to_json()
                .encode()
            )

    # --- clips -----------------------------------------------------------------------------------

    def place(self) -> Path:
        """Return where a clip may be written to."""
        return self.scratch / f"{next(self._names)}.clip"

    def check_jobs(self) -> None:
        """Refuse another clip, if there are too many.

        Raises:
            Overloaded: If so.
        """
        if len(self._tasks) >= self.settings.max_jobs:
            raise Overloaded(
                f"{len(self._tasks)} clips are being judged or wait: no more can.",
                hint="Try again when one of them is done.",
            )

    def begin(self, path: Path, wish: Wish, owner: str) -> Job:
        """Begin to judge a clip, whose file is deleted afterwards.

        Raises:
            Overloaded: If there are too many.
        """
        self.check_jobs()
        self._forget()
        job = Job(secrets.token_urlsafe(16), owner, path)
        self._jobs[job.id] = job
        task = self._tasks[job.id] = asyncio.create_task(self._run(job, wish))
        task.add_done_callback(lambda _task: self._ended(job))  # also if it never began
        return job

    def job(self, name: str, owner: str) -> Job:
        """Return a job.

        Raises:
            Problem: 404, if this owner has none of that name.
        """
        self._forget()
        job = self._jobs.get(name)
        if job is None or job.owner != owner:
            raise Problem(
                404,
                "There is no such job.",
                f"Answers are kept for {self.settings.keep_s / 60:g} minutes. Send the clip again.",
            )
        return job

    async def drop(self, job: Job) -> None:
        """Forget a job, and stop its work."""
        self._jobs.pop(job.id, None)
        if task := self._tasks.get(job.id):
            task.cancel()
            await asyncio.wait({task})

    async def close(self) -> None:
        """Stop all jobs."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _run(self, job: Job, wish: Wish) -> None:
        def begun() -> None:
            job.state = "running"

        def heard(progress: Progress) -> None:
            job.progress = progress

        try:
            answer = await self.pool.judge_clip(job.path, wish, begun, heard)
            if self._keeper:
                await self._keeper.keep(job.path, answer.body, self._name())
            job.answer, job.state = answer, "done"
        except (VeridicalError, Broken) as error:
            job.problem, job.state = problem_of(error), "failed"

    def _ended(self, job: Job) -> None:
        job.ended = time.monotonic()
        del self._tasks[job.id]
        with suppress(OSError):
            job.path.unlink()

    def _forget(self) -> None:
        """Forget answers that are old, or too many."""
        ended = [one for one in self._jobs.values() if one.ended is not None]
        late = time.monotonic() - self.settings.keep_s
        surplus = max(0, len(ended) - self.settings.max_kept)
        for at, one in enumerate(ended):
            if at < surplus or (one.ended is not None and one.ended < late):
                del self._jobs[one.id]

    def _name(self) -> str:
        return f"{time.time_ns()}-{secrets.token_hex(4)}"
