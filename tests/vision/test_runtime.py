import pickle
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import threadpoolctl
from PIL import Image

from tests.conftest import FakeFinder, see_through, squares
from veridical.cues.protocol import Cue, CueInput
from veridical.errors import DeviceMissing
from veridical.report import NotApplicable
from veridical.vision import backbone, runtime
from veridical.vision.backbone import OnnxBackbone
from veridical.vision.faces import FaceFinder
from veridical.vision.runtime import (
    CPU,
    DEVICES,
    batches,
    one_blas_thread,
    open_session,
    packaged,
    providers_of,
)

ABSENT = next(one for one in DEVICES.values() if one not in onnxruntime.get_available_providers())

# --- devices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_its_provider_and_then_the_cpu(device: str) -> None:
    found = providers_of(device)
    assert found[0] == DEVICES[device]
    assert found[-1] == CPU[0]
    assert len(set(found)) == len(found)


def test_a_device_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(DeviceMissing, match="no device 'quantum'") as caught:
        providers_of("quantum")
    assert all(device in caught.value.hint for device in DEVICES)


def test_a_provider_that_is_not_installed_is_refused_with_those_that_are() -> None:
    with pytest.raises(DeviceMissing, match=f"has no {ABSENT} here") as caught:
        FaceFinder(providers=(ABSENT, *CPU)).find(Image.new("RGB", (64, 64)))
    assert "CPUExecutionProvider" in caught.value.message
    assert "onnxruntime-gpu" in caught.value.hint


def test_no_provider_at_all_is_refused() -> None:
    with pytest.raises(DeviceMissing, match="none was named"):
        open_session(packaged("extremes.onnx"), name="extremes.onnx", threads=1, providers=())


@pytest.mark.filterwarnings("ignore")  # ONNX Runtime's own
def test_a_provider_that_is_installed_and_does_not_start_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ONNX Runtime would go on with the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [ABSENT, *CPU])
    graph = packaged("extremes.onnx")
    with pytest.raises(DeviceMissing, match="does not start"):
        open_session(graph, name="extremes.onnx", threads=1, providers=(ABSENT, *CPU))


def test_a_session_is_on_the_cpu_unless_asked_otherwise() -> None:
    session = open_session(packaged("extremes.onnx"), name="extremes.onnx", threads=1)
    assert session.get_providers() == list(CPU)


def test_only_other_devices_take_several_crops_in_a_run() -> None:
    assert batches(CPU) == 1
    assert batches(providers_of("cuda")) > 1


def test_several_crops_in_a_run_give_the_tokens_of_one_by_one(
    tiny_backbone: OnnxBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    alone = [tiny_backbone.tokens(crop[None])[0] for crop in crops]
    runs: list[int] = []
    run = OnnxBackbone._run

    def counted(self: OnnxBackbone, session: object, part: np.ndarray) -> object:
        runs.append(len(part))
        return run(self, session, part)

    monkeypatch.setattr(OnnxBackbone, "_run", counted)
    monkeypatch.setattr(backbone, "batches", lambda _providers: 2)
    together = tiny_backbone.tokens(crops)
    assert runs == [2, 2, 1]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.patches, other.patches)
        np.testing.assert_array_equal(one.prefix, other.prefix)


def test_finder_and_backbone_pickle_small_and_find_the_same(tiny_backbone: OnnxBackbone) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    packed = pickle.dumps(tiny_backbone)
    assert len(packed) < 1000
    again = pickle.loads(packed)
    assert again.providers == tiny_backbone.providers
    np.testing.assert_array_equal(
        again.tokens(crops)[0].patches, tiny_backbone.tokens(crops)[0].patches
    )
    finder = pickle.loads(pickle.dumps(FaceFinder(3, CPU)))
    assert (finder.threads, finder.providers) == (3, CPU)


# --- BLAS --------------------------------------------------------------------------------------


def blas() -> list[int]:
    """How many threads NumPy's BLAS may use."""
    found = runtime._controller().info()  # and not of libraries that were loaded later
    return [one["num_threads"] for one in found if one["user_api"] == "blas"]


@pytest.fixture
def two_threads() -> Iterator[list[int]]:
    """BLAS on two threads, whatever the machine has."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        found = blas()
        if not found or set(found) == {1}:
            pytest.skip("this NumPy has no BLAS with threads")
        yield found


def test_blas_has_one_thread_inside_and_what_it_had_after(two_threads: list[int]) -> None:
    with one_blas_thread():
        assert set(blas()) == {1}
        with one_blas_thread():
            assert set(blas()) == {1}
        assert set(blas()) == {1}
    assert blas() == two_threads


def test_an_error_inside_gives_the_threads_back(two_threads: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas() == two_threads


def test_threads_may_leave_in_any_order(two_threads: list[int]) -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(one_blas_thread())
    second.enter_context(one_blas_thread())
    first.close()
    assert set(blas()) == {1}  # the second is still inside
    second.close()
    assert blas() == two_threads


def test_many_threads_at_once_give_the_threads_back(two_threads: list[int]) -> None:
    wrong: list[int] = []

    def work() -> None:
        for _ in range(200):
            with one_blas_thread():
                if runtime._BLAS._inside < 1:
                    wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert runtime._BLAS._inside == 0
    assert blas() == two_threads


def test_a_picture_is_judged_and_examined_on_one_blas_thread(two_threads: list[int]) -> None:
    seen: list[list[int]] = []

    def measure(_: CueInput) -> NotApplicable:
        seen.append(blas())
        return NotApplicable(cue="spy", why="It only counts.")

    detector = see_through(FakeFinder(((0.0, 0.0, 60.0, 60.0), (80.0, 0.0, 40.0, 40.0))))
    spy = Cue(name="spy", statistics=(), measure=measure)
    reports = list(detector.inspect_many([squares()] * 4, jobs=2, cues=(spy,)))
    assert len(seen) == 2 * len(reports)
    assert {count for counts in seen for count in counts} == {1}
    assert all(one == other for one, other in pairwise(seen))
    assert blas() == two_threads
