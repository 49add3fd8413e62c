"""Principal components of the blocks: measured, kept beside the encoder, and refused where they do not belong to it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

from began import component_analysis, components
from began.component_analysis import measure_components
from began.components import components_path, read_components
from began.errors import InputError
from began.utterance_encoder import Moments


def test_components_of_speech_are_uncorrelated_and_of_unit_variance(tiny_encoder, speech_files):
    from began.encoder import load_frozen_encoder
    from began.front_end import stream_speech
    from began.spectrogram import stream_spectrogram
    from began.utterance_encoder import UtteranceEncoder

    encoder = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), "normalized")
    projected = []
    for path in speech_files:
        pieces = encoder.stream_bands(stream_spectrogram(stream_speech(path, "normalized"), encoder.config))
        projected += [np.einsum("tkc,kcj->tj", bands[1], read_components(tiny_encoder)[1]) for bands in pieces]
    np.testing.assert_allclose(np.cov(np.concatenate(projected).T), np.eye(40), atol=1e-2)
    measured = measure_components(encoder, speech_files)
    assert all(np.array_equal(*pair) for pair in zip(measured, read_components(tiny_encoder), strict=True))


def find_components(*parts: np.ndarray) -> np.ndarray:
    moments = Moments(parts[0][0].size)
    for part in parts:
        moments.add(part)
    return component_analysis._find_components(moments)


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    frames = np.random.default_rng(0).normal(3.0, size=(2000, 40, 2)) * np.linspace(1, 5, 80).reshape(40, 2)
    found = find_components(*np.array_split(frames.astype(np.float32), 3)).reshape(80, 40)
    pca = PCA(40).fit(frames.reshape(2000, 80))
    expected = (pca.components_ / np.sqrt(pca.explained_variance_)[:, np.newaxis]).T
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)


def test_too_little_speech_gives_fewer_components():
    found = find_components(np.random.default_rng(0).normal(size=(16, 40, 2)).astype(np.float32))
    assert found.shape == (40, 2, 40) and not found[..., 15:].any() and found[..., :15].any(axis=(0, 1)).all()
    assert not find_components(np.ones((1, 40, 2), np.float32)).any()


def test_they_are_kept_for_trained_and_for_initial_weights(tiny_encoder):
    trained, initial = (read_components(tiny_encoder, origin) for origin in components.ORIGINS)
    assert [block.shape for block in trained] == [(40, 2 * number, 40) for number in (1, 2, 3, 4)]
    assert all(np.abs(a - b).max() > 0.01 for a, b in zip(trained, initial, strict=True))


def test_recordings_without_speech_are_passed_over(tiny_encoder, speech_files, tmp_path):
    from began.encoder import load_frozen_encoder
    from began.utterance_encoder import UtteranceEncoder

    encoder, click = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), "normalized"), np.zeros(16_000)
    click[8_000] = 0.5
    soundfile.write(tmp_path / "click.wav", click, 16_000)
    measured = [measure_components(encoder, paths) for paths in (speech_files, [tmp_path / "click.wav", *speech_files])]
    assert all(np.array_equal(*pair) for pair in zip(*measured, strict=True))
    with pytest.raises(InputError, match="principal components: found no speech"):
        measure_components(encoder, [tmp_path / "click.wav"])


@pytest.mark.parametrize(
    "fault", ["absent", "another encoder's", "cut", "too few blocks", "not finite", "of another shape", "compressed"]
)
def test_what_is_not_theirs_is_refused(tiny_encoder, tmp_path, fault, monkeypatch):
    encoder = tmp_path / "encoder.keras"
    shutil.copy(tiny_encoder, encoder)
    content = dict(np.load(components_path(tiny_encoder)))
    if fault == "another encoder's":
        content["encoder_sha256"] = np.array("0" * 64)
    if fault == "too few blocks":
        content = {name: value for name, value in content.items() if name != "trained_block3"}
    if fault == "of another shape":
        content["trained_block2"] = content["trained_block2"][:, :3]
    if fault == "not finite":
        content["trained_block2"][0, 0, 0] = np.nan
    if fault != "absent":
        np.savez(components_path(encoder), **content)
    if fault == "compressed":
        np.savez_compressed(components_path(encoder), **{**content, "trained_block2": np.zeros((40, 4, 4000), np.float32)})
    if fault == "cut":
        path = components_path(encoder)
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError) as raised:
        read_components(encoder)
    assert "components.npz" in str(raised.value) and "pre-training's command" in str(raised.value)
    assert not components.has_components(encoder)
    assert components.has_components(tiny_encoder)


def test_large_files_are_not_read(tiny_encoder, monkeypatch):
    monkeypatch.setattr(components, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="a damaged file"):
        read_components(tiny_encoder)
