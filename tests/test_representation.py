"""The frozen encoder: refused when it does not fit, cached by everything that decides its output, and never changed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from began.audio import hash_sound
from began.errors import InputError
from began.keras_file import attach_json
from began.media_fragments import name_part
from began.sound_hashes import SoundHashes
from began.spectrogram import SpectrogramConfig

keras = pytest.importorskip("keras")

from began import representation  # noqa: E402
from began.encoder import freeze, load_frozen_encoder  # noqa: E402
from began.networks import build_encoder  # noqa: E402
from began.representation import batch_chunks, represent_corpus, represent_utterances  # noqa: E402
from began.utterance_encoder import UtteranceEncoder  # noqa: E402

CONFIG = SpectrogramConfig()


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    build_encoder(base_filters=2, latent_size=8, seed=1).save(path)
    attach_json(path, "spectrogram", CONFIG.to_dict())
    return path


@pytest.fixture
def sounds(tmp_path):
    generator = np.random.default_rng(0)
    paths = []
    for number, seconds in enumerate((0.4, 1.0, 2.6, 1.2)):
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], 0.1 * generator.standard_normal(int(seconds * 16_000)), 16_000)
    return paths


@pytest.mark.parametrize(("output", "shape"), [("map", (64, 4, 8)), ("embedding", (8,)), ("blocks", (64, 4, 20))])
def test_every_output_has_its_shape_and_follows_its_utterances(encoder_file, sounds, tmp_path, output, shape):
    encoder = load_frozen_encoder(encoder_file, output)
    representation = represent_corpus(encoder, sounds, tmp_path / "cache")
    assert encoder.feature_shape == shape
    assert representation.features.shape == (1 + 1 + 3 + 2, *shape)
    assert representation.utterance.tolist() == [0, 1, 2, 2, 2, 3, 3]


def test_parts_of_a_file_have_caches_of_their_own(encoder_file, sounds, tmp_path):
    encoder, path = load_frozen_encoder(encoder_file), sounds[2]
    first, second = (
        represent_corpus(encoder, [name_part(path, start, start + 1)], tmp_path / "cache").features for start in (0, 1)
    )
    whole = represent_corpus(encoder, [path], tmp_path / "cache").features
    np.testing.assert_allclose(np.concatenate([first, second]), whole[:2], atol=1e-4)


def test_masked_copies_have_caches_of_their_own_and_repeat(encoder_file, sounds, tmp_path):
    encoder = load_frozen_encoder(encoder_file)
    plain, first, second = (
        represent_corpus(encoder, sounds, tmp_path / "cache", mask_seed=seed).features for seed in (None, 0, 1)
    )
    assert not any(np.array_equal(one, other) for one, other in ((plain, first), (plain, second), (first, second)))
    again = represent_corpus(encoder, sounds, tmp_path / "another cache", mask_seed=0)
    np.testing.assert_array_equal(again.features, first)


def test_features_do_not_depend_on_the_files_around_them(encoder_file, sounds, tmp_path):
    encoder = load_frozen_encoder(encoder_file)
    together = represent_corpus(encoder, sounds, tmp_path / "cache")
    alone = represent_corpus(encoder, sounds[2:3], tmp_path / "cache")
    np.testing.assert_array_equal(together.features[together.utterance == 2], alone.features)


def test_the_cache_is_used_and_is_keyed_by_audio_encoder_and_chunking(encoder_file, sounds, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    encoder = load_frozen_encoder(encoder_file)
    first = represent_corpus(encoder, sounds, cache)
    entries = set(cache.iterdir())
    monkeypatch.setattr(type(encoder), "embed", lambda *_: pytest.fail("the cache was not used"))
    np.testing.assert_array_equal(represent_corpus(encoder, sounds, cache).features, first.features)
    monkeypatch.undo()
    represent_corpus(encoder, sounds, cache, tail="pad")
    represent_corpus(load_frozen_encoder(encoder_file, "embedding"), sounds, cache)
    soundfile.write(sounds[0], np.tile([0.1, -0.1], 4_000), 16_000)
    represent_corpus(encoder, sounds, cache)
    assert len(set(cache.iterdir()) - entries) == 3


CONSTANTS = {"spectrogram.FLOOR_DB": -40.0, "front_end.LOUD_LEVEL_DB": -30.0, "augmentation.NOISE_DB": (0.0, 1.0)}


def test_features_are_computed_afresh_where_constants_of_the_code_change(encoder_file, sounds, tmp_path, monkeypatch):
    encoder = replace(load_frozen_encoder(encoder_file), config=SpectrogramConfig.of("normalized"))
    over_utterances, paths = UtteranceEncoder.of(encoder), sounds[1:2]

    def represent():
        of_utterances = represent_utterances(over_utterances, paths, tmp_path, noisy_speeds=[1.0])
        return represent_corpus(encoder, paths, tmp_path).features, np.asarray(of_utterances)

    def list_caches():
        return set(tmp_path.rglob("features.npy"))

    before, caches = represent(), list_caches()
    for name, value in CONSTANTS.items():
        with monkeypatch.context() as patch:
            patch.setattr(f"began.{name}", value)
            after = represent()
        assert not np.array_equal(after[1], before[1]), name
        assert np.array_equal(after[0], before[0]) == name.startswith("augmentation"), name
    monkeypatch.setattr(representation, "FEATURES_VERSION", 0)
    represent()
    assert len(list_caches() - caches) == 2 * (len(CONSTANTS) + 1)
    monkeypatch.undo()
    for first, again in zip(before, represent(), strict=True):
        np.testing.assert_array_equal(first, again)


def test_files_are_read_once_for_their_hash_and_again_when_anything_changed(sounds, tmp_path, monkeypatch):
    read = []

    def hash_and_count(path):
        read.append(Path(path).name)
        return hash_sound(path)

    monkeypatch.setattr("began.sound_hashes.hash_sound", hash_and_count)

    def hash_all():
        hashes = SoundHashes(tmp_path / "cache")
        read.clear()
        found = [hashes.of(path) for path in sounds]
        hashes.save()
        return found

    first = hash_all()
    assert first == [hash_sound(path) for path in sounds] and len(read) == 4
    assert hash_all() == first and read == []
    before = sounds[1].stat()
    soundfile.write(sounds[1], soundfile.read(sounds[1], dtype="int16")[0][::-1], 16_000)  # the same size, and times
    os.utime(sounds[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hash_all()[1] != first[1] and read == ["1.wav"]
    os.utime(sounds[2])
    sounds[3].rename(tmp_path / "3.aside")
    sounds[0].rename(sounds[3])
    (tmp_path / "3.aside").rename(sounds[0])
    second = hash_all()
    assert [second[0], *second[2:]] == [first[3], first[2], first[0]] and read == ["0.wav", "2.wav", "3.wav"]
    (record,) = (tmp_path / "cache").rglob("hashes.json")
    content = record.read_text()
    for damaged in ("", "[]", content[:-9], content.replace(second[1], second[2])):  # then the files are read again
        record.write_text(damaged)
        assert hash_all() == second and len(read) == 4
    assert hash_all() == second and read == []
    monkeypatch.setattr("began.sound_hashes.name_decoders", lambda: "libsndfile 0.9, av none")
    assert hash_all() == second and len(read) == 4  # another version may decode MP3 to other last bits


def test_hashes_of_parts_are_those_of_how_parts_are_gone_to(monkeypatch):
    """Another way may begin beside the same sample: hashes that were kept would tell nothing of it."""
    from began import sound_hashes

    decoders = sound_hashes.name_decoders()
    monkeypatch.setattr(sound_hashes, "LEAD_SECONDS", 0)
    assert sound_hashes.name_decoders.__wrapped__() != decoders


@pytest.mark.parametrize("output", ["map", "embedding"])
@pytest.mark.parametrize("member", ["features.npy", "counts.npy"])
def test_a_flipped_bit_in_the_cache_is_found(encoder_file, sounds, tmp_path, member, output):
    encoder = load_frozen_encoder(encoder_file, output)
    features = np.array(represent_corpus(encoder, sounds, tmp_path).features)
    (path,) = tmp_path.rglob(member)
    whole = path.read_bytes()
    data = np.lib.format.open_memmap(path, mode="r")
    for position in {*np.random.default_rng(0).integers(data.offset, len(whole), 20), data.offset, len(whole) - 1}:
        flipped = bytes([whole[position] ^ 1 << int(position) % 8])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        with pytest.raises(InputError, match=rf"{member}: found a damaged cache \(row \d+ has another checksum"):
            represent_corpus(encoder, sounds, tmp_path)
    path.write_bytes(whole)
    np.testing.assert_array_equal(represent_corpus(encoder, sounds, tmp_path).features, features)


def test_a_damaged_cache_is_found_wherever_it_is_damaged(encoder_file, sounds, tmp_path):
    """Also in its header, and when it is cut, or two rows have changed places."""
    encoder = load_frozen_encoder(encoder_file, "embedding")
    represent_corpus(encoder, sounds, tmp_path)
    (path,) = tmp_path.rglob("features.npy")
    whole, offset = path.read_bytes(), np.lib.format.open_memmap(path, mode="r").offset
    text = whole[:offset].rstrip()
    places = range(len(text))
    damaged = [whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :] for place in places]
    damaged += [whole[:-1], whole[:-4], whole + b"\0", whole[: offset + 7], b"", whole[:20]]
    damaged.append(whole[:offset] + whole[offset + 32 : offset + 64] + whole[offset : offset + 32] + whole[offset + 64 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(InputError, match="features.npy: found a damaged cache"):
            represent_corpus(encoder, sounds, tmp_path)


def test_hashes_of_what_was_read_before_an_error_are_kept(sounds, tmp_path, monkeypatch):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError):
        representation._hash_sounds([sounds[0], tmp_path / "broken.wav"], tmp_path / "cache")
    monkeypatch.setattr("began.sound_hashes.hash_sound", None)
    assert len(representation._hash_sounds([sounds[0]], tmp_path / "cache")[0]) == 64


def test_a_file_that_changes_meanwhile_leaves_no_features(encoder_file, sounds, tmp_path):
    def change(paths):
        yield paths[0]
        soundfile.write(paths[1], np.tile([0.1, -0.1], 8_000), 16_000)
        yield from paths[1:]

    encoder = load_frozen_encoder(encoder_file)
    with pytest.raises(InputError, match=r"1\.wav: found a recording that was changed since the start"):
        represent_corpus(encoder, sounds, tmp_path / "cache", progress=change)
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert len(represent_corpus(encoder, sounds, tmp_path / "cache").features) == 7


def test_an_interrupted_computation_leaves_nothing_that_is_read(encoder_file, sounds, tmp_path):
    encoder = load_frozen_encoder(encoder_file)

    def interrupted(files):
        yield from files[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        represent_corpus(encoder, sounds, tmp_path / "cache", progress=interrupted)
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert len(np.unique(represent_corpus(encoder, sounds, tmp_path / "cache").utterance)) == 4


def test_steps_are_full_and_say_whose_chunks_they_hold():
    pieces = [("a", 3), ("b", 0), ("c", 1), ("c", 9), ("d", 2)]
    chunks = np.arange(15)[:, np.newaxis]
    ends = np.cumsum([n for _, n in pieces])
    steps = list(batch_chunks([(owner, chunks[end - n : end]) for (owner, n), end in zip(pieces, ends, strict=True)], size=4))
    assert [owners for owners, _ in steps] == [[("a", 3), ("c", 1)], [("c", 4)], [("c", 4)], [("c", 1), ("d", 2)]]
    np.testing.assert_array_equal(np.concatenate([step for _, step in steps]), chunks)
    assert list(batch_chunks([])) == []


def test_an_encoder_of_another_size_is_refused():
    with pytest.raises(InputError, match="found a model with input"):
        freeze(build_encoder((64, 16, 1), base_filters=2), CONFIG, "hash")


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "foreign", "another network"])
def test_damaged_and_foreign_files_are_named(encoder_file, tmp_path, damage):
    path = tmp_path / "encoder.keras"
    if damage == "text":
        path.write_text("not a model")
    elif damage == "cut":
        path.write_bytes(encoder_file.read_bytes()[:-2000])
    elif damage == "foreign":
        keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)]).save(path)
    elif damage == "another network":
        build_encoder((64, 16, 1), base_filters=2).save(path)
        attach_json(path, "spectrogram", CONFIG.to_dict())
    with pytest.raises(InputError, match="encoder.keras: found"):
        load_frozen_encoder(path)
