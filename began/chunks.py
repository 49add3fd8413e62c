"""Waveforms to chunks of one second (paper, section 3.2), or of any length, at constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from began.audio import SAMPLE_RATE
from began.sound_file import BLOCK_SECONDS

CHUNK_SAMPLES = SAMPLE_RATE
"""Length of a chunk in samples: one second (paper, section 3.2)."""

TAILS = ("overlap", "pad", "drop")
"""What may happen to the samples behind the last full chunk, see `cut_chunks`."""


def cut_chunks(waveform: np.ndarray, *, hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap") -> np.ndarray:
    """Returns the 1-s chunks of a waveform.  Source: paper, section 3.2 (1-s chunks without overlap).

    Assumption: the paper does not say what happens behind the last full second. The authors' earlier code drops it, and
    with it every clip of a second or less; the default here loses no utterance.

    Args:
        waveform: float32, shape (n_samples,), at 16 kHz.
        hop_samples: distance of two chunks' starts; 16 000 is the paper's "without overlap".
        tail: "overlap", the last chunk ends where the utterance ends and overlaps the one before; "pad", the last chunk
            is filled with zeros; "drop", the tail is lost. An utterance under a second becomes one chunk, filled with
            zeros at its end, or none with "drop".
    Returns:
        float32, shape (n_chunks, 16000).
    Raises:
        ValueError: `waveform` is not one-dimensional, `hop_samples` is not in 1…16000, or `tail` is unknown.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform has shape {waveform.shape}; expected one dimension")
    return np.concatenate([np.zeros((0, CHUNK_SAMPLES), np.float32), *chunk_blocks([waveform], hop_samples, tail)])


def chunk_blocks(
    blocks: Iterable[np.ndarray], hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap", n_samples: int = CHUNK_SAMPLES
) -> Iterator[np.ndarray]:
    """Yields the chunks of consecutive blocks of a waveform at constant memory; together they equal `cut_chunks`.

    However far they overlap, at most a minute of them is yielded at a time, or one where they are longer.

    Args:
        blocks: float32, shape (n,) each.
        hop_samples, tail: see `cut_chunks`.
        n_samples: length of a chunk.
    """
    if tail not in TAILS:
        raise ValueError(f"tail is {tail!r}; expected one of {', '.join(TAILS)}")
    if not 1 <= hop_samples <= n_samples:
        raise ValueError(f"hop_samples is {hop_samples}; expected 1 to {n_samples}")
    n_together = max(1, int(BLOCK_SECONDS * SAMPLE_RATE) // n_samples)
    held = np.zeros(0, np.float32)  # samples still needed, the last chunk's among them
    start = 0  # of the next chunk, within `held`
    covered = 0  # samples of `held` that lie in a chunk already
    for block in blocks:
        block = block.astype(np.float32, copy=False)
        held = np.concatenate([held, block]) if len(held) else block
        if len(held) - start >= n_samples:
            chunks = np.lib.stride_tricks.sliding_window_view(held[start:], n_samples)[::hop_samples]
            for first in range(0, len(chunks), n_together):
                yield chunks[first : first + n_together].copy()
            covered = start + (len(chunks) - 1) * hop_samples + n_samples
            start += len(chunks) * hop_samples
            # A tail that overlaps looks back by at most one chunk.
            drop = max(0, min(start, len(held) - n_samples))
            held, start, covered = held[drop:], start - drop, covered - drop
    if tail == "drop" or len(held) <= covered:
        return
    rest = held[max(0, len(held) - n_samples) :] if tail == "overlap" else held[start:]
    yield np.pad(rest, (0, n_samples - len(rest)))[np.newaxis]
