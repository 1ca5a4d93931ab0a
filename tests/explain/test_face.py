from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.conftest import random_head
from tests.explain.made import DIM, EDGE, GRID, case, tokens
from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box
from veridical.explain.attribution import channel_importance, relative_map, token_map
from veridical.explain.face import ExplainConfig, Explainer, FaceTokens, Model, explain_face
from veridical.explain.faithfulness import THOROUGH, faithfulness, random_orders
from veridical.explain.occlusion import occlusion
from veridical.explain.surrogate import Surrogate, posterior_update
from veridical.tokens import Tokens, pool

SIDE = GRID * EDGE
CROP, LOGIT, TRUTH = case(0, 2.0)
SEEN = tokens(2, 1, GRID, 0)
HEAD = random_head(2 * DIM, hidden=8)
SLOPE = 2.0
AREA = Box(left=100.0, top=50.0, width=96.0, height=192.0)
FAST = ExplainConfig(faithfulness=False)


def p_ai(crops: ndarray) -> ndarray:
    return np.asarray(1 / (1 + np.exp(-LOGIT(crops))))


def a_face(seen: Tokens = SEEN, turn: int = 0) -> FaceTokens:
    gradient, rest = HEAD.gradient(HEAD.forward(pool(seen, ("mean",))))
    return FaceTokens(
        name="context",
        area=AREA,
        turn=turn,
        crop=CROP,
        tokens=seen,
        logit=float(LOGIT(CROP[None])[0]),
        gradient=gradient,
        rest=rest,
    )


def a_model(surrogate: Surrogate | None = None) -> Model:
    return Model(
        mean_logit=LOGIT,
        p_ai=p_ai,
        pooling=("mean",),
        baseline=HEAD.mean,
        slope=SLOPE,
        surrogate=surrogate,
    )


def a_surrogate() -> Surrogate:
    draw = np.random.default_rng(0)
    return Surrogate(
        share=0.5,
        weight=draw.normal(size=(2, DIM)).astype(np.float32),
        base=draw.normal(size=(GRID, GRID)),
    )


def knowing(patches: ndarray) -> Surrogate:
    """A surrogate that gives this map, whatever the tokens."""
    return Surrogate(share=0.0, weight=np.zeros((2, DIM), np.float32), base=patches / SLOPE)


@dataclass(frozen=True)
class Given:
    """An explainer that has its map already."""

    patches: ndarray
    name: str = "given"

    def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
        assert crop.shape == (SIDE, SIDE, 3)
        return self.patches


# --- the maps ----------------------------------------------------------------------------------


def test_without_a_surrogate_the_contributions_are_drawn() -> None:
    face, found = a_face(), explain_face(a_face(), a_model(), FAST)
    plain = token_map(SEEN, ("mean",), face.gradient, face.rest)
    relative = relative_map(plain, SEEN, ("mean",), face.gradient, HEAD.mean)
    assert (found.method, found.forward_passes, found.faithfulness) == ("contributions", 0, None)
    np.testing.assert_array_equal(found.patches, relative.patches)
    np.testing.assert_array_equal(found.contributions.patches, relative.patches)
    np.testing.assert_array_equal(found.gradient_x_token.patches, plain.patches)
    assert (found.contributions.prefix, found.contributions.rest) == (
        relative.prefix,
        relative.rest,
    )
    assert found.channels == channel_importance(face.gradient)
    assert (found.crop, found.area, found.occlusion, found.maps) == ("context", AREA, None, ())


def test_a_surrogate_is_read_in_the_head_s_logits_and_drawn_in_calibrated_ones() -> None:
    surrogate = a_surrogate()
    found = explain_face(a_face(), a_model(surrogate), FAST)
    wanted = SLOPE * surrogate.read(SEEN, found.gradient_x_token.patches / SLOPE)
    assert (found.method, found.forward_passes) == ("surrogate", 0)
    np.testing.assert_allclose(found.patches, wanted)


def test_a_surrogate_s_map_is_scored_as_it_is() -> None:
    before = explain_face(a_face(), a_model(a_surrogate()), FAST)
    found = explain_face(a_face(), a_model(a_surrogate()), ExplainConfig())
    np.testing.assert_array_equal(found.patches, before.patches)
    assert found.forward_passes == 0
    assert found.faithfulness == faithfulness(
        found.patches, LOGIT, random_orders(CROP, GRID, LOGIT)
    )


def test_the_many_passes_of_the_thorough_test_also_update_the_map() -> None:
    surrogate = a_surrogate()
    before = explain_face(a_face(), a_model(surrogate), FAST)
    found = explain_face(a_face(), a_model(surrogate), ExplainConfig(thorough=True))
    orders = random_orders(CROP, GRID, LOGIT, rule=THOROUGH)
    np.testing.assert_allclose(found.patches, posterior_update(before.patches, orders))
    assert found.forward_passes == len(orders.logit_drops) == 54
    assert found.faithfulness == faithfulness(found.patches, LOGIT, orders)


def test_the_orders_ask_no_more_of_the_model_than_is_said() -> None:
    asked: list[int] = []

    def counted(crops: ndarray) -> ndarray:
        asked.append(len(crops))
        return LOGIT(crops)

    model = replace(a_model(a_surrogate()), mean_logit=counted)
    for thorough, passes in ((False, 4 + 2), (True, 54 + 6)):
        asked.clear()
        explain_face(a_face(), model, ExplainConfig(thorough=thorough))
        assert sum(asked) == passes


def test_contributions_are_scored_and_not_updated() -> None:
    before = explain_face(a_face(), a_model(), FAST)
    found = explain_face(a_face(), a_model(), ExplainConfig())
    np.testing.assert_array_equal(found.patches, before.patches)
    orders = random_orders(CROP, GRID, LOGIT)
    assert found.forward_passes == 0
    assert found.faithfulness == faithfulness(before.patches, LOGIT, orders)


def test_a_map_that_fails_stays_in_the_explanation_and_is_marked() -> None:
    wrong = explain_face(a_face(), a_model(knowing(-100 * TRUTH)), ExplainConfig())
    right = explain_face(a_face(), a_model(knowing(TRUTH)), ExplainConfig())
    assert wrong.faithfulness is not None
    assert right.faithfulness is not None
    assert right.faithfulness.passed
    assert not wrong.faithfulness.passed
    assert wrong.patches.shape == (GRID, GRID)
    assert np.corrcoef(wrong.patches.ravel(), TRUTH.ravel())[0, 1] < -0.5


# --- what is asked for beside them -------------------------------------------------------------


def test_further_maps_are_scored_like_the_drawn_one() -> None:
    explainers = (Given(TRUTH), Given(-TRUTH, "inverted"))
    assert all(isinstance(one, Explainer) for one in explainers)
    found = explain_face(a_face(), a_model(), ExplainConfig(explainers=explainers))
    orders = random_orders(CROP, GRID, LOGIT)
    assert [one.name for one in found.maps] == ["given", "inverted"]
    for one, patches, passed in zip(found.maps, (TRUTH, -TRUTH), (True, False), strict=True):
        np.testing.assert_array_equal(one.patches, patches)
        assert one.faithfulness == faithfulness(patches, LOGIT, orders)
        assert one.faithfulness.passed is passed
    unscored = explain_face(a_face(), a_model(), replace(FAST, explainers=explainers))
    assert [one.faithfulness for one in unscored.maps] == [None, None]


def test_an_occlusion_is_of_p_ai_and_names_the_largest_drop_in_the_photo() -> None:
    found = explain_face(a_face(), a_model(), replace(FAST, occlude=(EDGE, EDGE))).occlusion
    assert found is not None
    drop = occlusion(CROP, p_ai, window=EDGE, stride=EDGE)
    np.testing.assert_array_equal(found.drop, drop)
    assert found.largest == drop.max()
    row, column = np.unravel_index(np.argmax(drop), drop.shape)
    assert found.at == pytest.approx((100 + (column + 0.5) * 2, 50 + (row + 0.5) * 4))


def test_an_occlusion_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=f"1 <= window <= {SIDE} px"):
        explain_face(a_face(), a_model(), replace(FAST, occlude=(SIDE + 1, 1)))


# --- a face that lies --------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_the_maps_of_a_turned_crop_are_turned_back_and_tested_as_they_were_made(turn: int) -> None:
    config = ExplainConfig(occlude=(EDGE, EDGE), explainers=(Given(TRUTH),))
    upright = explain_face(a_face(), a_model(a_surrogate()), config)
    lying = explain_face(a_face(turn=turn), a_model(a_surrogate()), config)

    def back(patches: ndarray) -> ndarray:
        return np.rot90(patches, -turn // 90)

    np.testing.assert_array_equal(lying.patches, back(upright.patches))
    np.testing.assert_array_equal(lying.maps[0].patches, back(TRUTH))
    for name in ("contributions", "gradient_x_token"):
        one, other = getattr(lying, name), getattr(upright, name)
        np.testing.assert_array_equal(one.patches, back(other.patches))
        assert (one.prefix, one.rest) == (other.prefix, other.rest)
    assert lying.faithfulness == upright.faithfulness
    assert lying.maps[0].faithfulness == upright.maps[0].faithfulness
    assert lying.occlusion is not None
    assert upright.occlusion is not None
    np.testing.assert_array_equal(lying.occlusion.drop, back(upright.occlusion.drop))
    assert lying.occlusion.largest == upright.occlusion.largest
    row, column = np.unravel_index(np.argmax(lying.occlusion.drop), (SIDE, SIDE))
    assert lying.occlusion.at == pytest.approx((100 + (column + 0.5) * 2, 50 + (row + 0.5) * 4))
    assert lying.patches.flags.c_contiguous
