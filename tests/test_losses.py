"""Berthelot's equations against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from began import losses


def test_reconstruction_loss_is_the_mean_absolute_difference():
    target = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    reconstruction = np.array([[0.0, -1.0], [0.5, 1.0]], np.float32)
    assert float(losses.reconstruction_loss(target, reconstruction)) == pytest.approx((1 + 1 + 0 + 2) / 4)


def test_reconstruction_loss_does_not_grow_with_the_batch():
    generator = np.random.default_rng(0)
    target, reconstruction = generator.normal(size=(2, 3, 8, 8, 1)).astype(np.float32)
    once = float(losses.reconstruction_loss(target, reconstruction))
    twice = float(losses.reconstruction_loss(np.tile(target, (2, 1, 1, 1)), np.tile(reconstruction, (2, 1, 1, 1))))
    assert twice == pytest.approx(once, rel=1e-6)


@pytest.mark.parametrize(
    ("k", "real", "fake", "expected"),
    [
        (0.1, 1.0, 0.2, 0.15),  # 0.1 + 0.1 (0.7 - 0.2): generated chunks are easy, k rises
        (0.1, 1.0, 0.9, 0.08),  # 0.1 + 0.1 (0.7 - 0.9): k falls
        (0.1, 1.0, 0.7, 0.1),  # in balance
        (0.01, 1.0, 0.9, 0.0),  # never below 0
        (0.99, 1.0, 0.2, 1.0),  # never above 1
    ],
)
def test_k(k, real, fake, expected):
    assert float(losses.update_k(k, real, fake, gamma=0.7, lambda_k=0.1)) == pytest.approx(expected, abs=1e-7)


def test_convergence_measure():
    assert float(losses.convergence_measure(0.5, 0.2, 0.7)) == pytest.approx(0.5 + 0.15)
    assert float(losses.convergence_measure(0.5, 0.5, 0.7)) == pytest.approx(0.5 + 0.15)
    assert float(losses.convergence_measure(0.5, 0.35, 0.7)) == pytest.approx(0.5)


def test_gradient_flows_through_both_arguments():
    tf = pytest.importorskip("tensorflow")
    target, reconstruction = tf.constant([1.0, -2.0]), tf.constant([0.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch([target, reconstruction])
        loss = losses.reconstruction_loss(target, reconstruction)
    of_target, of_reconstruction = tape.gradient(loss, [target, reconstruction])
    np.testing.assert_allclose(of_target, [0.5, -0.5])
    np.testing.assert_allclose(of_reconstruction, [-0.5, 0.5])


@pytest.mark.parametrize("factor", [-0.3, 0.0, 1.0])
def test_a_scaled_gradient_leaves_the_value(factor):
    tf = pytest.importorskip("tensorflow")
    weight = tf.constant([1.0, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(weight)
        scaled = losses.scale_gradient(weight, factor)
        loss = tf.reduce_sum(3.0 * scaled)
    np.testing.assert_allclose(scaled, weight, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, weight), [3.0 * factor] * 2, rtol=1e-6)
