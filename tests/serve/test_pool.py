import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.serve.doubles import ByContent, NoModel, NoStart
from tests.serve.harness import QUICK
from veridical.errors import (
    DeadlinePassed,
    ModelMissing,
    NotAPhoto,
    NotServing,
    Overloaded,
    ServiceError,
    WorkerLost,
)
from veridical.serve.orders import Answer, Broken, Maker, Progress, Size, Wish
from veridical.serve.pool import Pool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
PLAIN = Wish()


def within(
    work: Callable[[Pool], Awaitable[None]], size: Size = QUICK, maker: Maker | None = None
) -> Pool:
    async def main() -> Pool:
        pool = Pool(maker or ByContent(), size)
        await pool.start()
        try:
            async with asyncio.timeout(60):
                await work(pool)
        finally:
            await pool.close()
        return pool

    return asyncio.run(main())


async def pids(pool: Pool) -> set[bytes]:
    """The workers that answer."""
    asked = [pool.judge(b"pid", PLAIN, patient=True) for _ in range(12)]
    return {answer.body for answer in await asyncio.gather(*asked)}


def test_every_order_gets_its_own_answer() -> None:
    async def work(pool: Pool) -> None:
        data = [b"picture %d" % n for n in range(40)]
        asked = [pool.judge(one, Wish(name=str(n)), patient=True) for n, one in enumerate(data)]
        for n, answer in enumerate(await asyncio.gather(*asked)):
            assert f'"path": "{n}"'.encode() in answer.body
        assert len(await pids(pool)) == 2
        assert pool.busy == pool.waiting == 0

    within(work)


def test_a_worker_that_dies_costs_one_order_and_is_replaced() -> None:
    async def work(pool: Pool) -> None:
        before = await pids(pool)
        asked: list[Awaitable[Answer]] = [pool.judge(b"die", PLAIN)]
        asked += [pool.judge(b"sleep 0.05 %d" % n, PLAIN, patient=True) for n in range(20)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(found[0], WorkerLost)
        assert all(isinstance(one, Answer) for one in found[1:])
        while pool.ready < 2:
            await asyncio.sleep(0.02)
        assert len(before & await pids(pool)) == 1

    assert within(work).lost == {"died": 1}


def test_an_idle_worker_that_is_killed_costs_nothing() -> None:
    async def work(pool: Pool) -> None:
        for _ in range(3):
            (victim, *_) = await pids(pool)
            os.kill(int(victim.partition(b'"pid": ')[2].partition(b",")[0]), signal.SIGKILL)
            await asyncio.sleep(0.05)
            assert len(await pids(pool)) >= 1
            while pool.ready < 2:
                await asyncio.sleep(0.02)

    assert within(work).lost == {"died": 3}


def test_a_worker_that_hangs_is_ended_at_the_deadline() -> None:
    async def work(pool: Pool) -> None:
        begun = time.monotonic()
        with pytest.raises(DeadlinePassed, match=r"longer than 0\.5 s"):
            await pool.judge(b"hang", PLAIN)
        assert time.monotonic() - begun < 10
        while pool.busy or pool.ready < 2:
            await asyncio.sleep(0.02)
        assert await pool.judge(b"a", PLAIN)

    assert within(work, replace(QUICK, deadline_s=0.5)).lost == {"hung": 1}


def test_slow_work_is_stopped_at_the_deadline_and_costs_no_worker() -> None:
    async def work(pool: Pool) -> None:
        before = await pids(pool)
        with pytest.raises(DeadlinePassed):
            await pool.judge(b"sleep 30", PLAIN)
        assert await pids(pool) == before

    assert not within(work, replace(QUICK, deadline_s=0.7)).lost


def test_a_worker_that_grows_is_ended() -> None:
    async def work(pool: Pool) -> None:
        with pytest.raises(WorkerLost, match="more than 300 MiB"):
            await pool.judge(b"grow 600", PLAIN)
        assert await pool.judge(b"a", PLAIN)

    assert within(work, replace(QUICK, max_mbytes=300)).lost == {"grew": 1}


def test_a_worker_that_has_grown_is_replaced_between_two_orders() -> None:
    async def work(pool: Pool) -> None:
        for _ in range(3):
            assert await pool.judge(b"a", PLAIN, patient=True)

    lost = within(work, replace(QUICK, workers=1, max_mbytes=60)).lost
    assert set(lost) == {"worn"}


def test_a_full_line_refuses_at_once() -> None:
    async def work(pool: Pool) -> None:
        asked = [asyncio.create_task(pool.judge(b"sleep 1.0", PLAIN)) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert pool.full
        begun = time.monotonic()
        with pytest.raises(Overloaded, match="2 pictures are being judged and 2 wait"):
            await pool.judge(b"a", PLAIN)
        assert time.monotonic() - begun < 0.8
        assert 1 <= pool.retry_s <= 5
        assert all(await asyncio.gather(*asked))
        assert await pool.judge(b"a", PLAIN)

    within(work)


def test_what_nobody_waits_for_is_not_begun(tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        asked = [asyncio.create_task(pool.judge(b"sleep 0.4 %d" % n, PLAIN)) for n in range(4)]
        await asyncio.sleep(0.1)
        for one in asked[2:]:
            one.cancel()
        await asyncio.wait(asked)
        assert pool.waiting == 0
        await pids(pool)

    within(work, maker=ByContent(str(tmp_path)))
    assert len(list(tmp_path.iterdir())) == 3  # two pictures, and the question for the pid


def test_work_that_nobody_waits_for_is_stopped() -> None:
    async def work(pool: Pool) -> None:
        before = await pids(pool)
        asked = [asyncio.create_task(pool.judge(b"sleep 9", PLAIN)) for _ in range(2)]
        await asyncio.sleep(0.2)
        for one in asked:
            one.cancel()
        begun = time.monotonic()
        assert await pids(pool) == before
        assert time.monotonic() - begun < 8

    assert not within(work).lost


def test_errors_of_pictures_and_of_ours_come_back_as_such(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(pool: Pool) -> None:
        with pytest.raises(NotAPhoto, match=r"a\.txt: is text") as caught:
            await pool.judge(b"text", Wish(name="a.txt"))
        assert caught.value.hint == "Pass a JPEG."
        with pytest.raises(Broken):
            await pool.judge(b"fault", PLAIN)

    assert not within(work).lost
    assert "ZeroDivisionError" in caplog.text


def test_a_model_that_cannot_be_loaded_is_said_at_the_start() -> None:
    with pytest.raises(ModelMissing, match=r"No model\."):
        within(_nothing, maker=NoModel())


def test_workers_that_never_start_are_given_up() -> None:
    with pytest.raises(ServiceError, match=r"before they are ready \(status 3\)"):
        within(_nothing, replace(QUICK, workers=1), NoStart())


async def _nothing(_pool: Pool) -> None:
    pass


def test_the_patient_leave_places_to_others() -> None:
    async def work(pool: Pool) -> None:
        many = [
            asyncio.create_task(pool.judge(b"sleep 0.1", PLAIN, patient=True)) for _ in range(20)
        ]
        await asyncio.sleep(0.3)
        for _ in range(5):
            assert await pool.judge(b"a", PLAIN)
        assert not all(one.done() for one in many)
        await asyncio.gather(*many)

    within(work)


def test_clips_leave_workers_to_pictures(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"sleep 1")

    async def work(pool: Pool) -> None:
        begun: list[float] = []
        clips = [
            asyncio.create_task(
                pool.judge_clip(path, PLAIN, lambda: begun.append(time.monotonic()))
            )
            for _ in range(2)
        ]
        await asyncio.sleep(0.3)
        assert (pool.busy, len(begun)) == (1, 1)
        assert await pool.judge(b"a", PLAIN)
        await asyncio.gather(*clips)
        assert begun[1] - begun[0] >= 1

    within(work)


def test_it_is_told_how_far_a_clip_is_and_then_stopped(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"half 30")

    async def work(pool: Pool) -> None:
        heard: list[Progress] = []
        clip = asyncio.create_task(pool.judge_clip(path, PLAIN, heard=heard.append))
        while not heard:
            await asyncio.sleep(0.02)
        assert heard == [Progress("searching", 0.5)]
        clip.cancel()
        assert await pool.judge(b"a", PLAIN, patient=True)

    assert not within(work).lost


def test_a_closed_pool_says_so() -> None:
    async def main() -> Any:
        pool = Pool(ByContent(), replace(QUICK, workers=1))
        await pool.start()
        asked = asyncio.create_task(pool.judge(b"sleep 9", PLAIN))
        await asyncio.sleep(0.1)
        await pool.close()
        with pytest.raises(NotServing):
            await pool.judge(b"a", PLAIN)
        return await asyncio.wait_for(asyncio.gather(asked, return_exceptions=True), 5)

    (found,) = asyncio.run(main())
    assert isinstance(found, NotServing)
