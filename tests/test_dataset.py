"""Sound files to a chunk store, and the store to batches."""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from began import dataset
from began.audio import hash_sound, read_audio
from began.chunks import cut_chunks
from began.dataset import ChunkStore, prepare_chunk_store
from began.errors import InputError
from began.files import lock_folder
from began.media_fragments import name_part
from began.spectrogram import SpectrogramConfig, compute_spectrograms

N_CHUNKS = 28  # 6 + 2 + 0 + 4 + 3 + 5 + 1 + 2 + 5: the utterance of half a second gives none


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(dataset, "FILES_PER_SHARD", 2)


def directly(paths, config) -> np.ndarray:
    chunks = np.concatenate([cut_chunks(read_audio(path), tail="drop") for path in paths])
    return compute_spectrograms(chunks, config).astype(np.float16).astype(np.float32)[..., np.newaxis]


@pytest.mark.parametrize("workers", [1, 3])
def test_store_holds_every_chunk_in_order(tmp_path, speech_files, small_config, small_shards, workers):
    store = prepare_chunk_store(speech_files, tmp_path / "store", small_config, workers=workers)
    expected = directly(speech_files, small_config)
    assert store.n_chunks == len(expected)
    np.testing.assert_array_equal(store.read(np.arange(store.n_chunks)), expected)
    assert len(list((tmp_path / "store").glob("shard-*.npy"))) == 5
    assert np.load(tmp_path / "store" / "shard-00000.npy").shape[1:] == (32, 8)  # an ordinary .npy file


@pytest.mark.parametrize("front_end", ["literal", "normalized"])
def test_a_store_of_parts_knows_the_sound_of_each(tmp_path, small_config, monkeypatch, front_end):
    config = replace(small_config, front_end=front_end)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(80_000), 16_000)
    parts = [name_part(tmp_path / "a.wav", start, start + 2.5) for start in (0, 2.5)]
    store = prepare_chunk_store(parts, tmp_path / "store", config)
    assert store.sounds == [hash_sound(part) for part in parts] and len(set(store.sounds)) == 2
    with monkeypatch.context() as patch:  # the file has not changed: nothing is read again
        patch.setattr(dataset, "hash_sound", lambda path: pytest.fail(f"{path} was read"))
        assert prepare_chunk_store(parts, tmp_path / "store", config).n_chunks == store.n_chunks
    with pytest.raises(InputError, match="a chunk store with other sources"):
        prepare_chunk_store([parts[0], name_part(tmp_path / "a.wav", 2.5, 4)], tmp_path / "store", config)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(1).standard_normal(80_000), 16_000)
    with pytest.raises(InputError, match="recordings that have changed since: 2 of 2"):
        prepare_chunk_store(parts, tmp_path / "store", config)


def test_progress_passes_every_file(tmp_path, speech_files, small_config, small_shards):
    passed = []

    def progress(files):
        for file in files:
            passed.append(file)
            yield file

    prepare_chunk_store(speech_files, tmp_path, small_config, progress=progress)
    assert passed == speech_files
    prepare_chunk_store(speech_files, tmp_path, small_config, progress=progress)
    assert passed == 2 * speech_files


def test_interrupted_preparation_goes_on(tmp_path, speech_files, small_config, small_shards):
    def interrupt(files):
        for number, file in enumerate(files):
            if number == 5:
                raise KeyboardInterrupt
            yield file

    with pytest.raises(KeyboardInterrupt):
        prepare_chunk_store(speech_files, tmp_path, small_config, progress=interrupt)
    gc.collect()
    finished = sorted(path.name for path in tmp_path.glob("*.npy"))
    assert finished == ["shard-00000.npy", "shard-00001.npy"]
    assert not list(tmp_path.glob(".writing-*"))
    with pytest.raises(InputError, match="finished shards"):
        ChunkStore(tmp_path)
    before = (tmp_path / "shard-00000.npy").stat().st_mtime_ns
    store = prepare_chunk_store(speech_files, tmp_path, small_config)
    np.testing.assert_array_equal(store.read(np.arange(store.n_chunks)), directly(speech_files, small_config))
    assert (tmp_path / "shard-00000.npy").stat().st_mtime_ns == before


def test_bad_file_stops_without_half_a_shard(tmp_path, speech_files, small_config):
    bad = tmp_path / "bad.flac"
    bad.write_bytes(speech_files[0].read_bytes()[:3000])
    with pytest.raises(InputError, match="bad.flac"):
        prepare_chunk_store([*speech_files, bad], tmp_path / "store", small_config)
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == [".lock", "store.json"]


def test_a_long_recording_that_changes_between_its_hash_and_its_chunks_is_refused(tmp_path, small_config, monkeypatch):
    path, real = tmp_path / "long.wav", dataset.hash_sound
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 61 * 16_000), 16_000)

    def hash_and_change(*arguments: object) -> str:
        sound = real(*arguments)
        rewrite(path)
        return sound

    monkeypatch.setattr(dataset, "hash_sound", hash_and_change)
    with pytest.raises(InputError, match=r"long\.wav: found a recording that was changed since the start"):
        prepare_chunk_store([path], tmp_path / "store", small_config)
    assert not list((tmp_path / "store").glob("shard*"))


def test_where_another_file_is_bad_a_long_one_is_not_read_to_its_end(tmp_path, small_config):
    path, stop = tmp_path / "long.wav", threading.Event()
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 61 * 16_000), 16_000)
    stop.set()
    with pytest.raises(CancelledError):
        dataset._read_spectrograms(path, small_config, stop)


def test_other_settings_or_files_are_refused(tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files, tmp_path, small_config)
    with pytest.raises(InputError, match="other spectrogram"):
        prepare_chunk_store(speech_files, tmp_path, SpectrogramConfig())
    with pytest.raises(InputError, match="other sources"):
        prepare_chunk_store(speech_files[1:], tmp_path, small_config)


def test_corpus_may_move(tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files, tmp_path / "store", small_config)
    moved = [shutil.copy(path, tmp_path) for path in speech_files]
    assert prepare_chunk_store(moved, tmp_path / "store", small_config).n_chunks == N_CHUNKS


def rewrite(path: Path) -> None:
    """Other samples in a file of the same name, size and time of change."""
    before, size = path.stat(), soundfile.info(path).frames
    samples = np.random.default_rng(5).integers(-9_000, 9_000, size)
    soundfile.write(path, samples.astype(np.int16), 16_000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("moved", [False, True])
def test_other_sounds_under_the_same_names_are_refused(tmp_path, small_config, small_shards, moved):
    paths = [tmp_path / f"{number}.wav" for number in range(5)]
    for number, path in enumerate(paths):
        samples = np.random.default_rng(number).integers(-9_000, 9_000, 40_000)
        soundfile.write(path, samples.astype(np.int16), 16_000)
    prepare_chunk_store(paths, tmp_path / "store", small_config)
    if moved:
        (tmp_path / "moved").mkdir()
        paths = [path.rename(tmp_path / "moved" / path.name) for path in paths]
    shards = {path: path.read_bytes() for path in (tmp_path / "store").glob("*.npy")}
    rewrite(paths[1])
    rewrite(paths[4])
    with pytest.raises(InputError, match=rf"changed since: 2 of 5 \({paths[1]}, {paths[4]}\)"):
        prepare_chunk_store(paths, tmp_path / "store", small_config)
    assert {path: path.read_bytes() for path in (tmp_path / "store").glob("*.npy")} == shards


def test_the_same_sounds_in_another_container_are_the_same_corpus(tmp_path, speech_files, small_config, monkeypatch):
    store = prepare_chunk_store(speech_files, tmp_path / "store", small_config)
    copies = [tmp_path / f"{path.stem}.wav" for path in speech_files]
    for path, copy in zip(speech_files, copies, strict=True):
        soundfile.write(copy, *soundfile.read(path, dtype="int16"))
    again = prepare_chunk_store(copies, tmp_path / "store", small_config)
    assert again.sounds == store.sounds == [hash_sound(path) for path in speech_files]
    monkeypatch.setattr(dataset, "hash_sound", None)  # they have been read once, and not again
    assert prepare_chunk_store(copies, tmp_path / "store", small_config).n_chunks == N_CHUNKS
    waveform, _ = soundfile.read(copies[0])
    soundfile.write(copies[0], waveform[::2], 8_000)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"1 of 9"):
        prepare_chunk_store(copies, tmp_path / "store", small_config)


def test_a_damaged_list_of_sounds_is_named(tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files, tmp_path, small_config)
    for content in ("", "{", "[1]", "null"):
        (tmp_path / "shard-00000.json").write_text(content)
        with pytest.raises(InputError, match="shard-00000.json: found a damaged list"):
            ChunkStore(tmp_path)


@pytest.mark.parametrize("change", [{"sources": None}, {"files_per_shard": 0}, {"spectrogram": 5}, "sources", "spectrogram"])
def test_a_damaged_description_is_named(change, tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files[:3], tmp_path, small_config)
    description = json.loads((tmp_path / "store.json").read_text())
    description = {k: v for k, v in description.items() if k != change} if isinstance(change, str) else description | change
    (tmp_path / "store.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"store\.json: found"):
        ChunkStore(tmp_path)


def test_two_preparations_of_one_folder(tmp_path, speech_files, small_config):
    with lock_folder(tmp_path), pytest.raises(InputError, match="another run"):
        prepare_chunk_store(speech_files, tmp_path, small_config)


def test_damaged_shard_is_refused(tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files, tmp_path, small_config)
    shard = tmp_path / "shard-00000.npy"
    whole = shard.read_bytes()
    for damaged in (whole[:-100], whole[:40], b"", b"x" * len(whole)):
        shard.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged shard"):
            ChunkStore(tmp_path)


def test_a_flipped_bit_in_a_shard_is_found(tmp_path, speech_files, small_config, small_shards):
    store = prepare_chunk_store(speech_files, tmp_path, small_config)
    shard = tmp_path / "shard-00001.npy"  # chunks 8 to 11, of the fourth file
    whole, offset, size = shard.read_bytes(), np.load(shard, mmap_mode="r").offset, 32 * 8 * 2
    for chunk in range(4):
        position = offset + chunk * size + 100 * chunk
        shard.write_bytes(whole[:position] + bytes([whole[position] ^ 64]) + whole[position + 1 :])
        store = ChunkStore(tmp_path)
        with pytest.raises(InputError, match=rf"shard-00001.npy: found a damaged shard \(chunk {chunk} has another checksum"):
            store.read(np.arange(store.n_chunks))
        others = np.delete(np.arange(store.n_chunks), 8 + chunk)
        assert len(store.read(others)) == N_CHUNKS - 1
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # the checksum itself
    with pytest.raises(InputError, match="chunk 3"):
        ChunkStore(tmp_path).read(np.array([11]))
    shard.unlink()
    store = prepare_chunk_store(speech_files, tmp_path, small_config)
    np.testing.assert_array_equal(store.read(np.arange(store.n_chunks)), directly(speech_files, small_config))


def test_no_store(tmp_path):
    with pytest.raises(InputError, match="store.json"):
        ChunkStore(tmp_path)


def test_only_short_utterances(tmp_path, speech_files, small_config):
    with pytest.raises(InputError, match="no chunk"):
        prepare_chunk_store(speech_files[2:3], tmp_path, small_config)


def test_no_shard_stays_open(tmp_path, speech_files, small_config, small_shards):
    """The whole LibriSpeech has more shards than a process may open files."""
    store = prepare_chunk_store(speech_files, tmp_path, small_config)
    order = np.random.default_rng(0).permutation(store.n_chunks)
    np.testing.assert_array_equal(store.read(order), directly(speech_files, small_config)[order])
    assert not [path for path in Path("/proc/self/fd").iterdir() if str(path.resolve()).startswith(str(tmp_path.resolve()))]


def test_a_store_of_version_01_is_taken(tmp_path, speech_files, small_config):
    prepare_chunk_store(speech_files, tmp_path, small_config)
    description = json.loads((tmp_path / "store.json").read_text())
    description["spectrogram"]["input_scale"] = 1.0
    (tmp_path / "store.json").write_text(json.dumps(description))
    assert prepare_chunk_store(speech_files, tmp_path, small_config).n_chunks == N_CHUNKS


def numbers(store: ChunkStore, batches, count: int) -> list[list[int]]:
    everything = store.read(np.arange(store.n_chunks)).reshape(store.n_chunks, -1)
    return [
        [int(np.flatnonzero((everything == chunk.ravel()).all(axis=1))[0]) for chunk in batch]
        for batch in itertools.islice(batches, count)
    ]


def test_every_epoch_passes_every_chunk_once_in_another_order(small_store_folder):
    store = ChunkStore(small_store_folder)
    assert store.n_chunks == N_CHUNKS
    steps = store.steps_per_epoch(5)
    assert steps == 5
    drawn = numbers(store, store.batches(5, seed=0), 2 * steps)
    first, second = sum(drawn[:steps], []), sum(drawn[steps:], [])
    assert len(set(first)) == len(set(second)) == 25
    assert first != second
    assert first != sum(numbers(store, store.batches(5, seed=1), steps), [])


def test_batches_go_on_from_any_step(small_store_folder):
    store = ChunkStore(small_store_folder)
    whole = list(itertools.islice(store.batches(4, seed=3), 15))
    for first in (1, 5, 6, 11):
        rest = list(itertools.islice(store.batches(4, seed=3, first_step=first), 15 - first))
        np.testing.assert_array_equal(rest, whole[first:])


@pytest.mark.parametrize("count", [2, 3])
def test_shards_of_a_batch_make_the_whole(small_store_folder, count):
    store = ChunkStore(small_store_folder)
    parts = [store.batches(6, seed=0, shard=(number, count)) for number in range(count)]
    for _, whole in zip(range(8), store.batches(6, seed=0), strict=False):
        np.testing.assert_array_equal(np.concatenate([next(part) for part in parts]), whole)


def test_store_smaller_than_a_batch(small_store_folder):
    with pytest.raises(InputError, match="28 chunks"):
        ChunkStore(small_store_folder).steps_per_epoch(29)


def test_real_speech_keeps_its_chunks(tmp_path, shared_data):
    paths = sorted((shared_data / "LibriSpeech").rglob("*.flac"))[:6]
    store = prepare_chunk_store(paths, tmp_path, SpectrogramConfig(), workers=2)
    np.testing.assert_array_equal(store.read(np.arange(store.n_chunks)), directly(paths, SpectrogramConfig()))
    assert -0.6 < store.read(np.arange(store.n_chunks)).mean() < 0.4  # zero-centred, more or less
