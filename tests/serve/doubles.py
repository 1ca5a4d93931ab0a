"""Judges whose pictures say what is to happen; workers import this, so that it stays light."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from veridical.errors import ModelMissing, NotAPhoto, PhotoEmpty, PhotoTooLarge
from veridical.present.sample import sample_report
from veridical.serve.judge import Replying
from veridical.serve.orders import Answer, Heard, Order, Progress, Reply


def anything(data: bytes, name: str) -> None:
    """Take whatever came for a picture, if it is something."""
    if not data:
        raise PhotoEmpty(f"{name or 'The picture'}: zero bytes came.", hint="Get the file again.")


@dataclass(frozen=True)
class ByContent:
    """Does what the first word of a picture says; anything else is judged at once.

    Attributes:
        notes: Folder where each order that is begun leaves a file.
    """

    notes: str = ""

    def __call__(self) -> Callable[[Order], Reply]:
        return Replying(self.judge)

    def judge(self, order: Order, say: Heard) -> Answer:
        data = order.data.read_bytes() if isinstance(order.data, Path) else order.data
        word, _, rest = data[:64].decode("latin-1").partition(" ")
        if self.notes:
            (Path(self.notes) / hashlib.sha256(data).hexdigest()).touch()
        if word == "half":  # done, and the other half only when it is stopped
            say(Progress("searching", 0.5))
            time.sleep(float(rest.split()[0]))
        if word == "sleep":
            time.sleep(float(rest.split()[0]))
        if word == "spin":  # a core kept busy, as by a network
            until = time.thread_time() + float(rest.split()[0])
            while time.thread_time() < until:
                pass
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":  # and hear nothing
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            time.sleep(600)
        if word == "grow":
            held = [bytearray(os.urandom(2**20)) * 8 for _ in range(int(rest) // 8)]
            time.sleep(600)
            del held
        if word == "fault":
            raise ZeroDivisionError("picture.jpg")
        if word == "text":
            raise NotAPhoto(f"{order.wish.name}: is text.", hint="Pass a JPEG.")
        if word == "large":
            raise PhotoTooLarge("Too large.", hint="Raise Limits.", cli_hint="Raise --max-mbytes.")
        if word == "long":
            return Answer(b'"' + b"a" * int(rest) + b'"')
        if word == "pid":
            return Answer(json.dumps({"pid": os.getpid(), "wish": vars(order.wish)}).encode())
        report = replace(
            sample_report(), path=order.wish.name or None, sha256=hashlib.sha256(data).hexdigest()
        )
        return Answer(report.to_json().encode())


class Late:
    """Judges nothing, and is ready late."""

    def __call__(self) -> Callable[[Order], Reply]:
        time.sleep(3)
        return Replying(ByContent().judge)


class NoModel:
    def __call__(self) -> Callable[[Order], Reply]:
        raise ModelMissing("No model.", hint="Train one.")


class NoStart:
    def __call__(self) -> Callable[[Order], Reply]:
        os._exit(3)


@dataclass(frozen=True)
class SeeThrough:
    """A real detector whose parts one can see through."""

    def __call__(self) -> Callable[[Order], Reply]:
        from tests.conftest import FakeFinder, see_through
        from veridical.io.formats import Limits
        from veridical.serve.judge import judged

        detector = replace(
            see_through(FakeFinder()), limits=Limits(max_pixels=1_000_000, max_seconds=5.0)
        )
        return Replying(lambda order, say: judged(detector, order, say))
