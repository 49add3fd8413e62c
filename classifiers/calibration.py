"""What a saved model knows about its own certainty: calibrated probabilities, and how far a recording may lie from its data.

Both are measured on utterances that heads like the saved one were not trained on. Where heads are overconfident, one number,
the temperature that divides their logits, corrects it without changing an answer of a single pass.  Source: Guo et al. 2017.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifiers.metrics import expected_calibration_error

TEMPERATURES = (0.1, 10.0)
"""Between which the temperature is sought."""

UNSURE_BELOW = 0.5
"""Calibrated probability under which the most probable class is more likely wrong than right."""

FAR_SHARE = 0.95
"""Share of the corpus' own recordings, each by a speaker that heads do not know, that counts as near."""


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax probabilities, shape (..., n_classes), as they are with logits divided by the temperature."""
    from scipy.special import softmax

    return softmax(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / temperature, axis=-1)


def fit_temperature(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Returns the temperature that gives the targets the highest likelihood.  Source: Guo et al. 2017, section 4.2.

    Args:
        probabilities: float, shape (n, n_copies, n_classes); the temperature is applied to each copy, and their mean is taken.
        target: int, shape (n,), class indices.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        mean = apply_temperature(probabilities, np.exp(log_temperature)).mean(axis=1)
        return -np.log(np.maximum(mean[np.arange(len(target)), target], 1e-12)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def calibrate(folds: Sequence[tuple[np.ndarray, np.ndarray]], labels: Sequence[str]) -> dict[str, float]:
    """Returns the temperature for some folds together, and the expected calibration error before and after.

    The error after is that of each fold with the temperature of the others; where it is not lower, the temperature is 1. Heads
    that learn from altered copies and are averaged over speeds can be as certain as they should be.

    Args:
        folds: probabilities of the held-out utterances of a fold, and their targets: see `fit_temperature`.
        labels: of the classes.
    """
    probabilities, target = (np.concatenate(parts) for parts in zip(*folds, strict=True))
    named = np.asarray(labels)[target]
    fold = np.repeat(np.arange(len(folds)), [len(held_out) for _, held_out in folds])
    calibrated = []
    for number, (held_out, _) in enumerate(folds):
        others = fold != number
        calibrated.append(apply_temperature(held_out, fit_temperature(probabilities[others], target[others])).mean(axis=1))
    raw = probabilities.mean(axis=1, dtype=np.float64)
    before = expected_calibration_error(named, labels, raw)
    after = expected_calibration_error(named, labels, np.concatenate(calibrated))
    return {
        "temperature": fit_temperature(probabilities, target) if after < before else 1.0,
        "expected_calibration_error_before": before,
        "expected_calibration_error_after": after,
    }


def scale_logits(head: Any, temperature: float) -> None:
    """Divides the logits of a trained head of classes by the temperature, in its weights: every export has it, too."""
    layer = head.get_layer("trunk").get_layer("classes")
    layer.set_weights([weights / temperature for weights in layer.get_weights()])


def measure_distances(statistics: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Returns how far recordings lie from training data, float64 (n,): mean squared deviation; about 1 within them.

    Args:
        statistics: float, shape (n, n_bands, 1, n_statistics), those that a head reads.
        mean, variance: of the training part, float, shape (n_bands, n_statistics) or one that broadcasts with the statistics'.
    """
    mean, variance = (np.reshape(part, statistics.shape[1:]) for part in (mean, variance))
    return np.mean(np.square(statistics.astype(np.float64) - mean) / variance, axis=(1, 2, 3))
