"""Maps through the whole network: each against what its paper says, worked out another way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import with_parts
from veridical.arrays import Float32, UInt8, ndarray
from veridical.detector import Detector
from veridical.errors import ModelMissing, OtherBackbone
from veridical.explain.occlusion import cover
from veridical.infer.head import DropoutHead
from veridical.scoring import alone
from veridical.train.gradients import METHODS, Network, integrated_gradients
from veridical.vision.backbone import OnnxBackbone

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

Vit = Callable[[str], Path]


@pytest.fixture(scope="module")
def crop(painter: Callable[..., ndarray]) -> UInt8[ndarray, "32 32 3"]:
    return painter(32, 32, (4.0, 4.0, 24.0, 26.0), seed=1)


@pytest.fixture(scope="module")
def network(tiny_detector: Detector, tiny_vit: Vit) -> Network:
    return Network.of(tiny_detector, str(tiny_vit("vit")))


def sums(pixels: Any) -> ndarray:
    """Add numbers per pixel (3, 32, 32) up over patches of 8 px."""
    found: ndarray = np.asarray(pixels).sum(axis=0).reshape(4, 8, 4, 8).sum(axis=(1, 3))
    return found


# --- the network -------------------------------------------------------------------------------


def test_the_network_gives_the_logit_of_the_first_crop_s_head(
    network: Network, tiny_detector: Detector, crop: ndarray
) -> None:
    own = alone(tiny_detector.parts, 0, tiny_detector.backbone)
    wanted = float(own.mean_logit(crop[None])[0])
    assert network.logit(crop) == pytest.approx(wanted, abs=1e-4)
    both = network.logits(torch.cat([network.pixels(crop), network.pixels(crop[::-1].copy())]))
    assert float(both[0].detach()) == pytest.approx(wanted, abs=1e-4)
    other = float(own.mean_logit(crop[None, ::-1])[0])
    assert float(both[1].detach()) == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("kind", ["dinov2_registers", "clip", "siglip"])
@pytest.mark.parametrize("pooling", [("cls",), ("mean",), ("all",)])
def test_other_networks_and_poolings_do_the_same(
    kind: str,
    pooling: tuple[Any, ...],
    tiny_detector: Detector,
    tiny_vit: Vit,
    tiny_export: Callable[[str], Any],
    crop: ndarray,
) -> None:
    if kind == "siglip" and pooling == ("cls",):
        return  # it has no class token
    made = tiny_export(kind)
    head = tiny_detector.parts.branches[0].head
    assert isinstance(head, DropoutHead)
    first = replace(head.layers[0], weight=head.layers[0].weight[:, :64])
    half = replace(
        head, layers=(first, *head.layers[1:]), mean=head.mean[:64], scale=head.scale[:64]
    )
    detector = replace(
        with_parts(tiny_detector, spec=made.spec, pooling=pooling, head=half),
        backbone=OnnxBackbone(made.path, made.spec, threads=1),
    )
    network = Network.of(detector, str(tiny_vit(kind)))
    wanted = float(alone(detector.parts, 0, detector.backbone).mean_logit(crop[None])[0])
    assert network.logit(crop) == pytest.approx(wanted, abs=1e-4)
    for method in METHODS.values():
        found = method(network, crop)
        assert found.shape == (4, 4)
        assert np.isfinite(found).all()


def test_another_network_is_refused(tiny_detector: Detector, tiny_vit: Vit, tmp_path: Path) -> None:
    with pytest.raises(OtherBackbone, match="the model has"):
        Network.of(tiny_detector, str(tiny_vit("dinov2_registers")))
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(5)
    shape = ViTConfig.from_pretrained(tiny_vit("vit"))
    ViTModel(shape, add_pooling_layer=False).save_pretrained(tmp_path / "other")
    with pytest.raises(OtherBackbone, match="away from those of the model's own network"):
        Network.of(tiny_detector, str(tmp_path / "other"))
    with pytest.raises(ModelMissing):
        Network.of(tiny_detector, str(tmp_path / "nowhere"))


# --- the methods -------------------------------------------------------------------------------


def test_methods_take_the_same_pictures_to_the_same_maps(network: Network, crop: ndarray) -> None:
    for name, method in METHODS.items():
        found = method(network, crop)
        assert found.shape == (4, 4), name
        assert found.std() > 0, name
        assert np.array_equal(found, method(network, crop)), name


def test_the_other_side_gets_the_other_sign(network: Network, crop: ndarray) -> None:
    def turned(at: Float32[ndarray, " features"]) -> tuple[Float32[ndarray, " features"], float]:
        gradient, rest = network.linear(at)
        return -gradient, -rest

    other = replace(network, linear=turned)
    for name in ("grad-cam", "layer-gradients", "input-gradient", "integrated-gradients"):
        np.testing.assert_allclose(
            METHODS[name](other, crop), -METHODS[name](network, crop), atol=1e-6, err_msg=name
        )


def test_the_input_gradient_is_what_the_logit_does(network: Network, crop: ndarray) -> None:
    """Central differences, along each patch's deviation from the mean colour."""
    pixels = network.pixels(crop)
    away = pixels - pixels.mean(dim=(2, 3), keepdim=True)
    found = METHODS["input-gradient"](network, crop)
    for row in range(4):
        for column in range(4):
            step = torch.zeros_like(pixels)
            own = (..., slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
            step[own] = away[own]
            with torch.no_grad():
                up, down = (float(network.logits(pixels + e * step)) for e in (0.01, -0.01))
            assert found[row, column] == pytest.approx((up - down) / 0.02, rel=0.05, abs=2e-3)


def test_integrated_gradients_are_complete(network: Network, crop: ndarray) -> None:
    found = integrated_gradients(network, crop)
    drop = network.logit(crop) - network.logit(cover(crop, "blur"))
    assert found.sum() == pytest.approx(drop, abs=0.02 + 0.02 * abs(drop))


def test_integrated_gradients_are_a_mean_of_gradients(network: Network, crop: ndarray) -> None:
    """Against the midpoint rule, which knows nothing of captum."""
    whole, rest = network.pixels(crop), network.pixels(cover(crop, "blur"))
    total = torch.zeros_like(whole)
    for number in range(100):
        point = (rest + (number + 0.5) / 100 * (whole - rest)).requires_grad_()
        total += torch.autograd.grad(network.logits(point).sum(), point)[0] / 100
    wanted = sums((total * (whole - rest))[0])
    np.testing.assert_allclose(integrated_gradients(network, crop), wanted, atol=0.02)


def test_layer_gradients_and_grad_cam_are_their_formulas(network: Network, crop: ndarray) -> None:
    """From the gradient at the first block's tokens, taken here through the second block alone."""
    pixels = network.pixels(crop)
    with torch.no_grad():
        out = network.vit(pixel_values=pixels, output_hidden_states=True)
    first = out.hidden_states[1].clone().requires_grad_()
    (blocks,) = [
        m for m in network.vit.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 2
    ]
    second = blocks[1](first)
    second = second[0] if isinstance(second, tuple) else second
    np.testing.assert_allclose(second.detach(), out.hidden_states[2], atol=1e-5)
    # ("cls", "mean") of both blocks.
    features = torch.cat([part for s in (first, second) for part in (s[0, 0], s[0, 1:].mean(0))])
    gradient, _ = network.linear(features.detach().numpy())
    slope = torch.autograd.grad(features @ torch.from_numpy(gradient), first)[0][0]
    state = first.detach()[0]
    wanted = (state * slope).sum(dim=1)[1:].reshape(4, 4)
    np.testing.assert_allclose(METHODS["layer-gradients"](network, crop), wanted, atol=1e-5)
    wanted = (state @ slope[1:].mean(dim=0))[1:].reshape(4, 4)
    np.testing.assert_allclose(METHODS["grad-cam"](network, crop), wanted, atol=1e-5)


def test_rollout_follows_the_rule(network: Network, crop: ndarray) -> None:
    """Chefer et al., eq. 5 and 6, token by token; the reading of two blocks as another layer."""
    pixels = network.pixels(crop).requires_grad_()
    out = network.vit(pixel_values=pixels, output_hidden_states=True, output_attentions=True)
    states = [out.hidden_states[1], out.hidden_states[2]]
    features = torch.cat([part for s in states for part in (s[0, 0], s[0, 1:].mean(0))])
    gradient, rest = network.linear(features.detach().numpy())
    weights = torch.from_numpy(gradient).reshape(2, 2, -1)
    logit = (features * torch.from_numpy(gradient)).sum() + rest
    sign = 1.0 if float(logit.detach()) >= 0 else -1.0
    slopes = torch.autograd.grad(sign * logit, out.attentions[:2])
    usual = network.mean.reshape(2, 2, -1)
    relevance = np.eye(17)
    total = np.zeros(17)
    for block in range(2):
        each = (out.attentions[block] * slopes[block])[0].detach().numpy()
        mean = np.mean([np.maximum(head, 0) for head in each], axis=0)
        relevance = relevance + mean @ relevance
        for token in range(17):
            kind, count = (0, 1) if token == 0 else (1, 16)
            away = states[block][0, token].detach().numpy() - usual[block, kind]
            share = sign * float(weights[block, kind].numpy() @ away) / count
            total += max(share, 0) * relevance[token]
    found = METHODS["attention-rollout"](network, crop)
    np.testing.assert_allclose(found, sign * total[1:].reshape(4, 4), atol=1e-5)
    assert (sign * found >= 0).all()
