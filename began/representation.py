"""A corpus through the frozen encoder, once: heads read the cache, for the encoder never changes (paper, section 2.3)."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from began.arrays import check_npy, open_npy, resume_npy, write_npy
from began.audio import hash_sound, load_recording
from began.chunks import CHUNK_SAMPLES
from began.dataset import start_ahead
from began.encoder import CHUNKS_PER_STEP, FrozenEncoder
from began.errors import InputError, counted, raise_resource_error
from began.files import StrPath, lock_folder
from began.find_sounds import list_files
from began.front_end import stream_chunks
from began.sound_hashes import RECORD, SoundHashes
from began.startup import count_cores
from began.utterance_encoder import SPREAD, UtteranceEncoder
from began.utterance_features import open_features

Owner = TypeVar("Owner")

FEATURES_VERSION = 1
"""Part of a cache's key. To be raised when a change of code, not of a constant in MODULES, gives a sound other features."""

MODULES = ("audio", "chunks", "front_end", "augmentation", "spectrogram", "encoder", "utterance_encoder")
"""Of `began`, from sound to features: all constants there are part of a cache's key, those that may be added, too."""


@dataclass(frozen=True)
class Representation:
    """The frozen encoder's features of the chunks of some sound files.

    Attributes:
        features: float32, shape (n_chunks, *feature_shape); mapped from the cache, read-only.
        utterance: int64, shape (n_chunks,), ascending; position in `paths` of the file that a chunk comes from.
    """

    features: np.ndarray
    utterance: np.ndarray


def batch_chunks(
    pieces: Iterable[tuple[Owner, np.ndarray]], size: int = CHUNKS_PER_STEP
) -> Iterator[tuple[list[tuple[Owner, int]], np.ndarray]]:
    """Cuts and joins the chunks of any number of files into steps of a network, at constant memory.

    Args:
        pieces: (owner, chunks) pairs, such as the blocks of one file after the other.
        size: chunks per step.
    Yields:
        (owners, chunks): `size` chunks, fewer in the last step, and whose they are: (owner, number of chunks) in order.
    """
    owners, waiting, n_waiting = [], [], 0
    for owner, chunks in pieces:
        while len(chunks):
            taken = chunks[: size - n_waiting]
            owners.append((owner, len(taken)))
            waiting.append(taken)
            n_waiting += len(taken)
            chunks = chunks[len(taken) :]
            if n_waiting == size:
                yield owners, np.concatenate(waiting)
                owners, waiting, n_waiting = [], [], 0
    if waiting:
        yield owners, np.concatenate(waiting)


def represent_corpus(
    encoder: FrozenEncoder,
    paths: StrPath | Iterable[StrPath],
    cache_dir: StrPath,
    *,
    tail: str = "overlap",
    hop_samples: int = CHUNK_SAMPLES,
    mask_seed: int | None = None,
    sound_hashes: Sequence[str] | None = None,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> Representation:
    """Returns the features of all chunks of some files, from the cache where they have been computed before.

    The cache's key is a hash of the encoder, its output and spectrogram settings, the chunking, the sound of every file, and
    version and constants of the code: whatever of these changes, the features are computed afresh. What the cache holds is
    compared with its checksums. Memory stays flat however many files there are. What an interrupted call has computed is lost:
    unlike statistics of utterances with all their copies, this is the work of minutes.

    Args:
        paths: sound files, or one.
        cache_dir: where caches lie; they can be removed at any time.
        tail, hop_samples: see `began.chunks.cut_chunks`.
        mask_seed: of the masks on the spectrograms (`began.augmentation.mask_spectrograms`); None sets none.
        sound_hashes: hashes of the files (`began.audio.hash_sound`), where they are known; else they are found, and kept.
        progress: wraps the iteration over the files, e.g. tqdm.
    Raises:
        InputError: a file cannot be read, or changes meanwhile, the cache is damaged, or no file gives a chunk.
    """
    paths = list_files(paths)
    chunking = {"tail": tail, "hop_samples": hop_samples}
    if sound_hashes is None:
        sound_hashes = _hash_sounds(paths, cache_dir)
    identity = {
        "code": _list_constants(),
        "encoder": encoder.sha256,
        "output": encoder.output,
        "spectrogram": encoder.config.to_dict(),
        **chunking,
        "mask_seed": mask_seed,
        "sounds": [*sound_hashes],
    }
    folder = _cache_folder(cache_dir, identity)
    with lock_folder(folder, wait=True):  # another run may be computing the same
        # counts.npy is written last: where it lies, the features are whole.
        if not (folder / "counts.npy").exists():
            _compute_features(encoder, zip(progress(paths), sound_hashes, strict=True), folder, chunking, mask_seed)
    counts = _read_cached(folder / "counts.npy", len(paths), np.dtype("<i8"), ())
    if counts.sum() == 0:
        found = f"no chunk in {counted(len(paths), 'file')} with tail={tail}"
        raise InputError.about("chunking", found, "at least one chunk", "choose tail=overlap or tail=pad")
    features = _read_cached(folder / "features.npy", int(counts.sum()), np.dtype("<f4"), encoder.feature_shape)
    return Representation(features, np.repeat(np.arange(len(paths)), counts))


def represent_utterances(
    encoder: UtteranceEncoder,
    paths: StrPath | Iterable[StrPath],
    cache_dir: StrPath,
    *,
    speeds: Sequence[float] = (1.0,),
    noisy_speeds: Sequence[float] = (),
    channel_speeds: Sequence[float] = (),
    sound_hashes: Sequence[str] | None = None,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> np.ndarray:
    """Returns the statistics of whole utterances, from the cache where they have been computed before, see `represent_corpus`.

    After an interruption, the next call with the same files goes on with the first that is missing.

    Args:
        paths: sound files, or one.
        speeds: of the copies of every file, see `began.audio.stream_audio`.
        noisy_speeds, channel_speeds: of further copies with noise, and with noise behind a random channel, see
            `began.augmentation.stream_augmented_speech`.
        sound_hashes, progress: see `represent_corpus`.
    Returns:
        float16, shape (n_files, n_copies, *encoder.feature_shape), copies in the order of the speeds; mapped from the cache,
        read-only.
    Raises:
        InputError: a file cannot be read, or changes meanwhile, or the cache is damaged.
    """
    paths = list_files(paths)
    if sound_hashes is None:
        sound_hashes = _hash_sounds(paths, cache_dir)
    identity = {
        "code": _list_constants(),
        "encoder": encoder.sha256,
        "components": encoder.components_sha256,
        "output": ["utterance", *encoder.feature_shape],
        "spectrogram": encoder.config.to_dict(),
        "speeds": [list(speeds), list(noisy_speeds), list(channel_speeds)],
        "sounds": [*sound_hashes],
    }
    altered = [*((speed, False) for speed in noisy_speeds), *((speed, True) for speed in channel_speeds)]
    shape, folder = (len(speeds) + len(altered), *encoder.feature_shape), _cache_folder(cache_dir, identity)

    with lock_folder(folder, wait=True):
        if not (folder / "features.npy").exists():
            embed = partial(_embed_copies, encoder, speeds, altered)
            # While one file goes through the network, another is heard: no thread has enough to do for all cores.
            pool = ThreadPoolExecutor(count_cores())
            try:
                with resume_npy(folder / "features.npy", np.dtype("<f2"), shape) as (n_done, append):
                    missing = list(zip(paths, sound_hashes, strict=True))[n_done:]
                    submitted = (pool.submit(embed, number, *file) for number, file in enumerate(missing, n_done))
                    jobs = start_ahead(submitted, 2 * count_cores())
                    for number, _ in enumerate(progress(paths)):
                        if number >= n_done:
                            append(next(jobs).result()[np.newaxis])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    return _read_cached(folder / "features.npy", len(paths), np.dtype("<f2"), shape)


def _embed_copies(
    encoder: UtteranceEncoder,
    speeds: Sequence[float],
    altered: Sequence[tuple[float, bool]],
    number: int,
    path: StrPath,
    sound: str,
) -> np.ndarray:
    """Returns the statistics of all copies of a file, whose number is part of the seed of what alters them."""
    held = load_recording(path)
    copies = [encoder.embed_file(held, speed) for speed in speeds]
    copies += [encoder.embed_file(held, speed, (number, n), channel) for n, (speed, channel) in enumerate(altered)]
    _refuse_changed(path, hash_sound(held), sound)
    return np.stack(copies)


def embed(
    files: StrPath | Iterable[StrPath],
    encoder: StrPath | None = None,
    *,
    front_end: str = "normalized",
    statistics: Sequence[str] = SPREAD,
    cache_dir: StrPath | None = None,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> np.ndarray:
    """Returns features of whole sound files, one row per file: statistics over time of all blocks of the frozen encoder.

    Args:
        files: sound files, or one; also as an array, or a column of a table.
        encoder, front_end, statistics: see `began.utterance_features.open_features`, whose `names` are those of the columns.
        cache_dir: where the features of every file are kept; None keeps none.
        progress: see `represent_corpus`.
    Returns:
        float32, shape (n_files, n_features), 40 features per statistic and channel of a block: 9,600 of the published encoder.
    Raises:
        InputError: a file cannot be read, or as `open_features` does.
    """
    files, features = list_files(files), open_features(encoder, front_end=front_end, statistics=statistics)
    if cache_dir is None:
        rows = [features.embed_file(file) for file in progress(files)]
    else:  # file by file, for the next call may be about other files
        sound_hashes = _hash_sounds(files, cache_dir)
        pairs = zip(progress(files), sound_hashes, strict=True)
        kept = (represent_utterances(features.encoder, [file], cache_dir, sound_hashes=[sound]) for file, sound in pairs)
        rows = [features.select(np.asarray(statistics[0, 0])) for statistics in kept]
    return np.array(rows, np.float32).reshape(len(files), len(features.names))


def _list_constants() -> dict[str, Any]:
    """Returns what decides on features and is in no file or setting: FEATURES_VERSION, and the constants of MODULES by name."""
    constants = {
        f"{module}.{name}": value
        for module in MODULES
        for name, value in vars(sys.modules[f"began.{module}"]).items()
        if name.isupper() and isinstance(value, (int, float, tuple))  # a lock is neither, nor is a message
    }
    return {"version": FEATURES_VERSION, **constants}


def _cache_folder(cache_dir: StrPath, identity: dict[str, Any]) -> Path:
    return Path(cache_dir) / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def _hash_sounds(paths: Sequence[StrPath], cache_dir: StrPath) -> list[str]:
    """Returns the hashes of sound files, read where they are not known, and keeps them."""
    hashes = SoundHashes(cache_dir)
    try:
        return [hashes.of(path) for path in paths]
    finally:  # an error, or Ctrl-C: what was read is not read again
        hashes.save()


def _refuse_changed(path: StrPath, sound: str, before: str) -> None:
    """Raises an InputError where a file that has just been read does not hold the sound that it held before."""
    if sound != before:
        found, expected = "a recording that was changed since the start", "it to stay as it is meanwhile"
        action = f"start again; if it says so again, remove {RECORD} of the cache, where hashes are kept"
        raise InputError.about(path, found, expected, action)


def _compute_features(
    encoder: FrozenEncoder, files: Iterable[tuple[Any, str]], folder: Path, chunking: dict[str, Any], mask_seed: int | None
) -> None:
    """Writes features.npy and then counts.npy; chunks of several short files share a step of the encoder."""
    counts: list[int] = []
    masks = None if mask_seed is None else np.random.default_rng(mask_seed)

    def pieces() -> Iterator[tuple[Any, np.ndarray]]:
        for path, sound in files:
            counts.append(0)
            held = load_recording(path)
            for chunks in stream_chunks(held, encoder.config.front_end, **chunking):
                counts[-1] += len(chunks)
                yield path, chunks
            _refuse_changed(path, hash_sound(held), sound)

    with write_npy(folder / "features.npy", np.dtype("<f4"), encoder.feature_shape) as append:
        for _, chunks in batch_chunks(pieces()):
            append(encoder.embed(chunks, masks))
    with write_npy(folder / "counts.npy", "<i8", ()) as append:
        append(np.array(counts))


def _read_cached(path: Path, n_rows: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Returns rows that `write_npy` wrote, mapped, after comparing all of them with their checksums."""
    try:
        rows, checksums = open_npy(path, dtype, shape)
        check_npy(path, rows, checksums)
        found = counted(len(rows), "row")
    except (OSError, ValueError) as error:
        raise_resource_error(error)
        rows, found = None, str(error)
    if rows is None or len(rows) != n_rows:
        action = "remove its folder: it is computed afresh"
        raise InputError.about(
            path, f"a damaged cache ({found})", f"{counted(n_rows, 'row')} of {dtype} and shape {shape}", action
        )
    return rows
