"""The BEGAN's step, against an independent plain formulation: three discriminator passes and a tape for each network."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from began.checkpoint import read_checkpoint, write_checkpoint
from began.model import BEGAN
from began.networks import build_decoder, build_encoder, build_generator

tf = pytest.importorskip("tensorflow")

SHAPE, H, BATCH = (16, 8, 1), 5, 6
RATE = 1e-3


def make_model(noise: str = "shared", gamma: float = 0.7, lambda_k: float = 0.001, generator: bool = True) -> BEGAN:
    model = BEGAN(
        build_encoder(SHAPE, 3, H, seed=1),
        build_decoder(SHAPE, 3, H, seed=2),
        build_generator(SHAPE, 3, H, seed=3) if generator else None,
        gamma=gamma,
        lambda_k=lambda_k,
        noise=noise,
        seed=4,
    )
    model.compile(optimizer=keras.optimizers.Adam(RATE))
    model.optimizer.build(model.trainable_variables)
    return model


def draw_chunks(seed: int = 0, batch: int = BATCH) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, *SHAPE)).astype(np.float32)


def inject_noise(model: BEGAN, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Makes a model draw given noise; returns z_G and z_D (the same when shared)."""
    generator = np.random.default_rng(seed)
    z_g = generator.uniform(-1, 1, (BATCH, H)).astype(np.float32)
    z_d = z_g if model.noise == "shared" else generator.uniform(-1, 1, (BATCH, H)).astype(np.float32)
    waiting = [z_g] if model.noise == "shared" else [z_g, z_d]
    model._draw_noise = lambda batch_size: keras.ops.convert_to_tensor(waiting.pop(0))
    return z_g, z_d


def mean_absolute(a, b):
    return tf.reduce_mean(tf.abs(a - b))


def plain_gradients(model: BEGAN, x, z_g, z_d, k: float, stop_target: bool = False):
    """The equations as written, without anything of `began.losses`: gradients of L_D for D and of L_G for G."""

    def d(v):
        return model.decoder(model.encoder(v))

    of_d = model.encoder.trainable_variables + model.decoder.trainable_variables
    with tf.GradientTape() as tape:
        fake = tf.stop_gradient(model.generator(z_d))
        loss_d = mean_absolute(x, d(x)) - k * mean_absolute(fake, d(fake))
    gradients_d = tape.gradient(loss_d, of_d)
    with tf.GradientTape() as tape:
        fake = model.generator(z_g)
        loss_g = mean_absolute(tf.stop_gradient(fake) if stop_target else fake, d(fake))
    return gradients_d, tape.gradient(loss_g, model.generator.trainable_variables)


def our_gradients(model: BEGAN, x):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y_pred=model(x, training=True), training=True)
    of_d = model.encoder.trainable_variables + model.decoder.trainable_variables
    gradients = tape.gradient(loss, of_d + model.generator.trainable_variables)
    return gradients[: len(of_d)], gradients[len(of_d) :]


def assert_close(ours, plain, tolerance: float = 2e-6):
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, float(tf.reduce_max(tf.abs(b)))))


@pytest.mark.parametrize("noise", ["shared", "separate"])
@pytest.mark.parametrize("k", [0.0, 0.3, 1.0])
def test_gradients_equal_the_plain_formulation(noise, k):
    model, x = make_model(noise), draw_chunks()
    z_g, z_d = inject_noise(model)
    model.k.assign(k)
    expected = plain_gradients(model, x, z_g, z_d, k)
    for ours, plain in zip(our_gradients(model, x), expected, strict=True):
        assert_close(ours, plain)
        assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in ours)


@pytest.mark.parametrize("noise", ["shared", "separate"])
def test_training_equals_plain_training_with_two_optimisers(noise):
    ours, plain = make_model(noise, lambda_k=0.1), make_model(noise, lambda_k=0.1)
    adam_d, adam_g = keras.optimizers.Adam(RATE), keras.optimizers.Adam(RATE)
    of_d = plain.encoder.trainable_variables + plain.decoder.trainable_variables
    k = 0.2
    ours.k.assign(k)
    for step in range(4):
        x = draw_chunks(step)
        z_g, z_d = inject_noise(ours, step)
        ours.train_step((tf.constant(x),))
        gradients_d, gradients_g = plain_gradients(plain, x, z_g, z_d, k)
        fake = plain.generator(z_g)
        real_loss = float(mean_absolute(x, plain(x)))
        fake_loss = float(mean_absolute(fake, plain(fake)))
        adam_d.apply(gradients_d, of_d)
        adam_g.apply(gradients_g, plain.generator.trainable_variables)
        k = min(1.0, max(0.0, k + 0.1 * (0.7 * real_loss - fake_loss)))
    assert float(ours.k) == pytest.approx(k, abs=1e-6)
    assert k not in (0.0, 0.2, 1.0)
    for a, b in zip(ours.trainable_variables, plain.trainable_variables, strict=True):
        # Adam makes a step of RATE even of a gradient that is mere rounding.
        np.testing.assert_allclose(a, b, atol=0.05 * RATE)


def test_generator_loss_sends_no_gradient_into_the_discriminator():
    model, x = make_model(), draw_chunks()
    inject_noise(model)
    model.k.assign(0.0)
    with tf.GradientTape() as tape:
        alone = mean_absolute(x, model(x))
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    assert_close(our_gradients(model, x)[0], tape.gradient(alone, variables))


def test_generators_target_term_is_differentiated():
    model, x = make_model(), draw_chunks()
    z_g, z_d = inject_noise(model)
    ours = our_gradients(model, x)[1]
    without = plain_gradients(model, x, z_g, z_d, 0.0, stop_target=True)[1]
    assert max(float(tf.reduce_max(tf.abs(a - b))) for a, b in zip(ours, without, strict=True)) > 1e-3


def test_one_step_moves_every_weight_of_both_networks():
    model = make_model()
    before = [variable.numpy().copy() for variable in model.trainable_variables]
    model.train_step((tf.constant(draw_chunks()),))
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.trainable_variables, strict=True)]
    assert all(moved)
    assert len(moved) == len(model.discriminator.weights) + len(model.generator.weights)


def step_with_losses(model: BEGAN, real: float, fake: float) -> float:
    """One step on data whose losses are given; returns k behind it."""
    calls = iter([real, fake])
    from began import model as module

    original = module.losses.reconstruction_loss
    module.losses.reconstruction_loss = lambda target, out: original(target, out) * 0.0 + next(calls)
    try:
        model.train_step((tf.constant(draw_chunks()),))
    finally:
        module.losses.reconstruction_loss = original
    return float(model.k)


def test_k_rises_falls_and_saturates():
    model = make_model(lambda_k=0.5)
    assert step_with_losses(model, real=1.0, fake=0.1) == pytest.approx(0.3)
    assert step_with_losses(model, real=1.0, fake=0.9) == pytest.approx(0.2)
    assert step_with_losses(model, real=1.0, fake=9.0) == 0.0
    assert step_with_losses(model, real=9.0, fake=0.1) == 1.0
    assert step_with_losses(model, real=9.0, fake=0.1) == 1.0


def test_k_is_updated_behind_the_loss():
    model, x = make_model(lambda_k=0.5), draw_chunks()
    z_g, z_d = inject_noise(model)
    model.k.assign(0.3)
    ours = our_gradients(model, x)[0]
    assert float(model.k) != pytest.approx(0.3)
    assert_close(ours, plain_gradients(model, x, z_g, z_d, 0.3)[0])


def test_k_is_saved_with_the_weights(tmp_path):
    model = make_model()
    model(draw_chunks())
    model.k.assign(0.42)
    model.save_weights(tmp_path / "began.weights.h5")
    loaded = make_model()
    loaded(draw_chunks())
    loaded.load_weights(tmp_path / "began.weights.h5")
    assert float(loaded.k) == pytest.approx(0.42)


def test_checkpoint_restores_everything(tmp_path):
    model = make_model(lambda_k=0.5)
    for step in range(3):
        model.train_step((tf.constant(draw_chunks(step)),))
    write_checkpoint(tmp_path / "checkpoint.npz", model, {"round": 1})
    model.train_step((tf.constant(draw_chunks(9)),))
    other = make_model(lambda_k=0.5)
    assert read_checkpoint(tmp_path / "checkpoint.npz", other) == {"round": 1}
    other.train_step((tf.constant(draw_chunks(9)),))
    for a, b in zip(model.variables + model.optimizer.variables, other.variables + other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluation_leaves_k_alone():
    model = make_model(lambda_k=0.5)
    model.k.assign(0.3)
    model.compute_loss(x=draw_chunks(), y_pred=model(draw_chunks()), training=False)
    assert float(model.k) == pytest.approx(0.3)


def test_noise_is_uniform_and_differs_from_step_to_step():
    model = make_model()
    first, second = (np.asarray(model._draw_noise(2000)) for _ in range(2))
    assert not np.array_equal(first, second)
    assert -1 <= first.min() < -0.99
    assert 0.99 < first.max() <= 1
    assert first.std() == pytest.approx(1 / np.sqrt(3), rel=0.02)  # normal noise clipped to [-1, 1] has another


def test_reports_the_losses_and_the_measure():
    model, x = make_model(), draw_chunks()
    z_g, _ = inject_noise(model)
    fake = model.generator(z_g)
    real_loss, fake_loss = float(mean_absolute(x, model(x))), float(mean_absolute(fake, model(fake)))
    logs = model.train_step((tf.constant(x),))
    assert float(logs["reconstruction_loss"]) == pytest.approx(real_loss, rel=1e-5)
    assert float(logs["generator_loss"]) == pytest.approx(fake_loss, rel=1e-5)
    assert float(logs["convergence_measure"]) == pytest.approx(real_loss + abs(0.7 * real_loss - fake_loss), rel=1e-5)


def test_without_a_generator_it_is_an_autoencoder():
    model = make_model(generator=False)
    first = float(model.train_step((tf.constant(draw_chunks()),))["loss"])
    for _ in range(20):
        model.reset_metrics()
        logs = model.train_step((tf.constant(draw_chunks()),))
    assert float(logs["loss"]) == float(logs["convergence_measure"]) < first
    assert float(model.k) == 0.0


@pytest.mark.parametrize("noise", ["shared", "separate"])
def test_mixed_precision_takes_nearly_the_same_step_on_float32_weights(noise):
    model, x = make_model(noise), draw_chunks()
    inject_noise(model)
    model.k.assign(0.3)
    expected = our_gradients(model, x)
    losses = [float(tracker.result()) for tracker in model._trackers]
    mixed = make_model(noise)
    inject_noise(mixed)
    mixed.k.assign(0.3)
    mixed.precision = "mixed_bfloat16"
    assert mixed.discriminator(x).dtype == tf.bfloat16
    for ours, theirs in zip(our_gradients(mixed, x), expected, strict=True):
        assert all(gradient.dtype == tf.float32 for gradient in ours)
        a, b = (np.concatenate([np.ravel(gradient) for gradient in gradients]) for gradients in (ours, theirs))
        # 0.2 was seen on a processor without arithmetic of bfloat16, less than 0.1 on others.
        assert 0 < np.linalg.norm(a - b) < 0.3 * np.linalg.norm(b)
    np.testing.assert_allclose([float(tracker.result()) for tracker in mixed._trackers], losses, rtol=0.01)
    assert float(mixed.k) == pytest.approx(float(model.k), abs=1e-5)
    inject_noise(mixed, 1)
    mixed.train_step((tf.constant(x),))
    assert {variable.dtype for variable in (*mixed.trainable_variables, *mixed.optimizer.variables[2:])} == {"float32"}
    mixed.precision = "float32"
    assert mixed.discriminator(x).dtype == tf.float32


def test_mixed_gradients_of_biases_are_summed_in_single_precision():
    """TensorFlow's own BiasAddGrad would return a hundredth of this on a CPU."""
    model = BEGAN(build_encoder((256, 64, 1), 2, H, seed=1), build_decoder((256, 64, 1), 2, H, seed=2), None)
    model.precision = "mixed_bfloat16"
    layer = model.encoder.get_layer("block1_conv1")
    x = tf.ones((16, 256, 64, 1))
    with tf.GradientTape() as tape:
        outputs = layer(x)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32))
    slopes = tf.where(outputs > 0, 1.0, 1.0 + tf.cast(outputs, tf.float32))
    np.testing.assert_allclose(tape.gradient(total, layer.bias), tf.reduce_sum(slopes, (0, 1, 2)), rtol=0.01)


@pytest.mark.parametrize("setting", [{"gamma": 0.0}, {"gamma": 1.1}, {"lambda_k": -1.0}, {"noise": "none"}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        make_model(**setting)


@pytest.mark.extras
@pytest.mark.parametrize("steps_per_call", [1, 3])
def test_jax_backend_takes_the_same_steps(tmp_path, steps_per_call):
    """TensorFlow's weights load into JAX, steps there equal TensorFlow's to rounding, and the weights come back."""
    pytest.importorskip("jax", reason="JAX is not installed (pip install jax); it is optional")
    from tests import train_on_jax

    model, x = train_on_jax.make_model(SHAPE, H), np.stack([draw_chunks(step) for step in range(3)])
    model.k.assign(0.2)
    write_checkpoint(tmp_path / "before.npz", model, {})
    np.save(tmp_path / "x.npy", x)
    done = subprocess.run(
        [sys.executable, train_on_jax.__file__, str(tmp_path), str(H), str(steps_per_call)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    for batch in x:
        model.train_step((tf.constant(batch),))
    on_jax = train_on_jax.make_model(SHAPE, H)
    read_checkpoint(tmp_path / "after.npz", on_jax)
    assert int(on_jax.optimizer.iterations) == 3
    assert float(on_jax.k) == pytest.approx(float(model.k), abs=1e-6)
    for a, b in zip(on_jax.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=0.05 * RATE)
