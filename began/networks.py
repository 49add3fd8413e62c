"""Encoder, decoder and generator of the BEGAN: four blocks of two 3×3 ELU convolutions.

Source: Berthelot et al. 2017, section 3.5 and figure 1; the names and strides follow what the authors' earlier code shows of
its encoder. No normalisation between layers, none on the embedding, no activation on the output.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

N_BLOCKS = 4
N_HALVINGS = N_BLOCKS - 1
Shape = tuple[int, int, int]
INPUT_SHAPE: Shape = (512, 32, 1)
"""(n_bins, n_frames, 1) of a 1-s chunk."""


def build_encoder(
    input_shape: Shape = INPUT_SHAPE, base_filters: int = 8, latent_size: int = 64, seed: int | None = None
) -> keras.Model:
    """Returns the encoder: spectrogram to embedding.

    Blocks 1 to 4 have n, 2n, 3n and 4n filters; the second convolution of blocks 1 to 3 has stride 2. The last
    convolution is named "map": the heads' input.

    Args:
        input_shape: (n_bins, n_frames, 1); n_bins and n_frames are multiples of 8, or ValueError is raised.
        base_filters: n. Assumption: 8.
        latent_size: h, size of the embedding. Assumption: 64, as Berthelot et al.
        seed: of the initial weights; None draws one.
    Returns:
        Model (batch, n_bins, n_frames, 1) -> (batch, h), linear. Layer "map" gives (batch, n_bins/8, n_frames/8, 4n).
    """
    _reduced_shape(input_shape)
    initializers = _initializers(seed)
    inputs = layers.Input(input_shape, name="spectrogram")
    x = inputs
    for block in range(1, N_BLOCKS + 1):
        last = block == N_BLOCKS
        x = _convolution(block * base_filters, f"block{block}_conv1", initializers)(x)
        name = "map" if last else f"block{block}_conv2"
        x = _convolution(block * base_filters, name, initializers, strides=1 if last else 2)(x)
    x = layers.Flatten(name="flatten")(x)
    embedding = layers.Dense(latent_size, kernel_initializer=next(initializers), name="embedding")(x)
    return keras.Model(inputs, embedding, name="encoder")


def build_decoder(
    output_shape: Shape = INPUT_SHAPE,
    base_filters: int = 8,
    latent_size: int = 64,
    seed: int | None = None,
    name: str = "decoder",
) -> keras.Model:
    """Returns the decoder: embedding to spectrogram, with nearest-neighbour up-sampling between its four blocks.

    Every block has n filters; arguments are as those of `build_encoder`.

    Returns:
        Model (batch, h) -> (batch, n_bins, n_frames, 1), linear.
    """
    rows, columns = _reduced_shape(output_shape)
    initializers = _initializers(seed)
    inputs = layers.Input((latent_size,), name="latent")
    x = layers.Dense(rows * columns * base_filters, kernel_initializer=next(initializers), name="dense")(inputs)
    x = layers.Reshape((rows, columns, base_filters), name="reshape")(x)
    for block in range(1, N_BLOCKS + 1):
        x = _convolution(base_filters, f"block{block}_conv1", initializers)(x)
        x = _convolution(base_filters, f"block{block}_conv2", initializers)(x)
        if block < N_BLOCKS:
            x = layers.UpSampling2D(interpolation="nearest", name=f"block{block}_upsampling")(x)
    outputs = layers.Conv2D(output_shape[-1], 3, padding="same", kernel_initializer=next(initializers), name="spectrogram")(x)
    return keras.Model(inputs, outputs, name=name)


def build_generator(
    output_shape: Shape = INPUT_SHAPE, base_filters: int = 8, latent_size: int = 64, seed: int | None = None
) -> keras.Model:
    """Returns the generator: the decoder's structure with weights of its own (Berthelot et al. 2017, section 3.5)."""
    return build_decoder(output_shape, base_filters, latent_size, seed, name="generator")


def _convolution(filters: int, name: str, initializers, strides: int = 1) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, strides, "same", activation="elu", kernel_initializer=next(initializers), name=name)


def _initializers(seed: int | None) -> Iterator[keras.initializers.Initializer]:
    """Yields a fresh initializer for every layer: one object shared by all would give equal shapes equal weights."""
    generator = np.random.default_rng(seed)
    while True:
        yield keras.initializers.GlorotUniform(seed=int(generator.integers(2**31)))


def _reduced_shape(shape: Shape) -> tuple[int, int]:
    factor = 2**N_HALVINGS
    if len(shape) != 3 or shape[0] % factor or shape[1] % factor:
        raise ValueError(f"shape is {shape}; expected (n_bins, n_frames, 1) with both multiples of {factor}")
    return shape[0] // factor, shape[1] // factor
