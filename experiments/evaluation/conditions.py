"""All conditions of a full reproduction, in the order of their tables; the record is in `experiments.evaluation.condition`.

An own data set gets a record of its own (`experiments.custom`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.evaluation.alterations import ALTERATIONS
from experiments.evaluation.condition import (
    ADAPTED_TO,
    SHOTS,
    Condition,
    as_ensemble,
    choose_front_end,
    find_ensemble,
    with_method,
)

ENCODERS = {
    "began": "",
    "began-16-epochs": "--epochs 16",
    "began-seed-1": "--epochs 16 --seed 1",
    "began-seed-2": "--epochs 16 --seed 2",
    "began-16-filters": "--epochs 16 --base-filters 16",
    "began-16-filters-seed-1": "--epochs 16 --base-filters 16 --seed 1",
    "began-16-filters-seed-2": "--epochs 16 --base-filters 16 --seed 2",
    "began-32-filters": "--epochs 16 --base-filters 32",
    "began-latent-256": "--epochs 16 --latent-size 256",
    "began-gamma-0.5": "--epochs 16 --gamma 0.5",
    "began-linear": "--epochs 16 --magnitude linear",
    "began-learning-rate-0.0001": "--epochs 16 --learning-rate 1e-4",
    "autoencoder": "--epochs 16 --no-generator",
    "autoencoder-seed-1": "--epochs 16 --no-generator --seed 1",
    "autoencoder-seed-2": "--epochs 16 --no-generator --seed 2",
}
"""Folder under results/pretrain_librispeech -> the options of experiments.pretrain_librispeech, beside --name, that make it."""


@dataclass(frozen=True)
class Experiment:
    """A table, or a figure: what its conditions share.

    Attributes:
        name: of the results' folder, and of the command.
        title: for reports.
        columns: column of the paper's table -> the metric that it is compared with; the paper does not always name one.
        conditions: name -> record, in the order of the table.
        bases: conditions that others are compared with, each with those behind it; empty: none.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    conditions: Mapping[str, Condition]
    bases: tuple[str, ...] = ()

    def find_base(self, condition: str) -> str:
        """Returns what a condition is compared with; "" where there is nothing."""
        names = [*self.conditions]
        position = names.index(condition) if condition in names else 0
        before = [base for base in self.bases if names.index(base) <= position]
        return before[-1] if before else next(iter(self.bases), "")


def _with_methods(*heads: Condition) -> dict[str, Condition]:
    """Returns the conditions with every method: those that split chunks have heads on one second at a time alone."""
    on_utterances = [condition for condition in heads if not condition.chunk_split]
    whole = [with_method(condition, "utterance", altered_copies=flag) for flag in (True, False) for condition in on_utterances]
    statistics = [with_method(condition, "statistics", flag) for condition in on_utterances for flag in (False, True)]
    return {condition.name: condition for condition in (*whole, *heads, *statistics)}


_PER_SECOND = "searched head on one second"
_UTTERANCES = Condition("table1_savee", "utterance_split", _PER_SECOND, corpus="savee", protocol="per_speaker")
_LEAKING = replace(_UTTERANCES, name="chunk_split_leaking", description=f"{_PER_SECOND}, chunks split", chunk_split=True)
_TABLE1 = Experiment(
    "table1_savee",
    "Table 1: SAVEE, accuracy per speaker",
    dict.fromkeys(("DC", "JE", "JK", "KL"), "accuracy"),
    _with_methods(_UTTERANCES, _LEAKING),
)

TEST_PART = "_test"
"""How the protocols end that test on a part whose labels were published after the challenge."""

OMG_PROTOCOLS = ("source_disjoint", "official_test", "source_disjoint_test")
_OFFICIAL = Condition(
    "table2_omg", "official", _PER_SECOND, corpus="omg", protocol="official_validation", tasks=(CATEGORICAL, DIMENSIONAL)
)
_TABLE2 = Experiment(
    "table2_omg",
    "Table 2: OMG-Emotion",
    {
        "F-score": "f1_micro",
        "arousal CCC": "concordance_correlation_coefficient_arousal",
        "valence CCC": "concordance_correlation_coefficient_valence",
    },
    {
        **_with_methods(_OFFICIAL, replace(_OFFICIAL, name=OMG_PROTOCOLS[0], protocol=OMG_PROTOCOLS[0])),
        **_with_methods(*(replace(_OFFICIAL, name=name, protocol=name) for name in OMG_PROTOCOLS[1:])),
    },
)

_ACCURACY_AND_UAR = {"accuracy": "accuracy", "UAR": "unweighted_average_recall"}
_ON_EMODB = _with_methods(Condition("table3_emodb", "head_per_second", _PER_SECOND))
_NARROW = _ON_EMODB["utterance_head"]
_WIDE = replace(
    _NARROW,
    name="utterance_head_16_filters",
    description=f"{_NARROW.description}, encoder of 16 base filters",
    encoder="began-16-filters",
)
_TABLE3 = Experiment(
    "table3_emodb",
    "Table 3: EmoDB, leave one speaker out",
    _ACCURACY_AND_UAR,
    {_NARROW.name: _NARROW, _WIDE.name: _WIDE, **_ON_EMODB},
    bases=("head_per_second",),
)

BASE_ENCODER = "began-16-epochs"
"""The encoder of the ablations: every encoder that is compared with it has trained for 16 epochs, too."""

_UTTERANCE = {"method": "utterance", "front_end": "normalized"}
_UTTERANCE_16 = {**_UTTERANCE, "encoder": "began-16-filters"}
_STATISTICS = {"method": "statistics", "front_end": "normalized"}
_NORMALIZED = {**_STATISTICS, "normalize_speakers": True}
_FUNCTIONALS = {"method": "functionals", "front_end": "normalized"}


ENCODER_SEEDS = (0, 1, 2)
"""Of the encoders of 16 epochs: `began-16-epochs`, `began-16-filters` and `autoencoder`, and those named after their seed."""

_COUNTERPARTS: dict[str, tuple[str, dict]] = {
    "initial_weights": ("initial weights drawn", {"initial_weights": True}),
    "autoencoder": ("an autoencoder trained", {"encoder": "autoencoder"}),
}
"""What pre-trained encoders are compared with -> words, differences of the settings."""

_COMPARED_WITH = {
    "utterance_head": ("initial_weights", "autoencoder"),
    "utterance_head_16_filters": ("initial_weights",),
    "utterance_statistics": ("initial_weights", "autoencoder"),
    "savee_utterance_head": ("initial_weights",),
    "savee_utterance_statistics": ("initial_weights",),
}
"""Ablation on a pre-trained encoder -> keys of _COUNTERPARTS."""

_BOTH_OF_ALL_SEEDS = tuple((name, f"{name}_{other}") for name, others in _COMPARED_WITH.items() for other in others)
_ONE_AGAINST_ALL_SEEDS = {"utterance_head_100_epochs": "utterance_head_initial_weights"}
"""Ablation on an encoder of which there is one -> what it is compared with, on encoders of all ENCODER_SEEDS."""

_WIDER = {name: name.replace("_16_filters", "") for pair in _BOTH_OF_ALL_SEEDS for name in pair if "16_filters" in name}
PAIRS_OVER_SEEDS = (*_BOTH_OF_ALL_SEEDS, *_WIDER.items(), *_ONE_AGAINST_ALL_SEEDS.items())
"""Ablation, and what it is compared with over encoders of all ENCODER_SEEDS."""


def at_encoder_seed(condition: str, seed: int) -> str:
    """Returns the name of an ablation with an encoder of another seed, trained, or drawn where its weights are initial.

    An encoder of which there is one stands for all seeds.
    """
    return condition if condition in _ONE_AGAINST_ALL_SEEDS or not seed else f"{condition}_seed_{seed}"


def _at_other_seeds(name: str, settings: dict) -> dict[str, tuple[str, dict]]:
    """Returns a key of _COMPARED_WITH, and its counterparts, with the encoders of the other seeds."""
    of_name = {name: ("pre-trained", {}), **{f"{name}_{other}": _COUNTERPARTS[other] for other in _COMPARED_WITH[name]}}
    at_seed_0 = {one: (words, {"encoder": "began", **settings, **other}) for one, (words, other) in of_name.items()}
    return {
        at_encoder_seed(one, seed): (f"… {words} with seed {seed}", {**merged, "encoder": f"{merged['encoder']}-seed-{seed}"})
        for one, (words, merged) in at_seed_0.items()
        for seed in ENCODER_SEEDS[1:]
    }


_ON_SAVEE = {"corpus": "savee", "protocol": "per_speaker", "front_end": choose_front_end("per_speaker")}
_SAVEE_HEAD, _SAVEE_STATISTICS = {"method": "utterance", **_ON_SAVEE}, {"method": "statistics", **_ON_SAVEE}

_DIFFERENCES: dict[str, tuple[str, dict]] = {
    "utterance_head": ("default head on the whole utterance, BEGAN, 16 epochs, frozen (base)", _UTTERANCE),
    "utterance_head_initial_weights": ("… of initial weights", {**_UTTERANCE, "initial_weights": True}),
    "utterance_head_autoencoder": (
        "… of an autoencoder, trained without a generator",
        {**_UTTERANCE, "encoder": "autoencoder"},
    ),
    **_at_other_seeds("utterance_head", _UTTERANCE),
    "utterance_head_100_epochs": ("… trained for 100 epochs (the published encoder)", {**_UTTERANCE, "encoder": "began"}),
    "utterance_head_16_filters": ("… of 16 base filters in place of 8", _UTTERANCE_16),
    "utterance_head_16_filters_initial_weights": (
        "… of 16 base filters, initial weights",
        {**_UTTERANCE_16, "initial_weights": True},
    ),
    **_at_other_seeds("utterance_head_16_filters", _UTTERANCE_16),
    "utterance_head_32_filters": ("… of 32 base filters", {**_UTTERANCE, "encoder": "began-32-filters"}),
    "utterance_head_32_filters_initial_weights": (
        "… of 32 base filters, initial weights",
        {**_UTTERANCE, "encoder": "began-32-filters", "initial_weights": True},
    ),
    "utterance_head_latent_256": (
        "… whose embedding has h = 256 in place of 64",
        {**_UTTERANCE, "encoder": "began-latent-256"},
    ),
    "utterance_head_without_correlations": ("… without correlations", {**_UTTERANCE, "correlations": False}),
    "utterance_head_without_correlations_initial_weights": (
        "… without correlations, initial weights",
        {**_UTTERANCE, "correlations": False, "initial_weights": True},
    ),
    "utterance_statistics": ("statistics over the utterance, linear SVM", _STATISTICS),
    "utterance_statistics_without_copies": ("… without copies at other speeds", {**_STATISTICS, "copies": False}),
    "utterance_statistics_without_correlations": ("… without correlations", {**_STATISTICS, "correlations": False}),
    "utterance_statistics_initial_weights": ("… of initial weights", {**_STATISTICS, "initial_weights": True}),
    "utterance_statistics_autoencoder": ("… of an autoencoder", {**_STATISTICS, "encoder": "autoencoder"}),
    **_at_other_seeds("utterance_statistics", _STATISTICS),
    "utterance_statistics_speaker_normalized": ("… each speaker standardised", _NORMALIZED),
    "utterance_statistics_speaker_normalized_initial_weights": (
        "… each speaker standardised, initial weights",
        {**_NORMALIZED, "initial_weights": True},
    ),
    "functionals": ("functionals of librosa's features, linear SVM", {**_FUNCTIONALS, "encoder": ""}),
    "egemaps": ("eGeMAPS (openSMILE), linear SVM", {**_FUNCTIONALS, "method": "egemaps", "encoder": ""}),
    "compare_2016": ("ComParE 2016 (openSMILE), linear SVM", {**_FUNCTIONALS, "method": "compare_2016", "encoder": ""}),
    "majority": ("the most frequent class", {"method": "majority", "encoder": ""}),
    "began_16_epochs": ("default head on the last map of a BEGAN, 16 epochs, frozen (base)", {}),
    "began": ("BEGAN, 100 epochs (the published encoder)", {"encoder": "began"}),
    "began_seed_1": ("BEGAN pre-trained with another seed", {"encoder": "began-seed-1"}),
    "initial_weights": ("encoder with its initial weights, frozen", {"initial_weights": True}),
    "autoencoder": ("autoencoder, trained without a generator", {"encoder": "autoencoder"}),
    "autoencoder_seed_1": ("autoencoder pre-trained with another seed", {"encoder": "autoencoder-seed-1"}),
    "linear_magnitude": ("linear magnitude, as in the authors' earlier code", {"encoder": "began-linear"}),
    "gamma_0.5": ("gamma 0.5 in place of 0.7", {"encoder": "began-gamma-0.5"}),
    "learning_rate_0.0001": ("pre-trained at 0.0001, as Berthelot et al.", {"encoder": "began-learning-rate-0.0001"}),
    "filters_16": ("16 base filters in place of 8", {"encoder": "began-16-filters"}),
    "embedding": ("head on the embedding", {"features": "embedding"}),
    "all_blocks": ("head on the maps of all four blocks", {"features": "blocks"}),
    "overlapping_chunks": ("chunks every half second", {"hop_seconds": 0.5}),
    "class_weights": ("classes weighted by the inverse of their size", {"class_weight": "balanced"}),
    "spec_augment": ("three masked copies of every training chunk (SpecAugment)", {"masked_copies": 3}),
    "fine_tuned": ("BEGAN, fine-tuned together with the head", {"method": "whole"}),
    "fine_tuned_0.0002": ("fine-tuned at a rate of 0.0002 in place of 0.0005", {"method": "whole", "learning_rate": 2e-4}),
    "from_scratch": ("the same network, trained from scratch", {"method": "whole", "initial_weights": True}),
    "savee_utterance_head": ("default head on the whole utterance, BEGAN, 16 epochs, frozen (base)", _SAVEE_HEAD),
    "savee_utterance_head_initial_weights": ("… of initial weights", {**_SAVEE_HEAD, "initial_weights": True}),
    **_at_other_seeds("savee_utterance_head", _SAVEE_HEAD),
    "savee_utterance_head_16_filters": ("… of 16 base filters in place of 8", {**_SAVEE_HEAD, "encoder": "began-16-filters"}),
    "savee_utterance_head_16_filters_initial_weights": (
        "… of 16 base filters, initial weights",
        {**_SAVEE_HEAD, "encoder": "began-16-filters", "initial_weights": True},
    ),
    "savee_utterance_statistics": ("statistics over the utterance, linear SVM", _SAVEE_STATISTICS),
    "savee_utterance_statistics_initial_weights": ("… of initial weights", {**_SAVEE_STATISTICS, "initial_weights": True}),
    **_at_other_seeds("savee_utterance_statistics", _SAVEE_STATISTICS),
}
"""Name -> description, and settings: on EmoDB, of methods on whole utterances, then of heads on one second and whole networks;
on SAVEE."""


_ABLATIONS = Experiment(
    "ablations",
    "Ablations: EmoDB and SAVEE",
    _ACCURACY_AND_UAR,
    {
        name: Condition("ablations", name, description, **{"encoder": BASE_ENCODER, "search": False, **differences})
        for name, (description, differences) in _DIFFERENCES.items()
    },
    bases=("utterance_head", "began_16_epochs", "savee_utterance_head"),
)

OF_OTHER_SEEDS = tuple(
    dict.fromkeys(at_encoder_seed(name, seed) for pair in _BOTH_OF_ALL_SEEDS for name in pair for seed in ENCODER_SEEDS[1:])
)
"""Ablations on encoders of other seeds."""

PERCENTS = {"emodb": (5, 10, 25, 50, 100), "savee": (33, 67, 100)}
"""Name of a loader -> shares of its labels, by default. Inner folds of one speaker of SAVEE have three utterances per class."""


def _list_learners(protocol: str) -> dict[str, tuple[str, dict[str, Any]]]:
    behind: dict[str, Any] = {"front_end": choose_front_end(protocol)}
    head = {"method": "utterance", **behind}
    return {
        "utterance_head": ("BEGAN, frozen; default head on the whole utterance", head),
        "initial_weights": ("the same on an encoder with its initial weights", {**head, "initial_weights": True}),
        "from_scratch": ("encoder and head trained from scratch, on one second", {"method": "whole", "initial_weights": True}),
        "functionals": ("functionals of librosa's features, linear SVM", {"method": "functionals", **behind}),
        "egemaps": ("eGeMAPS (openSMILE), linear SVM", {"method": "egemaps", **behind}),
    }


_PROTOCOLS = {"emodb": "leave_one_speaker_out", "savee": "per_speaker"}
LABEL_EFFICIENCY = {
    corpus: {
        name: Condition("label_efficiency", f"{corpus}_{name}", description, corpus, protocol, search=False, **differences)
        for name, (description, differences) in _list_learners(protocol).items()
    }
    for corpus, protocol in _PROTOCOLS.items()
}
"""Name of a loader -> what is compared at every share of the corpus' labels, by name."""


def at_share(condition: Condition, percent: int) -> Condition:
    """Returns a condition of the label efficiency with a share of the labels, in percent."""
    return replace(condition, name=f"{condition.name}_{percent:03d}", percent=percent)


_SHARES = [
    at_share(condition, percent)
    for corpus, compared in LABEL_EFFICIENCY.items()
    for condition in compared.values()
    for percent in PERCENTS[corpus]
]
_LABEL_EFFICIENCY = Experiment(
    "label_efficiency",
    "Label efficiency: EmoDB, leave one speaker out, and SAVEE, each speaker alone",
    {"accuracy": "accuracy"},
    {condition.name: condition for condition in _SHARES},
)

EXPERIMENTS = {experiment.name: experiment for experiment in (_TABLE1, _TABLE2, _TABLE3, _ABLATIONS, _LABEL_EFFICIENCY)}
"""Every experiment of a full reproduction, by name."""


ROBUST_METHODS: dict[str, dict[str, Any]] = {
    "utterance_head": _UTTERANCE,
    **{f"utterance_head_adapted_to_{number}": {**_UTTERANCE, "adapted_to": number} for number in ADAPTED_TO},
    "utterance_head_without_altered_copies": {**_UTTERANCE, "altered_copies": False},
    "head_per_second": {"method": "head"},
    "functionals": _FUNCTIONALS,
}
"""What is compared on altered recordings: name -> method. All with default parameters, without a search."""


def on_altered(method: str, alteration: str) -> Condition:
    """Returns the condition of a key of ROBUST_METHODS on recordings altered as `experiments.evaluation.alterations` says."""
    name, title = f"{method}_{alteration}", ALTERATIONS[alteration].title
    return Condition("robustness", name, title, search=False, **ROBUST_METHODS[method])


_ALTERED = [on_altered(method, alteration) for method in ROBUST_METHODS for alteration in ALTERATIONS]
ROBUSTNESS = Experiment(
    "robustness",
    "Robustness: EmoDB, leave one speaker out",
    _ACCURACY_AND_UAR,
    {condition.name: condition for condition in _ALTERED},
)


TRAININGS: dict[str, tuple[int, ...]] = {"source": SHOTS, "adapted": (0,), "alone": SHOTS[1:]}
"""What is trained on -> with how many labelled utterances of the corpus that is tested on.

"source" is the other corpus and those utterances; "adapted" the same, with the mean and the spread of the recordings of the
corpus that is tested on, with those set aside, brought to those of the other corpus; "alone" those utterances without the other
corpus.
"""

DIRECTIONS = (("emodb", "savee"), ("savee", "emodb"))
"""Trained on, tested on."""

TRANSFER_METHODS = ("utterance_head", "functionals")
"""Keys of ROBUST_METHODS that are compared on another corpus."""


def carried_over(source: str, target: str, method: str, training: str, shots: int) -> Condition:
    """Returns the condition of a key of TRANSFER_METHODS and one of TRAININGS in one of DIRECTIONS."""
    name = f"{source}_to_{target}_{method}_{training}_{shots:02d}"
    where: dict[str, Any] = {"protocol": "another_corpus", "corpus": target, "source": source}
    return Condition("transfer", name, training=training, shots=shots, search=False, **where, **ROBUST_METHODS[method])


_CARRIED = [
    carried_over(*direction, method, training, shots)
    for direction in DIRECTIONS
    for method in TRANSFER_METHODS
    for training, numbers in TRAININGS.items()
    for shots in numbers
]
TRANSFER = Experiment(
    "transfer", "Carrying over to another corpus", _ACCURACY_AND_UAR, {condition.name: condition for condition in _CARRIED}
)

BEYOND_THE_PAPER = {experiment.name: experiment for experiment in (ROBUSTNESS, TRANSFER)}
"""Not among EXPERIMENTS: the paper has no such tables."""


def find_condition(experiment: str, name: str) -> Condition | None:
    """Returns the record of a condition; None for an own data set, or a condition that the user named."""
    experiments = {**EXPERIMENTS, **BEYOND_THE_PAPER}
    known = experiments[experiment].conditions if experiment in experiments else {}
    if ensemble := find_ensemble(name):
        single, size = ensemble
        return as_ensemble(known[single], size) if single in known else None
    return known.get(name)
