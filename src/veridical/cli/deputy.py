"""A second process that speaks up where this one cannot: run as a script, it needs no package.

A factorisation of a large matrix keeps the interpreter's lock, and with it every thread, until it
is done. So a small process is told what is being done several times a second; if it hears nothing
for long, it says so itself. It ends when its input does.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

SILENT_S = 4.0  # since anything was shown


class Deputy:
    """The second process. It is no error if it cannot be had.

    Args:
        stream: File descriptor that it writes to.
        over: What it writes before a line: to go over a moving one, or nothing.
    """

    def __init__(self, stream: int, over: str = "") -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        with suppress(OSError, ValueError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__)), over],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )

    def hear(self, what: str, began_s: float, silent_s: float) -> None:
        """Tell what is being done, since when, and for how long nothing was shown, seconds."""
        if self._process and self._process.stdin:
            line = " ".join(what.split())
            text = f"{began_s:.3f} {silent_s:.3f} {line}\n".encode("utf-8", "replace")
            with self._lock, suppress(OSError, ValueError):  # it is gone
                self._process.stdin.write(text)
                self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
            self._process.wait()


def _main(over: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process
    heard: list[tuple[float, float, float, str]] = []

    def listen() -> None:
        for line in sys.stdin.buffer:
            began, silent, what = line.decode("utf-8", "replace").rstrip("\n").split(" ", 2)
            heard[:] = [(time.monotonic(), float(began), float(silent), what)]
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    spoken = 0.0
    while True:
        time.sleep(0.25)
        if not heard:
            continue
        at, began, silent, what = heard[0]
        now = time.monotonic()
        if what and min(now - at + silent, now - spoken) >= SILENT_S:
            spoken = now
            sys.stderr.write(f"{over}{what}, {began + now - at:.0f} s\n")
            sys.stderr.flush()


if __name__ == "__main__":
    _main(sys.argv[1])
