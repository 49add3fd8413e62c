"""The BEGAN's training step: ours in both precisions, the standard formulation in plain Keras, and what the machine can do.

The standard formulation is the equations as they stand: L_D with D(x) and D(G(z)), L_G with D(G(z)) once more, one gradient
tape and one optimiser for each network. Both train the same networks on the same batch.
"""

import math
import os
from typing import Any

import numpy as np

from began.startup import start_backend
from experiments.benchmarks import alternate, make_row

BASE_FILTERS, LATENT_SIZE, BATCH_SIZE, SHAPE = 16, 64, 16, (512, 32, 1)
GAMMA, LAMBDA_K, RATE = 0.7, 0.001, 5e-5
MIXED_GOALS = {8: 1.25, 16: 2.0, 32: 3.0}
"""Filters n -> how many times as fast a mixed step is to be, where the processor has AMX."""


def benchmark(repetitions: int = 9) -> list[dict[str, Any]]:
    """Returns the rows: against plain Keras, and GFLOP/s against a matrix product, from rounds of one step each."""
    start_backend()

    from began.pretraining import PretrainingSettings, build_began

    settings = PretrainingSettings(base_filters=BASE_FILTERS, latent_size=LATENT_SIZE, learning_rate=RATE)
    batch = np.random.default_rng(0).uniform(-1.0, 1.0, (BATCH_SIZE, *SHAPE)).astype(np.float32)
    ours, flops = _make_ours(build_began(settings, SHAPE), batch)
    plain = _make_plain(build_began(settings, SHAPE), batch)
    multiply, multiply_flops = _make_matrix_product()
    seconds = alternate({"ours": ours, "plain": plain, "multiply": multiply}, repetitions)
    chunks = {side: BATCH_SIZE / seconds[side] for side in ("ours", "plain")}
    setting = f"n = {BASE_FILTERS}, batch {BATCH_SIZE} of 512x32, {os.cpu_count()} cores"
    passes = f"{setting}; three discriminator passes, two tapes; goal 1.3"
    achieved, possible = flops / seconds["ours"] / 1e9, multiply_flops / seconds["multiply"] / 1e9
    counted = f"{flops / BATCH_SIZE / 1e9:.2f} GFLOP per chunk in convolutions and dense layers; goal 0.5"
    return [
        make_row("training step vs plain Keras", chunks["ours"], chunks["plain"], "chunks/s", passes),
        make_row("training step vs matrix product", achieved, possible, "GFLOP/s", counted),
        *(_compare_precisions(n, goal, batch, repetitions) for n, goal in MIXED_GOALS.items()),
    ]


def _compare_precisions(base_filters: int, goal: float, batch: np.ndarray, repetitions: int) -> dict[str, Any]:
    from began.precision import find_bfloat16
    from began.pretraining import build_began
    from began.pretraining_settings import FLOAT32, MIXED, PretrainingSettings

    settings, steps = PretrainingSettings(base_filters=base_filters, learning_rate=RATE), {}
    for precision in (MIXED, FLOAT32):
        model = build_began(settings, SHAPE)
        model.precision = precision
        steps[precision], _ = _make_ours(model, batch)
    chunks = {name: BATCH_SIZE / seconds for name, seconds in alternate(steps, repetitions).items()}
    flag = find_bfloat16() or "neither amx_bf16 nor avx512_bf16"
    note = f"batch {BATCH_SIZE} of 512x32, {os.cpu_count()} cores, {flag}; goal {goal:g} with AMX"
    name = f"training step in mixed bfloat16 vs float32, n = {base_filters}"
    return make_row(name, chunks[MIXED], chunks[FLOAT32], "chunks/s", note)


def _count_flops(model: Any) -> tuple[int, int]:
    """Returns the floating-point operations of one example's forward pass, and how many of them the first layer does.

    Counted from the shapes of convolutions and dense layers, two for a multiplication and its addition; a backward pass
    takes the same once for the weights' gradient and once for the inputs'.
    """
    # A kernel is applied once in every place of the output: (batch, rows, columns, channels), or (batch, units).
    counts = [
        2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in model.layers if layer.weights
    ]
    return sum(counts), counts[0]


def _make_ours(model: Any, batch: np.ndarray) -> tuple[Any, int]:
    import tensorflow as tf

    data = tf.constant(batch)
    step = tf.function(lambda: model.train_step((data,)))
    (encoder, first), (decoder, _) = _count_flops(model.encoder), _count_flops(model.decoder)
    generator, first_of_generator = _count_flops(model.generator)
    # D(x): forward, and backward but for the chunks' gradient; G and D(G(z)): forward and backward, but for the noise's.
    flops = 3 * (encoder + decoder) - first + 3 * (encoder + decoder + generator) - first_of_generator
    return lambda: float(step()["loss"]), flops * BATCH_SIZE


def _make_plain(networks: Any, batch: np.ndarray) -> Any:
    import keras
    import tensorflow as tf

    discriminator, generator = networks.discriminator, networks.generator
    optimiser_d, optimiser_g = keras.optimizers.Adam(RATE), keras.optimizers.Adam(RATE)
    optimiser_d.build(discriminator.trainable_variables)
    optimiser_g.build(generator.trainable_variables)
    k, data = tf.Variable(0.0), tf.constant(batch)

    def loss(chunks: Any) -> Any:
        return tf.reduce_mean(tf.abs(chunks - discriminator(chunks, training=True)))

    @tf.function
    def step() -> Any:
        noise = tf.random.stateless_uniform((BATCH_SIZE, LATENT_SIZE), (0, 0), -1.0, 1.0)
        with tf.GradientTape() as tape:
            real = loss(data)
            loss_d = real - k * loss(tf.stop_gradient(generator(noise, training=True)))
        optimiser_d.apply(tape.gradient(loss_d, discriminator.trainable_variables), discriminator.trainable_variables)
        with tf.GradientTape() as tape:
            fake = loss(generator(noise, training=True))
        optimiser_g.apply(tape.gradient(fake, generator.trainable_variables), generator.trainable_variables)
        k.assign(tf.clip_by_value(k + LAMBDA_K * (GAMMA * real - fake), 0.0, 1.0))
        return real + fake

    return lambda: float(step())


def _make_matrix_product(size: int = 2048) -> tuple[Any, int]:
    import tensorflow as tf

    generator = np.random.default_rng(0)
    a, b = (tf.constant(generator.normal(size=(size, size)).astype(np.float32)) for _ in range(2))
    multiply = tf.function(lambda: tf.reduce_sum(tf.linalg.matmul(a, b)))
    return lambda: [float(multiply()) for _ in range(4)], 4 * 2 * size**3
