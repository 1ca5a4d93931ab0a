"""When a client is told to come back: by what was measured."""

from veridical.serve.pace import Pace


def test_the_first_place_is_waited_for_and_not_the_whole_line() -> None:
    pace = Pace()
    assert pace.retry_s([]) == 1  # nothing was measured
    for _ in range(5):
        pace.took(4.0, clip=False)
    assert pace.retry_s([(0.0, False), (1.5, False)]) == 3
    assert pace.retry_s([(3.9, False)]) == 1
    assert pace.retry_s([(12.0, False)]) == 6  # longer than usual, and nobody knows how long


def test_neither_a_slow_start_nor_a_clip_makes_pictures_slow() -> None:
    pace = Pace()
    for seconds in (41.0, 3.0, 3.0, 3.0):
        pace.took(seconds, clip=False)
    pace.took(600.0, clip=True)
    assert pace.retry_s([(0.0, False)]) == 3
    assert pace.retry_s([(100.0, True), (0.0, False)]) == 3
    assert pace.retry_s([(100.0, True)]) == 60
