"""Principal components of what an encoder's blocks give, learned from unlabelled speech.

How the components of an utterance vary together, as correlations over time, tells emotions apart better than how single bands
do. They come from the recordings of the pre-training, without labels, so that the features of a corpus do not depend on its
split. They lie in components.npz beside encoder.keras, with those of the same network with initial weights, its baseline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from began.arrays import read_arrays
from began.encoder import LAYERS, N_MEL_BANDS, read_seed
from began.errors import InputError, raise_resource_error
from began.files import StrPath, describe_no_file, is_file, sha256_of

N_COMPONENTS = N_MEL_BANDS
"""Of each block: their correlations stand beside what there is of each band. On EmoDB's inner folds 24 scored a point less, and
64 no more."""

MAX_BYTES = 64_000_000
"""Of a file of components: far more than those of any encoder that can be opened."""

ORIGINS = ("trained", "initial")
"""Whose components a file holds: those of the trained encoder, and of the one with initial weights."""


def components_path(encoder: StrPath) -> Path:
    """Returns where the components of an encoder's file lie."""
    return Path(encoder).with_name("components.npz")


def has_components(encoder: StrPath) -> bool:
    """Whether the components of an encoder's file lie beside it, whole."""
    try:
        return all(read_components(encoder, origin) for origin in ORIGINS)
    except InputError:
        return False


def hash_components(blocks: Sequence[np.ndarray]) -> str:
    """Returns the SHA-256 of components, in hexadecimal digits."""
    return hashlib.sha256(b"".join(block.tobytes() for block in blocks)).hexdigest()


def read_components(encoder: StrPath, origin: str = "trained") -> list[np.ndarray]:
    """Returns the components of the blocks of an encoder's file, see `began.component_analysis.measure_components`.

    Args:
        encoder: the file.
        origin: one of ORIGINS.
    Raises:
        InputError: no such file, one that is damaged, or another encoder's.
    """
    path, action = components_path(encoder), "copy it from where the encoder comes from, or repeat its pre-training's command"
    if not is_file(path):
        raise InputError.about(path, describe_no_file(path), "the principal components of the encoder beside it", action)

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size / 1e6:.0f} MB")
        arrays = read_arrays(path.read_bytes())
        drawn = int(arrays.get("initial_seed", np.array(0)))  # earlier versions drew with 0, and named none
        sha256, blocks = str(arrays["encoder_sha256"]), [arrays[f"{origin}_block{number + 1}"] for number in range(len(LAYERS))]
        for number, block in enumerate(blocks, start=1):
            expected = N_MEL_BANDS, blocks[0].shape[1] * number, N_COMPONENTS  # of block 1, 2, 3, 4: n, 2n, 3n, 4n channels
            if block.dtype != np.float32 or block.shape != expected or not np.isfinite(block).all():
                raise ValueError(f"block {number}: not finite float32 numbers of shape {expected}")
    except (KeyError, IndexError, OSError, TypeError, ValueError) as error:
        raise_resource_error(error)
        raise InputError.about(path, f"a damaged file ({error})", "the principal components of an encoder", action) from error
    if sha256 != sha256_of(encoder):
        raise InputError.about(path, "those of another encoder", f"the principal components of {encoder}", action)
    if origin == "initial" and drawn != (seed := read_seed(encoder)):
        wanted = f"those of weights drawn with the encoder's own seed, {seed}"
        action = "remove it, and repeat the command of the pre-training, which measures them again"
        raise InputError.about(path, f"components of initial weights drawn with the seed {drawn}", wanted, action)
    return blocks
