"""Heads: shapes, ranges, determinism, normalisation, parameters."""

from __future__ import annotations

import numpy as np
import pytest

from began.errors import InputError
from classifiers import head_parameters, heads

SHAPE = (8, 4, 6)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(2, 3, (30, *SHAPE)).astype(np.float32)


def test_softmax_head(features):
    head = heads.build_head("categorical", SHAPE, 5, seed=1)
    scores = np.asarray(head(features))
    assert scores.shape == (30, 5)
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert not head.compiled  # so that it is saved without an optimiser


def test_arousal_valence_head_has_two_one_unit_outputs_in_their_ranges(features):
    head = heads.build_head("dimensional", SHAPE, 2, seed=1)
    trunk = head.get_layer("trunk")
    for bias, expected in ((-100.0, (0, -1)), (0.0, (0.5, 0)), (100.0, (1, 1))):
        for name in ("arousal", "valence"):
            trunk.get_layer(f"{name}_tanh").bias.assign([bias])
        for output, value in zip(head(features), expected, strict=True):
            assert output.shape == (30, 1) and np.asarray(output) == pytest.approx(value)
    assert [trunk.get_layer(f"{name}_tanh").units for name in ("arousal", "valence")] == [1, 1]


def test_embeddings_are_read_too():
    head = heads.build_head("categorical", (12,), 3)
    assert head(np.zeros((2, 12), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("pooling", head_parameters.POOLINGS)
def test_every_pooling(features, pooling):
    parameters = {"dense_units": 5, "dense_dropout": 0.1, "input_dropout": 0.1, "stride_frequency": 2}
    assert heads.build_head("categorical", SHAPE, 3, {"pooling": pooling, **parameters})(features[:2]).shape == (2, 3)


def test_same_seed_same_weights_whatever_was_built_before(features):
    first = heads.build_head("categorical", SHAPE, 3, seed=7).get_weights()
    heads.build_head("categorical", SHAPE, 3, seed=8)
    again = heads.build_head("categorical", SHAPE, 3, seed=7).get_weights()
    other = heads.build_head("categorical", SHAPE, 3, seed=8).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_normalization_is_per_bin_and_channel_and_inside_the_model(features, monkeypatch):
    import keras

    rows = np.arange(5, 25)
    mean, variance = heads.measure_normalization(features, rows)
    with monkeypatch.context() as patch:
        patch.setattr(heads, "CHUNKS_AT_ONCE", 7)
        assert heads.measure_normalization(features, rows)[0] == pytest.approx(mean)
    assert mean == pytest.approx(features[rows].mean(axis=(0, 2)), abs=1e-4)
    assert variance == pytest.approx(features[rows].var(axis=(0, 2)), rel=1e-4)
    head = heads.build_head("categorical", SHAPE, 3, {"input_pool_frequency": 1}, normalization=(mean, variance))
    normalized = np.asarray(keras.Model(head.input, head.get_layer("stem").output)(features[rows]))
    assert normalized.mean(axis=(0, 2)) == pytest.approx(0, abs=1e-4)
    assert normalized.std(axis=(0, 2)) == pytest.approx(1, abs=1e-3)
    poisoned = features.copy()
    poisoned[:5] = np.nan
    assert np.array_equal(heads.measure_normalization(poisoned, rows)[1], variance)


def test_normalization_of_a_constant_bin_stays_finite():
    features = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype(np.float32)
    features[:, 3] = 5
    mean, variance = heads.measure_normalization(features)
    assert mean[3] == pytest.approx(5) and variance[3].min() > 1e-4


def test_parameters_are_checked_all_at_once_and_plain():
    with pytest.raises(InputError) as caught:
        head_parameters.resolve_parameters(
            "categorical", {"filters": 0, "pooling": "sum", "momentun": 1, "dropout": float("nan")}
        )
    for found in ("filters: found 0", "'sum'", "momentun: unknown", "nan"):
        assert found in str(caught.value)
    resolved = head_parameters.resolve_parameters("categorical", {"filters": np.int64(3), "learning_rate": np.float64(0.5)})
    assert {type(value) for value in resolved.values()} <= {int, float, str}


@pytest.mark.parametrize(
    ("task", "shape", "n_outputs"),
    [("svm", SHAPE, 3), ("categorical", (3, 4), 3), ("categorical", SHAPE, 1), ("dimensional", SHAPE, 3)],
)
def test_impossible_heads_are_refused(task, shape, n_outputs):
    with pytest.raises(InputError):
        heads.build_head(task, shape, n_outputs)


def test_concordance_loss_agrees_with_the_metric():
    from classifiers.metrics import concordance_correlation_coefficient

    target, prediction = np.random.default_rng(0).normal(size=(2, 40, 1)).astype(np.float32)
    expected = 1 - concordance_correlation_coefficient(target, prediction)
    assert float(heads.concordance_loss(target, prediction)) == pytest.approx(expected, abs=1e-4)


def test_losses_golden():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    losses = -np.log([0.5, 0.25])
    assert float(heads.compute_loss("categorical", "crossentropy", np.array([1, 0]), probabilities)) == pytest.approx(
        losses.mean()
    )
    weighted = heads.compute_loss("categorical", "crossentropy", np.array([1, 0]), probabilities, np.array([1, 3], np.float32))
    assert float(weighted) == pytest.approx((losses * [1, 3]).mean())
    targets = np.array([[0.5, -1], [1, 0]], np.float32)
    outputs = np.array([[0.25], [1]], np.float32), np.array([[0], [0.5]], np.float32)
    for name, of_arousal, of_valence in (("mae", 0.25, 0.75), ("mse", 0.125, 0.625)):  # arousal's range is doubled
        assert float(heads.compute_loss("dimensional", name, targets, outputs)) == pytest.approx(of_arousal + of_valence)
    both = sum(float(heads.concordance_loss(targets[:, i], outputs[i])) for i in (0, 1))
    assert float(heads.compute_loss("dimensional", "ccc", targets, outputs)) == pytest.approx(both, abs=1e-5)


def test_head_works_with_plain_keras_fit(features):
    head = heads.build_head("categorical", SHAPE, 3)
    head.compile(heads.build_optimizer(head_parameters.resolve_parameters("categorical")), "sparse_categorical_crossentropy")
    assert np.isfinite(head.fit(features, np.arange(30) % 3, shuffle=False, verbose=0).history["loss"][0])


@pytest.mark.parametrize("n_bands", [40, 42])
def test_windows_of_bands_are_a_strided_convolution(n_bands):
    import keras

    parameters = head_parameters.resolve_parameters("categorical", {"filters": 6, "kernel_frequency": 4}, "utterance")
    trunk = heads.build_trunk("categorical", (n_bands, 1, 5), 3, parameters)
    maps = np.random.default_rng(0).normal(size=(2, n_bands, 1, 5)).astype(np.float32)
    windows = keras.Model(trunk.input, trunk.get_layer("convolution1").output)(maps)
    weights, bias = trunk.get_layer("convolution1").get_weights()
    strided = keras.layers.Conv2D(6, (4, 1), (4, 1), "valid", activation="elu")
    strided.build(maps.shape)
    strided.set_weights([weights.reshape(4, 1, 5, 6), bias])
    filled = np.pad(maps, ((0, 0), (0, -n_bands % 4), (0, 0), (0, 0)))
    np.testing.assert_allclose(windows, strided(filled), atol=1e-5)


@pytest.mark.parametrize("task", ["categorical", "dimensional"])
@pytest.mark.parametrize("n_convolutions", [0, 1])
def test_a_merged_head_gives_the_mean_of_the_logits(task, n_convolutions):
    import keras

    generator = np.random.default_rng(1)
    features = generator.normal(1, 2, (6, 40, 1, 3)).astype(np.float32)
    parameters, n_outputs = {"n_convolutions": n_convolutions, "filters": 4, "kernel_frequency": 8}, 2
    normalization = generator.normal(size=(40, 3)).astype(np.float32), np.full((40, 3), 4.0, np.float32)
    members = [
        heads.build_head(task, (40, 1, 3), n_outputs, parameters, seed, normalization, head_parameters.UTTERANCE)
        for seed in range(3)
    ]
    for member in members:  # biases start as 0
        for layer in member.get_layer("trunk").layers:
            layer.set_weights([weights + generator.normal(0, 0.2, weights.shape) for weights in layer.get_weights()])
    merged = heads.merge_heads(members, task, n_outputs, parameters)
    scores = np.stack([heads.as_columns(member(features)) for member in members])
    found = heads.as_columns(merged(features))
    np.testing.assert_allclose(found, heads.merge_scores(task, scores), atol=1e-4)  # float32 near the ends of tanh
    assert np.abs(scores - found).max() > 0.05  # the members differ

    output = "classes" if task == "categorical" else "valence_tanh"
    inner = merged.get_layer("trunk")
    assert inner.get_layer(output).units == (2 if task == "categorical" else 1)
    if n_convolutions:
        assert inner.get_layer("convolution1").units == 12
    logits = []
    for model in (*members, merged):
        trunk, stem = model.get_layer("trunk"), model.get_layer("stem").output
        before = keras.Model(trunk.input, trunk.get_layer(output).input)(keras.Model(model.input, stem)(features))
        kernel, bias = trunk.get_layer(output).get_weights()
        logits.append(np.asarray(before) @ kernel + bias)
    np.testing.assert_allclose(logits[-1], np.mean(logits[:-1], axis=0), atol=1e-4)


def test_merged_scores_bear_certainty():
    sure = np.array([[[1.0, 0.0]], [[1.0, 0.0]]], np.float32)
    np.testing.assert_allclose(heads.merge_scores("categorical", sure), [[1.0, 0.0]], atol=1e-6)
    ends = np.array([[[1.0, -1.0]], [[0.0, 1.0]]], np.float32)
    np.testing.assert_allclose(heads.merge_scores("dimensional", ends), [[0.5, 0.0]], atol=1e-6)
