"""The shape checks of the tests are live, and the package does without them elsewhere."""

import subprocess
import sys

import numpy as np
import pytest

from veridical.box import Box
from veridical.infer.calibration import conformal_quantile
from veridical.infer.head import Layer, summarise

WITHOUT = """
import sys
sys.modules["jaxtyping"] = None
import numpy as np
from veridical.detector import Detector
from veridical.infer.head import sigmoid
assert sigmoid(np.zeros((2, 2)))[0, 0] == 0.5
assert sys.modules["jaxtyping"] is None
"""


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(Exception, match="Type-check error whilst checking the parameters"):
        summarise(np.zeros((2, 2)))


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(Exception, match="Type-check error whilst checking the parameters"):
        conformal_quantile(np.zeros(3), "0.9")  # type: ignore[arg-type]


def test_shapes_that_disagree_with_each_other_are_refused() -> None:
    weight, bias = np.zeros((3, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)
    Layer(weight=weight, bias=np.zeros(3, dtype=np.float32), relu=True, dropout=0.0)
    Layer(weight=weight.T, bias=bias, relu=True, dropout=0.0)
    with pytest.raises(Exception, match="Type-check error"):
        Layer(weight=weight, bias=bias, relu=True, dropout=0.0)


def test_an_int_may_stand_for_a_float() -> None:
    assert Box(left=0, top=0, width=1, height=1) == Box(left=0.0, top=0.0, width=1.0, height=1.0)


def test_users_need_no_jaxtyping() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
