"""Features of speech as a step of a scikit-learn pipeline: paths of sound files in, one row of features per file out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from began.files import StrPath
from began.representation import embed
from began.utterance_encoder import SPREAD
from began.utterance_features import open_features


class SpeechFeatures(TransformerMixin, BaseEstimator):
    """The features that `began.representation.embed` gives of sound files, for scikit-learn.

    The encoder is frozen and has seen no labels: `fit` learns nothing, so nothing of a test part reaches the training.

    Parameters:
        encoder: encoder.keras of a pre-training; None: the published one.
        front_end, statistics: see `began.utterance_features.open_features`.
        cache_dir: keeps the features of every file, so that the folds of a cross-validation compute them once; None keeps none.
    """

    def __init__(
        self,
        encoder: StrPath | None = None,
        *,
        front_end: str = "normalized",
        statistics: Sequence[str] = SPREAD,
        cache_dir: StrPath | None = None,
    ) -> None:
        self.encoder = encoder
        self.front_end = front_end
        self.statistics = statistics
        self.cache_dir = cache_dir

    def fit(self, files: Any = None, y: Any = None) -> Self:
        """Checks the settings, and returns itself."""
        open_features(self.encoder, front_end=self.front_end, statistics=self.statistics)
        return self

    def transform(self, files: StrPath | Iterable[StrPath]) -> np.ndarray:
        """Returns the features of sound files, float32 (n_files, n_features), in their order, as `embed` does."""
        return embed(files, self.encoder, front_end=self.front_end, statistics=self.statistics, cache_dir=self.cache_dir)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Returns the names of the features: object, shape (n_features,)."""
        names = open_features(self.encoder, front_end=self.front_end, statistics=self.statistics).names
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        return tags
