"""Four plots of an evaluation, by matplotlib (of the extra `train`).

They do not use pyplot: no state outlives a call, and no window opens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from veridical._optional import need
from veridical.arrays import Bool, Float, ndarray
from veridical.stats.metrics import ReliabilityBin, auroc, roc_curve, tpr_at_fpr

_REAL, _AI, _GREY = "#0072b2", "#d55e00", "#6b7280"  # Okabe and Ito's: safe for the colour-blind
_RIGHT, _WRONG = "#009e73", "#cc3311"
_LN2 = float(np.log(2))


def roc(is_ai: Bool[ndarray, " pictures"], p_ai: Float[ndarray, " pictures"], path: Path) -> None:
    """Draw the ROC curve, whole and at the low false positive rates that matter.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure = _figure(9.0, 4.3)
    if is_ai.all() or not is_ai.any():
        _excuse(figure, "An ROC curve needs real and AI-generated pictures.")
        return _save(figure, path)
    curve, least = roc_curve(is_ai, p_ai), 1 / int((~is_ai).sum())
    whole, low = figure.subplots(1, 2, sharey=True)
    whole.plot(curve.fpr, curve.tpr, color=_AI, drawstyle="steps-post")
    whole.plot([0, 1], [0, 1], color=_GREY, linestyle=":", linewidth=1)
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    whole.set_title(f"AUROC {auroc(is_ai, p_ai):.3f}")
    whole.set_xlabel("share of real pictures flagged (FPR)")
    whole.set_ylabel("share of AI-generated pictures caught (TPR)")
    edge = min(5e-4, least / 2)
    low.plot(np.maximum(curve.fpr, edge), curve.tpr, color=_AI, drawstyle="steps-post")
    low.axvspan(edge, least, color=_GREY, alpha=0.15, linewidth=0)
    for limit, says in ((0.001, "0.1 %"), (0.01, "1 %")):
        caught = tpr_at_fpr(is_ai, p_ai, limit)
        low.plot([limit], [caught], "o", color=_AI, markersize=5)
        low.axvline(limit, color=_GREY, linestyle=":", linewidth=1)
        low.annotate(
            f"{caught:.3f} at {says}",
            (limit, caught),
            textcoords="offset points",
            xytext=(6, -12 if caught > 0.1 else 6),
            fontsize=8,
        )
    low.set(xscale="log", xlim=(edge, 1), title="at low false positive rates")
    low.set_xlabel(f"FPR, log scale; grey: less than one of {round(1 / least)} pictures")
    return _save(figure, path)


def reliability(bins: Sequence[ReliabilityBin], path: Path) -> None:
    """Draw the share of AI-generated pictures against P(ai), and the pictures behind each point.

    Args:
        bins: Bins of equal width; none where there is one class only.
        path: The PNG.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure = _figure(5.4, 6.0)
    if not bins:
        _excuse(figure, "Calibration needs real and AI-generated pictures.")
        return _save(figure, path)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    claimed = [b.mean_p_ai for b in bins]
    true = np.array([b.share_ai.value for b in bins])
    low = true - [b.share_ai.low for b in bins]
    high = [b.share_ai.high for b in bins] - true
    top.plot([0, 1], [0, 1], color=_GREY, linestyle=":", linewidth=1, label="calibrated")
    top.errorbar(
        claimed, true, yerr=[low, high], fmt="o", color=_AI, capsize=3, label="bin, 95 % interval"
    )
    top.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), ylabel="share that is AI-generated")
    top.set_title("reliability")
    top.legend(loc="upper left", frameon=False, fontsize=8)
    edges, widths = [b.low for b in bins], [b.high - b.low for b in bins]
    bottom.bar(edges, [b.count for b in bins], widths, align="edge", color=_GREY, edgecolor="white")
    bottom.set(xlabel="P(ai)", ylabel="pictures")
    if max(b.count for b in bins) >= 100:
        bottom.set(yscale="log", ylim=(0.7, None))
    return _save(figure, path)


def scores(
    is_ai: Bool[ndarray, " pictures"],
    p_ai: Float[ndarray, " pictures"],
    threshold: float,
    path: Path,
) -> None:
    """Draw how P(ai) is spread over the pictures of each class.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure = _figure(6.4, 4.0)
    axes = figure.subplots()
    classes = (("real", p_ai[~is_ai], _REAL), ("AI-generated", p_ai[is_ai], _AI))
    _histogram(axes, classes, (0.0, 1.0))
    axes.axvline(threshold, color=_GREY, linestyle=":", linewidth=1)
    axes.set(xlim=(0, 1), xlabel="P(ai)", ylabel="share of the class's pictures")
    axes.set_title("P(ai) by class")
    return _save(figure, path)


def uncertainty(
    epistemic: Float[ndarray, " pictures"],
    aleatoric: Float[ndarray, " pictures"],
    right: Bool[ndarray, " pictures"],
    path: Path,
) -> None:
    """Draw both uncertainties, in nats, apart for right and wrong scores.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure = _figure(9.0, 4.0)
    if not len(right):
        _excuse(figure, "No verdict has an uncertainty.")
        return _save(figure, path)
    most = float(np.max(epistemic, initial=1e-6))
    panels = (
        ("epistemic: the model is unsure", epistemic, most),
        ("aleatoric: the picture is ambiguous", aleatoric, _LN2),
    )
    for axes, (title, values, end) in zip(figure.subplots(1, 2), panels, strict=True):
        parts = (("right", values[right], _RIGHT), ("wrong", values[~right], _WRONG))
        _histogram(axes, parts, (0.0, end))
        axes.set(xlim=(0, end), xlabel="nats", ylabel="share of these pictures", title=title)
    return _save(figure, path)


def _histogram(
    axes: Any, parts: Sequence[tuple[str, ndarray, str]], span: tuple[float, float]
) -> None:
    """Each part as shares of itself, so that a small one can be seen beside a large one."""
    for name, values, color in parts:
        axes.hist(
            values,
            bins=30,
            range=span,
            weights=np.full(len(values), 1 / max(1, len(values))),
            histtype="stepfilled",
            facecolor=(color, 0.25),
            edgecolor=color,
            label=f"{name} ({len(values)})",
        )
    axes.legend(loc="upper center", frameon=False, fontsize=8)


def _figure(width: float, height: float) -> Any:
    module = need("matplotlib.figure", extra="train", to="draw the plots of an evaluation")
    return module.Figure(figsize=(width, height), dpi=130, layout="constrained")


def _excuse(figure: Any, why: str) -> None:
    figure.text(0.5, 0.5, why, ha="center", va="center", color=_GREY)


def _save(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})
