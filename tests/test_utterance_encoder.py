"""Whole utterances through the frozen encoder: any length, in pieces, as a network, and from the cache."""

import shutil

import numpy as np
import pytest
import soundfile

keras = pytest.importorskip("keras")

from began import audio, onnx_network, utterance_encoder  # noqa: E402
from began.components import read_components  # noqa: E402
from began.encoder import load_frozen_encoder, load_initial_encoder, mel_filters  # noqa: E402
from began.errors import InputError  # noqa: E402
from began.files import sha256_of  # noqa: E402
from began.keras_file import attach_json  # noqa: E402
from began.media_fragments import name_part  # noqa: E402
from began.onnx_network import OnnxNetwork  # noqa: E402
from began.representation import represent_utterances  # noqa: E402
from began.spectrogram import compute_spectrograms  # noqa: E402
from began.utterance_encoder import SPREAD, STATISTICS, UtteranceEncoder, fill_up, name_statistics, pool_bands  # noqa: E402
from experiments.evaluation.methods import describe_encoder  # noqa: E402


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), components=read_components(tiny_encoder))


@pytest.fixture(scope="module")
def spectrogram():
    return np.random.default_rng(0).uniform(-1, 1, (512, 400)).astype(np.float32)


def test_a_second_gives_what_the_chunk_gives(tiny_encoder, encoder):
    chunk = (np.random.default_rng(0).standard_normal((1, 16_000)) / 10).astype(np.float32)
    last = encoder.model.predict_on_batch(compute_spectrograms(chunk, encoder.config)[..., np.newaxis])[3]
    of_chunk = load_frozen_encoder(tiny_encoder).embed(chunk)
    expected = np.einsum("nftc,fk->ntkc", of_chunk, mel_filters(of_chunk.shape[1]))
    np.testing.assert_allclose(last, expected, atol=1e-5)


@pytest.mark.parametrize("n_pieces", [1, 7, 400])
def test_pieces_give_what_the_whole_gives(encoder, spectrogram, monkeypatch, n_pieces):
    whole = encoder.embed([spectrogram])
    monkeypatch.setattr(utterance_encoder, "BLOCK_FRAMES", 64)
    pieces = encoder.embed(np.array_split(spectrogram, n_pieces, axis=1))
    assert whole.shape == encoder.feature_shape
    np.testing.assert_allclose(pieces, whole, atol=1e-5)


def test_the_graph_that_runs_gives_what_keras_gives(tiny_encoder, encoder, spectrogram, monkeypatch):
    pytest.importorskip("onnxruntime")
    assert isinstance(encoder.graph, OnnxNetwork)
    monkeypatch.setattr(onnx_network, "has_accelerator", lambda: True)
    of_keras = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), components=read_components(tiny_encoder))
    assert of_keras.graph is of_keras.model
    for n_frames in (32, 96, 400):
        piece = [spectrogram[:, :n_frames]]
        np.testing.assert_allclose(encoder.embed(piece), of_keras.embed(piece), atol=2e-5)


def test_a_network_without_a_graph_stays_with_keras():
    inputs = keras.Input((512, None, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same", activation="gelu")(inputs))
    assert onnx_network.as_onnx(model) is model


def test_statistics_are_those_of_numpy(encoder, spectrogram):
    given = encoder.model.predict_on_batch(spectrogram[np.newaxis, :, :, np.newaxis])
    first, components = given[0][0], given[4][0]  # (200, 40, 2) and (200, 40)
    found, names = encoder.embed([spectrogram])[:, 0], encoder.statistics
    mean = first.mean(axis=0)
    expected = (mean, first.std(axis=0), first.max(axis=0) - mean, first.min(axis=0) - mean)
    for statistic, values in zip(STATISTICS, expected, strict=True):
        np.testing.assert_allclose(found[:, names == f"block1 {statistic}"], values, atol=1e-5)
    np.testing.assert_allclose(found[:, names == "block1 correlations"], np.corrcoef(components.T), atol=0.05)
    assert list(dict.fromkeys(names)) == list(dict.fromkeys(name_statistics(encoder.n_channels)))


def test_without_components_there_are_no_correlations(tiny_encoder, encoder, spectrogram):
    without = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder))
    shared = ~np.char.endswith(encoder.statistics, "correlations")
    assert list(without.statistics) == list(encoder.statistics[shared])
    assert without.sha256 == encoder.sha256 and without.components_sha256 == "" != encoder.components_sha256
    np.testing.assert_array_equal(without.embed([spectrogram]), encoder.embed([spectrogram])[..., shared])


def test_the_network_pools_as_the_sums_do(encoder, spectrogram):
    names = encoder.statistics
    for chosen in (list(dict.fromkeys(names)), [f"block{block} {name}" for block in (1, 4) for name in SPREAD]):
        network = keras.Model(encoder.model.input, pool_bands(encoder.model.outputs, chosen))
        pooled = network.predict_on_batch(spectrogram[np.newaxis, :, :, np.newaxis])[0]
        np.testing.assert_allclose(pooled, encoder.embed([spectrogram])[..., np.isin(names, chosen)], atol=2e-5)


def test_lengths_are_filled_up_with_silence(encoder):
    silence = compute_spectrograms(np.zeros((1, 16_000), np.float32), encoder.config)[0, 0, 16]
    for n_frames, expected in ((0, 8), (1, 8), (8, 8), (9, 16)):
        filled = fill_up(np.ones((512, n_frames), np.float32), encoder.config)
        assert filled.shape == (512, expected)
        assert (filled[:, n_frames:] == silence).all()


def test_initial_weights_are_others(tiny_encoder, encoder, spectrogram):
    drawn = UtteranceEncoder.of(load_initial_encoder(tiny_encoder), components=read_components(tiny_encoder, "initial"))
    assert drawn.sha256 != encoder.sha256
    assert np.abs(drawn.embed([spectrogram]) - encoder.embed([spectrogram])).max() > 0.01


def test_initial_weights_are_drawn_with_the_seed_of_the_training(tiny_encoder, tmp_path):
    """So that encoders of several seeds have baselines of several draws; without a seed in the file it is 0."""
    drawn = {}
    for seed in (None, 0, 1, 2**31 - 1):
        path = tmp_path / f"{seed}.keras"
        shutil.copy(tiny_encoder, path)
        if seed is not None:
            attach_json(path, "pretraining", {"seed": seed})
        drawn[seed] = load_initial_encoder(path).model.get_weights()[0]
        assert describe_encoder(path, initial_weights=True).get("initial_seed", 0) == (seed or 0)
    assert (drawn[None] == drawn[0]).all()
    assert np.abs(drawn[1] - drawn[0]).max() > 0.01 and np.abs(drawn[2**31 - 1] - drawn[1]).max() > 0.01
    arrays = dict(np.load(tiny_encoder.with_name("components.npz"))) | {"encoder_sha256": np.array(sha256_of(path))}
    np.savez(tmp_path / "components.npz", **arrays)  # as earlier versions drew them for every encoder
    assert len(read_components(path)) == 4
    with pytest.raises(InputError, match="initial weights drawn with the seed 0; expected those of weights drawn with"):
        read_components(path, "initial")
    attach_json(path, "pretraining", {"seed": "one"})
    with pytest.raises(InputError, match="seed 'one'"):
        load_initial_encoder(path)


def test_a_corpus_is_embedded_once_for_all_speeds(encoder, tmp_path):
    paths = []
    for number, seconds in enumerate((0.2, 1.5)):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], 0.1 * np.random.default_rng(number).standard_normal(int(seconds * 16_000)), 16_000)
    seen = []
    options = {"speeds": (1.0, 0.9), "progress": lambda files: (seen.append(path) or path for path in files)}
    first = represent_utterances(encoder, paths, tmp_path / "cache", **options)
    again = represent_utterances(encoder, paths, tmp_path / "cache", **options)
    assert first.shape == (2, 2, *encoder.feature_shape) and seen == paths
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[1, 1], encoder.embed_file(paths[1], 0.9), rtol=1e-3, atol=1e-4)


@pytest.fixture
def noises(tmp_path):
    """Two files of a second and a half of noise."""
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for number, path in enumerate(paths):
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(24_000), 16_000)
    return paths


@pytest.mark.parametrize("front_end", ["literal", "normalized"])
def test_parts_of_a_file_are_utterances_of_their_own(tiny_encoder, noises, tmp_path, front_end):
    encoder = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), front_end)
    soundfile.write(tmp_path / "both.wav", np.concatenate([soundfile.read(path)[0] for path in noises]), 16_000)
    parts = [name_part(tmp_path / "both.wav", 0, 1.5), name_part(tmp_path / "both.wav", 1.5, 3)]
    options = {"noisy_speeds": (1.0,), "channel_speeds": (0.9,)} if front_end == "normalized" else {}
    of_parts = represent_utterances(encoder, parts, tmp_path / "cache", **options)
    np.testing.assert_array_equal(of_parts, represent_utterances(encoder, noises, tmp_path / "other", **options))
    assert not np.array_equal(of_parts[0], of_parts[1])


def test_the_cache_knows_utterances_by_sound(encoder, noises, tmp_path):
    seen = []
    options = {"progress": lambda files: (seen.append(path) or path for path in files)}
    first = represent_utterances(encoder, noises, tmp_path / "cache", **options)
    flac = [path.with_suffix(".flac") for path in noises]
    for path, compressed in zip(noises, flac, strict=True):
        soundfile.write(compressed, soundfile.read(path)[0], 16_000)
    np.testing.assert_array_equal(represent_utterances(encoder, flac, tmp_path / "cache", **options), first)
    assert seen == noises
    soundfile.write(noises[1], soundfile.read(noises[1])[0][::-1], 16_000)
    assert not np.array_equal(represent_utterances(encoder, noises, tmp_path / "cache", **options)[1], first[1])


def test_an_utterance_that_changes_meanwhile_leaves_no_statistics(encoder, noises, tmp_path):
    def change(paths):  # after the hashes were taken, and before the first file is read again
        soundfile.write(paths[1], soundfile.read(paths[1])[0][::-1], 16_000)
        yield from paths

    with pytest.raises(InputError, match=r"b\.wav: found a recording that was changed since the start"):
        represent_utterances(encoder, noises, tmp_path / "cache", progress=change)
    assert not list((tmp_path / "cache").rglob("features.npy"))


def test_an_interrupted_embedding_goes_on_where_it_was(encoder, noises, tmp_path, monkeypatch):
    def interrupt(paths):
        for number, path in enumerate(paths):
            if number == 1:
                raise KeyboardInterrupt
            yield path

    options = {"speeds": (1.0, 0.9), "noisy_speeds": (1.1,)}
    with pytest.raises(KeyboardInterrupt):
        represent_utterances(encoder, noises, tmp_path / "cache", progress=interrupt, **options)
    embedded, seen = [], []
    embed_file = UtteranceEncoder.embed_file
    with monkeypatch.context() as patch:
        patch.setattr(UtteranceEncoder, "embed_file", lambda *arguments: embedded.append(1) or embed_file(*arguments))
        progress = lambda paths: (seen.append(path) or path for path in paths)  # noqa: E731
        resumed = represent_utterances(encoder, noises, tmp_path / "cache", progress=progress, **options)
    assert len(embedded) == 3 and seen == noises  # the copies of the second file; progress is shown of all
    np.testing.assert_array_equal(resumed, represent_utterances(encoder, noises, tmp_path / "other", **options))
    (folder,) = (path.parent for path in (tmp_path / "cache").rglob("features.npy"))
    assert {path.name for path in folder.iterdir()} == {"features.npy", ".lock"}


def test_a_flipped_bit_among_the_statistics_is_found(encoder, noises, tmp_path):
    represent_utterances(encoder, noises, tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob("features.npy")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"features\.npy: found a damaged cache \(row \d has another checksum"):
        represent_utterances(encoder, noises, tmp_path / "cache")


@pytest.mark.parametrize("front_end", ["literal", "normalized"])
def test_copies_of_a_file_that_is_read_once_are_those_that_are_streamed(tiny_encoder, noises, tmp_path, monkeypatch, front_end):
    encoder, opened = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), front_end), []
    altered = [(1.1, False), (0.9, False), (0.9, True)] if front_end == "normalized" else []
    expected = [
        [encoder.embed_file(path, speed) for speed in (1.0, 0.9)]
        + [encoder.embed_file(path, speed, (number, n), channel) for n, (speed, channel) in enumerate(altered)]
        for number, path in enumerate(noises)
    ]
    sounds = [audio.hash_sound(path) for path in noises]
    open_audio = audio.open_audio
    monkeypatch.setattr(audio, "open_audio", lambda path: opened.append(path) or open_audio(path))
    copies = {"speeds": (1.0, 0.9), "sound_hashes": sounds}
    copies |= {"noisy_speeds": (1.1, 0.9), "channel_speeds": (0.9,)} if altered else {}
    found = represent_utterances(encoder, noises, tmp_path / "cache", **copies)
    np.testing.assert_array_equal(found, np.array(expected, np.float16))
    assert sorted(opened) == noises
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 1)  # a long file is streamed, as often as it is heard
    streamed = represent_utterances(encoder, noises, tmp_path / "other", **copies)
    np.testing.assert_allclose(streamed, found, rtol=2e-3, atol=1e-3)
    assert len(opened) > 2 * len(noises) + 2
