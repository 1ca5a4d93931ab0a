"""ONNX Runtime sessions: which processor, how many threads, and peace between thread pools."""

import logging
import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from veridical.errors import DeviceMissing, ModelDamaged

_log = logging.getLogger("veridical.vision")

CPU = ("CPUExecutionProvider",)

DEVICES: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Short names of ONNX Runtime's execution providers."""


def providers_of(device: str) -> tuple[str, ...]:
    """Return the execution providers of a device: its own, then the CPU for what that lacks.

    Raises:
        DeviceMissing: If there is no such device.
    """
    if device not in DEVICES:
        raise DeviceMissing(
            f"There is no device {device!r}.", hint=f"Use one of: {', '.join(DEVICES)}."
        )
    return tuple(dict.fromkeys((DEVICES[device], *CPU)))


def checked_providers(providers: Sequence[str]) -> tuple[str, ...]:
    """Return the providers if this installation of ONNX Runtime has all of them.

    Raises:
        DeviceMissing: If it has not.
    """
    from onnxruntime import get_available_providers

    there = get_available_providers()
    absent = [name for name in providers if name not in there]
    if absent or not providers:
        raise DeviceMissing(
            f"ONNX Runtime has no {', '.join(absent) or 'provider: none was named'} here; it has "
            f"{', '.join(there)}.",
            hint="Use the CPU (the default), or install the build of ONNX Runtime for your "
            "device, such as onnxruntime-gpu for CUDA.",
        )
    return tuple(providers)


def open_session(
    graph: str | bytes,
    *,
    name: str,
    threads: int,
    providers: Sequence[str] = CPU,
    config: Mapping[str, str] | None = None,
    mapped: bool = False,
) -> Any:
    """Open a graph.

    Args:
        graph: Path, or the file's bytes.
        name: What messages call it.
        threads: Of one run; 0 lets ONNX Runtime choose.
        providers: Execution providers, the preferred one first.
        config: Further session options of ONNX Runtime.
        mapped: It was written by `lay_out` on this machine; its weights stay in that file.

    Raises:
        ModelDamaged: If ONNX Runtime cannot read it.
        DeviceMissing: If a provider is not there, or does not start.
    """
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
    from onnxruntime.capi.onnxruntime_pybind11_state import (  # type: ignore[import-not-found, unused-ignore]
        Fail,
        InvalidArgument,
        InvalidGraph,
        InvalidProtobuf,
        NoSuchFile,
    )

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    for key, value in (config or {}).items():
        options.add_session_config_entry(key, value)
    if mapped:
        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL  # it was
        options.add_session_config_entry(
            "session.use_external_initializer_file_buffers_directly", "1"
        )
    wanted = list(checked_providers(providers))
    try:
        session = InferenceSession(graph, options, providers=wanted)
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile) as foreign:
        raise ModelDamaged(
            f"{name} is not a graph that ONNX Runtime can run ({str(foreign)[:200]}).",
            hint="Export the model again with `veridical train`.",
        ) from foreign
    if session.get_providers()[0] != wanted[0]:
        # ONNX Runtime goes on with the CPU if, say, a driver is absent; we were asked otherwise.
        raise DeviceMissing(
            f"{wanted[0]} is installed and does not start.",
            hint="Check the driver and its libraries, or use the CPU (the default).",
        )
    return session


def lay_out(graph: Path, folder: Path) -> Path:
    """Write a graph as it lies in memory: optimised for this processor, its weights packed.

    Processes that open it as `mapped` share the weights, which are pages of one file, and give the
    same numbers to the bit. An ONNX Runtime that cannot do that (before 1.32) copies them.

    Args:
        graph: An .onnx file.
        folder: Where to; nobody else may be able to write there.

    Returns:
        The path of the new graph.
    """
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "graph.onnx")
    for key, value in {
        **exact_products(),
        "session.optimized_model_external_initializers_file_name": "weights.bin",
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
        "session.save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(key, value)
    InferenceSession(str(graph), options, providers=list(CPU))
    return folder / "graph.onnx"


def laid_out(graph: Path, folder: Path) -> Path | None:
    """Return a graph whose memory processes share; None, with a warning, if it cannot be written.

    It is made by `lay_out` in a process of its own: who asks needs no network, nor its memory.
    """
    with ProcessPoolExecutor(
        1,
        multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),  # Ctrl-C is the parent's to answer
    ) as apart:
        try:
            return apart.submit(lay_out, graph, folder).result()
        except Exception as error:  # such as a full disk: every process then has its own
            _log.warning("the workers share no memory (%s)", type(error).__name__)
            return None


def packaged(name: str) -> bytes:
    """Return a graph that comes with the package."""
    return files("veridical").joinpath("models", name).read_bytes()


def batches(providers: Sequence[str]) -> int:
    """Return how many crops one run should take: on a CPU, one by one is fastest."""
    return 1 if tuple(providers) == CPU else 16


def exact_products() -> dict[str, str]:
    """Return the session options for exact products of bytes; where they are, there are none.

    Exact products are slower: twice as slow where the fast ones are exact, too.
    """
    return {"session.x64quantprecision": "1"} if saturates() else {}


@cache
def saturates() -> bool:
    """Whether this processor's fast products of unsigned by signed bytes are not exact.

    x86 without VNNI adds two such products in 16 bits, which cannot hold the largest. Asked of ONNX
    Runtime itself, and once: `models/extremes.onnx` (`scripts/make_extremes.py`) multiplies the
    largest bytes there are. One row and several have kernels of their own.
    """
    session = open_session(packaged("extremes.onnx"), name="extremes.onnx", threads=1)
    inner = session.get_inputs()[0].shape[1]
    return any(
        (session.run(None, {"x": np.full((rows, inner), 255, np.uint8)})[0] != inner * 255 * 127)
        .any()
        .item()
        for rows in (1, 8)
    )


# --- BLAS ----------------------------------------------------------------------------------------


class _OneBlasThread:
    """Counts who needs BLAS on one thread, so that threads may leave in any order."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                _let_this_thread_set_limits()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                _let_this_thread_set_limits()
                self._limit.restore_original_limits()
                _let_this_thread_set_limits()
                self._limit = None


_BLAS = _OneBlasThread()


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@cache
def _limits_are_per_thread() -> bool:
    """Whether each thread has a BLAS pool of its own, as with OpenMP; else there is one for all."""
    return any(one.get("threading_layer") == "openmp" for one in _controller().info())


def _let_this_thread_set_limits() -> None:
    """Take over from the thread that set a limit first: threadpoolctl 3.8 obeys that one only."""
    from threadpoolctl import OpenBLASController

    if release := getattr(OpenBLASController, "clear_controlling_thread", None):
        release(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's BLAS on one thread meanwhile.

    Our matrices are small, and idle BLAS threads spin: they would take the cores from ONNX
    Runtime. One thread also makes sums round alike, however many threads there are.
    """
    if _limits_are_per_thread():
        with _controller().limit(limits=1, user_api="blas"):
            yield
        return
    _BLAS.enter()
    try:
        yield
    finally:
        _BLAS.leave()
