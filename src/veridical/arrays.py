"""Names for array shapes, written in signatures and checked in the tests.

`Float32[ndarray, "batch dim"]` is `numpy.ndarray` to a type checker. With jaxtyping installed (the
`dev` extra) and a run-time checker switched on (`tests/conftest.py`) every call is held to its
shapes; without it the names cost nothing, so the base install does not carry it.
"""

from typing import TYPE_CHECKING

from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int, UInt8
else:
    try:
        from jaxtyping import Bool, Float, Float32, Int, UInt8
    except ModuleNotFoundError:

        class _Unchecked:
            def __class_getitem__(cls, item):
                return item[0]

        Bool = Float = Float32 = Int = UInt8 = _Unchecked

__all__ = ["Bool", "Float", "Float32", "Int", "UInt8", "ndarray"]
