"""The BEGAN's training step: ours, the standard formulation in plain Keras, PyTorch's, and what the machine can do.

The standard formulation is the equations as they stand: L_D with D(x) and D(G(z)), L_G with D(G(z)) once more, one gradient
tape and one optimiser for each network. All train the same networks on the same batch.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from typing import Any

import numpy as np

from began.startup import start_backend
from experiments.benchmarks import RoundsProcess, alternate, make_row

BASE_FILTERS, LATENT_SIZE, BATCH_SIZE, SHAPE = 16, 64, 16, (512, 32, 1)
GAMMA, LAMBDA_K, RATE = 0.7, 0.001, 5e-5


def benchmark(repetitions: int = 9) -> list[dict[str, Any]]:
    """Returns the rows: against plain Keras, against PyTorch where it is installed, and GFLOP/s against a matrix product.

    Args:
        repetitions: rounds of one step each.
    """
    start_backend()
    batch = np.random.default_rng(0).uniform(-1.0, 1.0, (BATCH_SIZE, *SHAPE)).astype(np.float32)
    ours, flops = _make_ours(batch)
    multiply, multiply_flops = _make_matrix_product()
    sides = {"ours": ours, "plain": _make_plain(batch), "multiply": multiply}
    # PyTorch gets a process of its own: two libraries' threads in one would get in each other's way.
    torch = RoundsProcess("experiments.benchmarks.training_step") if importlib.util.find_spec("torch") else None
    if torch:
        sides["torch"] = torch.run_round
    seconds = alternate(sides, repetitions)
    if torch:
        torch.close()
    chunks = {side: BATCH_SIZE / values for side, values in seconds.items()}
    setting = f"n = {BASE_FILTERS}, batch {BATCH_SIZE} of 512x32, {os.cpu_count()} cores"
    plain = f"{setting}; three discriminator passes, two tapes; goal 1.3"
    if torch:
        installed = f"{setting}; PyTorch {importlib.metadata.version('torch')}, channels last; goal 1.8"
    else:
        installed = "left out: PyTorch is not installed (optional: pip install torch)"
    achieved, possible = flops / seconds["ours"] / 1e9, multiply_flops / seconds["multiply"] / 1e9
    counted = f"{flops / BATCH_SIZE / 1e9:.2f} GFLOP per chunk in convolutions and dense layers; goal 0.5"
    return [
        make_row("training step vs plain Keras", chunks["ours"], chunks["plain"], "chunks/s", plain),
        make_row("training step vs PyTorch", chunks["ours"], chunks.get("torch"), "chunks/s", installed),
        make_row("training step vs matrix product", achieved, possible, "GFLOP/s", counted),
    ]


def count_flops(model: Any) -> tuple[int, int]:
    """Returns the floating-point operations of one example's forward pass, and how many of them the first layer does.

    Counted from the shapes of convolutions and dense layers, two for a multiplication and its addition; a backward pass
    takes the same once for the weights' gradient and once for the inputs'.
    """
    counts = []
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            rows, columns = layer.output.shape[1:3]
            counts.append(2 * int(np.prod(layer.kernel.shape)) * rows * columns)
        elif type(layer).__name__ == "Dense":
            counts.append(2 * int(np.prod(layer.kernel.shape)))
    return sum(counts), counts[0]


def _make_ours(batch: np.ndarray) -> tuple[Any, int]:
    import tensorflow as tf

    from began.pretraining import PretrainingSettings, build_began

    model = build_began(PretrainingSettings(base_filters=BASE_FILTERS, latent_size=LATENT_SIZE, learning_rate=RATE), SHAPE)
    data = tf.constant(batch)
    step = tf.function(lambda: model.train_step((data,)))
    (encoder, first), (decoder, _) = count_flops(model.encoder), count_flops(model.decoder)
    generator, first_of_generator = count_flops(model.generator)
    # D(x): forward, and backward but for the chunks' gradient; G and D(G(z)): forward and backward, but for the noise's.
    flops = 3 * (encoder + decoder) - first + 3 * (encoder + decoder + generator) - first_of_generator
    return lambda: float(step()["loss"]), flops * BATCH_SIZE


def _make_plain(batch: np.ndarray) -> Any:
    import keras
    import tensorflow as tf

    from began.networks import build_decoder, build_encoder, build_generator

    sizes = (SHAPE, BASE_FILTERS, LATENT_SIZE)
    encoder, decoder, generator = build_encoder(*sizes, seed=0), build_decoder(*sizes, seed=1), build_generator(*sizes, seed=2)
    discriminator = keras.Model(encoder.input, decoder(encoder.output))
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


def _serve_torch() -> None:
    """Makes one PyTorch step for every line on standard input."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)

    def block(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ELU(), nn.Conv2d(n_out, n_out, 3, stride=stride, padding=1), nn.ELU()]

    n, rows, columns = BASE_FILTERS, SHAPE[0] // 8, SHAPE[1] // 8
    encoder = nn.Sequential(
        *block(1, n, 2),
        *block(n, 2 * n, 2),
        *block(2 * n, 3 * n, 2),
        *block(3 * n, 4 * n, 1),
        nn.Flatten(),
        nn.Linear(rows * columns * 4 * n, LATENT_SIZE),
    )

    def make_decoder() -> nn.Module:
        layers = [nn.Linear(LATENT_SIZE, rows * columns * n), nn.Unflatten(1, (n, rows, columns))]
        for number in range(4):
            layers += block(n, n, 1) + ([nn.Upsample(scale_factor=2)] if number < 3 else [])
        return nn.Sequential(*layers, nn.Conv2d(n, 1, 3, padding=1))

    discriminator, generator = (
        net.to(memory_format=torch.channels_last) for net in (nn.Sequential(encoder, make_decoder()), make_decoder())
    )
    optimiser_d, optimiser_g = (torch.optim.Adam(net.parameters(), RATE) for net in (discriminator, generator))
    data = torch.empty(BATCH_SIZE, 1, *SHAPE[:2]).uniform_(-1, 1).to(memory_format=torch.channels_last)
    k = 0.0
    for _ in sys.stdin:
        noise = torch.empty(BATCH_SIZE, LATENT_SIZE).uniform_(-1, 1)
        real = (data - discriminator(data)).abs().mean()
        fake = generator(noise).detach()
        optimiser_d.zero_grad()
        (real - k * (fake - discriminator(fake)).abs().mean()).backward()
        optimiser_d.step()
        fake = generator(noise)
        loss_g = (fake - discriminator(fake)).abs().mean()
        optimiser_g.zero_grad()
        loss_g.backward()
        optimiser_g.step()
        k = min(1.0, max(0.0, k + LAMBDA_K * (GAMMA * real.item() - loss_g.item())))
        print(flush=True)


if __name__ == "__main__":
    _serve_torch()
