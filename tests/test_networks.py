"""The three networks' structure."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from began.networks import build_decoder, build_encoder, build_generator

SHAPE = (32, 16, 1)


def convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def test_encoder_has_the_papers_blocks():
    encoder = build_encoder(base_filters=16, latent_size=64, seed=0)
    assert encoder.input_shape == (None, 512, 32, 1)
    assert encoder.output_shape == (None, 64)
    assert encoder.get_layer("map").output.shape == (None, 64, 4, 64)
    layers = convolutions(encoder)
    assert [layer.filters for layer in layers] == [16, 16, 32, 32, 48, 48, 64, 64]
    assert [layer.strides[0] for layer in layers] == [1, 2, 1, 2, 1, 2, 1, 1]
    assert all(layer.kernel_size == (3, 3) and layer.activation is keras.activations.elu for layer in layers)
    assert layers[-1].name == "map"


def test_embedding_and_output_are_linear():
    assert build_encoder(SHAPE, 2, 4, seed=0).get_layer("embedding").activation is keras.activations.linear
    for build in (build_decoder, build_generator):
        assert build(SHAPE, 2, 4, seed=0).layers[-1].activation is keras.activations.linear


def test_decoder_enlarges_by_nearest_neighbours():
    decoder = build_decoder(SHAPE, 2, 4, seed=0)
    assert decoder.output_shape == (None, *SHAPE)
    enlarging = [layer for layer in decoder.layers if isinstance(layer, keras.layers.UpSampling2D)]
    assert [layer.interpolation for layer in enlarging] == ["nearest"] * 3


def test_generator_has_the_decoders_structure_and_its_own_weights():
    decoder, generator = build_decoder(SHAPE, 2, 4, seed=1), build_generator(SHAPE, 2, 4, seed=2)
    assert [weight.shape for weight in decoder.weights] == [weight.shape for weight in generator.weights]
    assert not {id(weight) for weight in decoder.weights} & {id(weight) for weight in generator.weights}
    assert not np.array_equal(decoder.get_weights()[0], generator.get_weights()[0])


def test_no_normalisation_between_layers():
    for model in (build_encoder(SHAPE, 2, 4), build_decoder(SHAPE, 2, 4), build_generator(SHAPE, 2, 4)):
        assert not [layer for layer in model.layers if "normalization" in type(layer).__name__.lower()]


def test_seed_decides_the_weights():
    first, same, other = (build_encoder(SHAPE, 2, 4, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_layers_of_equal_shape_start_differently():
    layers = convolutions(build_decoder(SHAPE, 2, 4, seed=0))
    assert not np.array_equal(layers[0].get_weights()[0], layers[1].get_weights()[0])


@pytest.mark.parametrize("shape", [(513, 32, 1), (512, 30, 1), (512, 32)])
def test_shapes_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 8"):
        build_encoder(shape)
