"""The record of a condition, and the words that it is written in; `experiments.evaluation.conditions` lists those of tables.

A condition is one row of a table: a corpus, a protocol, a method with its options. Commands run them, reports read them.
"""

import re
from dataclasses import dataclass, replace

from classifiers.metrics import CATEGORICAL

PROTOCOLS = {
    "per_speaker": "each speaker alone, about 60 % of the utterances for training and 40 % for testing, stratified by emotion, "
    "split anew for every run",
    "official_validation": "official training part, tested on the official validation part",
    "source_disjoint": "official training part without the videos that also occur in the validation part, tested on that",
    "official_test": "official training and validation part, selected on the latter, tested on the official test part",
    "source_disjoint_test": "official training and validation part without the videos that also occur in the test part, tested "
    "on that",
    "leave_one_speaker_out": "leave one speaker out",
    "official": "the split that the manifest names",
    "k_fold": "{folds} folds",
    "another_corpus": "trained on another corpus, tested on each speaker of this one, without {set_aside} utterances that are "
    "drawn for every run",
}
"""Name of a protocol in `experiments.evaluation.protocols` -> how it splits the data."""

_CHUNKS_SPLIT = "chunks in place of utterances"


def has_speakers_as_folds(protocol: object) -> bool:
    """True where every fold of a protocol, as config.json words it, is one speaker."""
    return "speaker" in str(protocol)


def draws_test_part_per_run(protocol: object) -> bool:
    """True where every run has a test part of its own, so that other runs are tested on other recordings."""
    return "for every run" in str(protocol)


def splits_chunks(protocol: object) -> bool:
    """True where chunks were split in place of utterances."""
    return _CHUNKS_SPLIT in str(protocol)


CORPUS_TITLES = {"savee": "SAVEE", "omg": "OMG-Emotion", "emodb": "EmoDB"}
"""Name of a loader -> name of the corpus, for readers."""

LEAKING = "LEAKING: chunks of one utterance lie in the training and in the test part"
SPEAKERS_NORMALIZED = "all recordings of a speaker, the test speaker included, are standardised together, without their labels"
SPACE_SEEN = "the ranges of the search were narrowed after seeing test scores of four EmoDB speakers"
DEFAULT_HEAD_SEEN = "the parameters of the default head were chosen on test scores of four EmoDB speakers"
SPEAKERS_ADAPTED = (
    "recordings of the test speaker, some or all of those that are tested on, were adapted to without their labels"
)
STATISTICS_SEEN = "the method was designed after seeing test scores of EmoDB"
FRONT_END_SEEN = "the front end was designed after seeing test scores of EmoDB"
LEVEL_SEEN = (
    "the front end, which keeps each recording's loudness, was selected on training parts that together contain every recording"
)
FIRST_POINT_SEEN = "one starting point of the search was chosen because it did well on one of the four speakers"
UTTERANCE_SEEN = (
    "pooling and front end were designed after seeing test scores of EmoDB, everything else was chosen on four of its ten "
    "speakers"
)


@dataclass(frozen=True)
class Method:
    """What is known of a method beside its code (`experiments.evaluation.methods.prepare`).

    Attributes:
        settings: those that, beside the seed, decide what it gives.
        options: fields of its conditions that do.
        levels: that are scored; "recording" and "utterance" of methods that read whole utterances.
        needs_encoder: False of those with features of their own.
        seen_on_emodb: what was chosen after seeing its test scores.
    """

    settings: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    levels: tuple[str, ...] = ("utterance",)
    needs_encoder: bool = True
    seen_on_emodb: str = ""


_CHUNKS, _WHOLE_UTTERANCES = ("chunk", "utterance"), ("recording", "utterance")  # levels
_HAND_CRAFTED = Method(options=("front_end",), needs_encoder=False, seen_on_emodb=FRONT_END_SEEN)
METHODS = {
    "utterance": Method(
        settings=("max_evals", "class_weight"),
        options=("front_end", "copies", "altered_copies", "search"),
        levels=_WHOLE_UTTERANCES,
        seen_on_emodb=UTTERANCE_SEEN,
    ),
    "head": Method(
        settings=("max_evals", "epochs", "tail", "pooling", "class_weight"),
        options=("features", "hop_seconds", "masked_copies", "search"),
        levels=_CHUNKS,
        seen_on_emodb=SPACE_SEEN,
    ),
    "statistics": Method(
        settings=("class_weight",),
        options=("front_end", "normalize_speakers", "copies", "correlations"),
        levels=_WHOLE_UTTERANCES,
        seen_on_emodb=STATISTICS_SEEN,
    ),
    "whole": Method(
        settings=("epochs", "tail", "pooling"), options=("learning_rate",), levels=_CHUNKS, seen_on_emodb=SPACE_SEEN
    ),
    "functionals": _HAND_CRAFTED,
    "egemaps": _HAND_CRAFTED,
    "compare_2016": _HAND_CRAFTED,
    "majority": Method(needs_encoder=False),
}
"""Name of a method -> what is known of it."""

ON_UTTERANCES = tuple(name for name, method in METHODS.items() if method.levels == _WHOLE_UTTERANCES)
"""Methods that read the encoder's statistics of whole utterances."""

HEADS = tuple(name for name, method in METHODS.items() if "max_evals" in method.settings)
"""Methods of heads whose parameters are searched: the others try all of a small grid, or nothing."""

ADAPTED_TO: dict[str, int | None] = {"5": 5, "10": 10, "20": 20, "all": None}
"""How many recordings of a speaker a head is adapted to, in words -> their number; None: all that there are."""

SHOTS = (0, 5, 10, 20)
"""Labelled utterances of a corpus that a classifier of another one gets."""

SET_ASIDE = max(SHOTS)
"""Utterances of that corpus that are never tested on: the labelled ones are the first of them, whatever their number."""


@dataclass(frozen=True)
class Condition:
    """What is run, and how.

    Attributes:
        experiment, name: of the results' folder.
        description: what distinguishes the condition, for tables.
        corpus: name of the loader in `experiments.corpora`; of the one that is tested on.
        protocol: key of PROTOCOLS.
        folds: of the protocol "k_fold".
        chunk_split: split chunks in place of utterances, which leaks.
        percent: share of the training labels that is used.
        tasks: CATEGORICAL, DIMENSIONAL or both.
        method: key of METHODS.
        encoder: key of ENCODERS; empty: the file that the user names.
        initial_weights: take the encoder's architecture with its initial weights.
        features: what a head takes from the encoder, see `began.encoder.OUTPUTS`.
        front_end: what the methods of ON_UTTERANCES, whatever their encoder was trained with, and those with hand-crafted
            features (`experiments.evaluation.functionals`) are fed with (`began.front_end`).
        hop_seconds: distance between the starts of two chunks.
        masked_copies: of every training chunk (SpecAugment), for a head.
        class_weight: "balanced", or None.
        search: search the head's parameters; False takes the default ones.
        copies: at other speeds, of the methods "utterance" and "statistics".
        altered_copies: further ones with noise and behind random channels, for training alone, of the method "utterance".
        ensemble_size: of the method "utterance": heads of so many seeds are made into one.
        searched_as: condition with the same search, whose trials are taken over; empty: none.
        normalize_speakers: of the method "statistics", see `experiments.evaluation.statistics_svm`.
        correlations: whether the methods "utterance" and "statistics" may read them.
        adapted_to: of the method "utterance": how many recordings of the test speaker, key of ADAPTED_TO, the mean of the
            statistics is adapted to; empty: none.
        learning_rate: of the method "whole"; None takes its default.
        source, training, shots: of the protocol "another_corpus": name of the other loader, key of TRAININGS, and how many
            labelled utterances of `corpus` are trained on.
    """

    experiment: str
    name: str
    description: str = ""
    corpus: str = "emodb"
    protocol: str = "leave_one_speaker_out"
    folds: int = 0
    chunk_split: bool = False
    percent: int = 100
    tasks: tuple[str, ...] = (CATEGORICAL,)
    method: str = "head"
    encoder: str = ""
    initial_weights: bool = False
    features: str = "map"
    front_end: str = "literal"
    hop_seconds: float = 1.0
    masked_copies: int = 0
    class_weight: str | None = None
    search: bool = True
    normalize_speakers: bool = False
    copies: bool = True
    altered_copies: bool = True
    ensemble_size: int = 1
    searched_as: str = ""
    correlations: bool = True
    adapted_to: str = ""
    learning_rate: float | None = None
    source: str = ""
    training: str = ""
    shots: int = 0

    @property
    def given(self) -> dict[str, str]:
        """Parameters of a head on whole utterances that its search leaves alone.

        The mean of a band tells of the microphone: where the front end takes the level out for its sake, it stays out.
        """
        given = {"statistics": "spread"} if self.front_end == "normalized" else {}
        return given if self.correlations else {**given, "correlations": "none"}

    @property
    def _method(self) -> Method:
        # Runs of a results folder may name any.
        return METHODS.get(self.method, Method())

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that are scored: "chunk" alone where chunks are split."""
        return ("chunk",) if self.chunk_split else self._method.levels

    @property
    def components(self) -> str:
        """Which principal components of the encoder's file belong to its weights (`began.components.ORIGINS`)."""
        return "initial" if self.initial_weights else "trained"

    @property
    def main_level(self) -> str:
        """The level that tables show first."""
        return self.levels[-1]

    @property
    def protocol_text(self) -> str:
        """How the data are split, in words."""
        text = PROTOCOLS[self.protocol].format(folds=self.folds, set_aside=SET_ASIDE)
        if self.chunk_split:
            text += f"; {_CHUNKS_SPLIT}"
        return text if self.percent == 100 else f"{text}; {self.percent} % of the training labels"

    @property
    def options(self) -> dict[str, object]:
        """What, beside data, encoder and settings, decides the scores: part of every run's config.json."""
        carried = ("source", "training", "shots") if self.source else ()
        chosen = ("method", "initial_weights", *self._method.options, *carried)
        options = {name: getattr(self, name) for name in chosen}
        if self.ensemble_size > 1:
            options["ensemble_size"] = self.ensemble_size
        if self.method == "utterance" and not self.correlations:
            options["correlations"] = False
        if self.adapted_to:
            options["adapted_to"] = self.adapted_to
        return options

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside a score."""
        notes = [LEAKING] if self.chunk_split else []
        if self.corpus == "emodb" and (seen := self._method.seen_on_emodb):
            notes.append(DEFAULT_HEAD_SEEN if seen == SPACE_SEEN and not self.search else seen)
        if self.front_end == "trimmed" and self.corpus == "savee":
            notes.append(LEVEL_SEEN)
        if self.corpus == "savee" and self.method == "utterance" and self.search:
            notes.append(FIRST_POINT_SEEN)
        if self.normalize_speakers:
            notes.append(SPEAKERS_NORMALIZED)
        if self.adapted_to:
            notes.append(SPEAKERS_ADAPTED)
        return tuple(notes)


def choose_front_end(protocol: str) -> str:
    """Returns the front end of methods on whole utterances by default.

    The level of a recording tells of emotion where speaker and microphone are the same throughout, and of the microphone
    elsewhere. Chosen on the inner folds of SAVEE's training parts (docs/method.md).
    """
    return "trimmed" if protocol == "per_speaker" else "normalized"


def with_method(condition: Condition, method: str, normalize_speakers: bool = False, altered_copies: bool = True) -> Condition:
    """Returns a condition of a head on one second at a time with another method, under a name that tells so."""
    if method == "head":
        return condition
    suffix, description = {
        "utterance": ("utterance_head", "searched head on the whole utterance"),
        "statistics": ("utterance_statistics", "statistics over the utterance, linear SVM"),
    }[method]
    if normalize_speakers:
        suffix, description = f"{suffix}_speaker_normalized", description.replace(",", ", each speaker standardised,")
    if not altered_copies:
        suffix, description = f"{suffix}_without_altered_copies", f"{description}, without altered copies"
    name = f"{condition.name}_{suffix}".removeprefix("head_per_second_")
    return replace(
        condition,
        name=name,
        description=description,
        method=method,
        features="map",
        front_end=choose_front_end(condition.protocol),
        normalize_speakers=normalize_speakers,
        altered_copies=altered_copies,
    )


def as_ensemble(condition: Condition, size: int) -> Condition:
    """Returns a condition of the method "utterance" with the mean of heads of several seeds, under a name that tells so."""
    return replace(
        condition,
        name=f"{condition.name}_ensemble_{size}",
        description=f"{condition.description or 'searched head on the whole utterance'}, {size} seeds made into one",
        ensemble_size=size,
        searched_as=condition.name,
    )


def find_ensemble(name: str) -> tuple[str, int] | None:
    """Returns whose heads a condition makes into one, and how many, by the name that `as_ensemble` gives; None for others."""
    found = re.fullmatch(r"(.+)_ensemble_([1-9]\d*)", name)
    return (found[1], int(found[2])) if found else None
