"""What a model knows about its certainty: a temperature, found where it is known, and distances."""

import numpy as np
import pytest

from classifiers import heads
from classifiers.calibration import apply_temperature, calibrate, fit_temperature, measure_distances, scale_logits

LABELS = ["anger", "fear", "sadness"]


@pytest.fixture
def overconfident():
    """Targets drawn from probabilities, and what a head with three times their logits says, with two copies of each."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(3000, 1, 3)) + 0 * np.zeros((1, 2, 1))
    true = apply_temperature(np.exp(logits), 1.0)
    target = (true[:, 0].cumsum(axis=1) < generator.random((3000, 1))).sum(axis=1)
    return apply_temperature(true, 1 / 3), target


def test_the_temperature_is_found(overconfident):
    assert fit_temperature(*overconfident) == pytest.approx(3.0, rel=0.1)


def test_the_error_after_is_measured_on_other_folds(overconfident):
    probabilities, target = overconfident
    parts = np.split(np.arange(3000), 3)
    found = calibrate([(probabilities[part], target[part]) for part in parts], LABELS)
    assert found["expected_calibration_error_before"] > 0.1
    assert found["expected_calibration_error_after"] < 0.04
    assert found["temperature"] == pytest.approx(3.0, rel=0.1)
    # A fold of its own kind: what the others learn must not fit it, or it was measured on itself.
    wrong = [(probabilities[part], target[part] if number else (target[part] + 1) % 3) for number, part in enumerate(parts)]
    assert calibrate(wrong, LABELS)["expected_calibration_error_after"] > 0.1


def test_certainty_that_is_right_stays_as_it_is(overconfident):
    probabilities, target = overconfident
    parts = np.split(np.arange(3000), 3)
    # Folds that err in opposite directions: the temperature of the others makes each of them worse.
    powers = (3.0, 1.0, 9.0)
    folds = [(apply_temperature(probabilities[part], power), target[part]) for part, power in zip(parts, powers, strict=True)]
    found = calibrate(folds, LABELS)
    assert found["expected_calibration_error_after"] >= found["expected_calibration_error_before"]
    assert found["temperature"] == 1.0


def test_softening_keeps_the_order_and_the_sum(overconfident):
    probabilities, _ = overconfident
    softer = apply_temperature(probabilities, 5.0)
    np.testing.assert_allclose(softer.sum(axis=-1), 1.0)
    np.testing.assert_array_equal(softer.argmax(axis=-1), probabilities.argmax(axis=-1))
    assert softer.max(axis=-1).mean() < probabilities.max(axis=-1).mean()
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, atol=1e-9)
    assert np.isfinite(apply_temperature(np.array([[1.0, 0.0, 0.0]]), 0.1)).all()


def test_a_softened_head_gives_softened_probabilities():
    maps = np.random.default_rng(0).normal(size=(5, 40, 1, 6)).astype(np.float32)
    head = heads.build_head("categorical", maps.shape[1:], 3, seed=1, kind="utterance")
    before = np.asarray(head(maps))
    scale_logits(head, 2.5)
    np.testing.assert_allclose(np.asarray(head(maps)), apply_temperature(before, 2.5), atol=1e-6)


def test_distances_are_one_within_the_training_data_and_grow_outside():
    generator = np.random.default_rng(0)
    mean, variance = generator.normal(size=(40, 6)), generator.uniform(0.5, 2, (40, 6))
    statistics = (mean + np.sqrt(variance) * generator.normal(size=(50, 40, 6)))[:, :, np.newaxis]
    near = measure_distances(statistics, mean, variance)
    assert near.shape == (50,) and near.mean() == pytest.approx(1.0, abs=0.05)
    shifted = measure_distances(statistics + 3 * np.sqrt(variance)[:, np.newaxis], mean[np.newaxis, :, np.newaxis], variance)
    assert shifted.mean() == pytest.approx(10.0, abs=0.5)
