"""What makes the score? Named differences to one base configuration, EmoDB, leave one speaker out.

    python -m experiments.ablations --data-dir EmoDB --results-dir results

The base is a BEGAN after 16 epochs, its last map, and the default head without a search: every condition differs from it in
one point. All encoders that are compared have trained for those 16 epochs, so that none is ahead; the published one, which
has trained for longer, is a condition of its own. The conditions named utterance_statistics have a base of their own,
experiments/utterance_statistics.py; fine_tuned and from_scratch are trained as experiments/whole_network.py says. Encoders are
looked for in results/pretrain_librispeech/<name>; the help says how each is made. A condition whose encoder is not there is
left out, and named.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import (
    SETTINGS,
    add_training_arguments,
    check_class_weight,
    check_training_arguments,
    describe_architecture,
    describe_encoder,
)

EXPERIMENT = "ablations"
BASE = "began-16-epochs"
"""The base's encoder."""

RANDOM = "random"
"""The name of initial weights in place of an encoder's."""


@dataclass(frozen=True)
class Ablation:
    """One difference to the base.

    Attributes:
        description: for the table.
        method: a key of `experiments.evaluation.options.SETTINGS`.
        encoder: folder under results/pretrain_librispeech; RANDOM for initial weights of the base's size.
        features: what a head reads from the encoder.
        hop_seconds: distance of two chunks' starts.
        class_weight: of a head; None weighs all utterances alike.
        masked_copies: of every training chunk, for a head (SpecAugment).
        normalize_speakers, copies, correlations: of the method "statistics".
        learning_rate: of whole networks; None takes the usual one.
        pretraining: options of experiments.pretrain_librispeech that make the encoder.
    """

    description: str
    method: str = "head"
    encoder: str = BASE
    features: str = "map"
    pretraining: str = ""
    hop_seconds: float = 1.0
    class_weight: str | None = None
    masked_copies: int = 0
    normalize_speakers: bool = False
    copies: bool = True
    correlations: bool = True
    learning_rate: float | None = None


CONDITIONS = {
    "began_16_epochs": Ablation(
        "BEGAN after 16 epochs, frozen; head on the last map (base)", pretraining=f"--epochs 16 --name {BASE}"
    ),
    "began": Ablation("the published encoder, which has trained for longer", encoder="began", pretraining="--name began"),
    "initial_weights": Ablation("encoder with its initial weights, frozen", encoder=RANDOM),
    "autoencoder": Ablation(
        "the same autoencoder, trained without a generator",
        encoder="autoencoder",
        pretraining="--epochs 16 --no-generator --name autoencoder",
    ),
    "linear_magnitude": Ablation(
        "linear magnitude, as in the authors' earlier code",
        encoder="began-linear",
        pretraining="--epochs 16 --magnitude linear --name began-linear",
    ),
    "gamma_0.5": Ablation(
        "gamma 0.5 in place of 0.7", encoder="began-gamma-0.5", pretraining="--epochs 16 --gamma 0.5 --name began-gamma-0.5"
    ),
    "learning_rate_0.0001": Ablation(
        "pre-trained at 0.0001, as Berthelot et al., in place of 0.00005",
        encoder="began-learning-rate-0.0001",
        pretraining="--epochs 16 --learning-rate 1e-4 --name began-learning-rate-0.0001",
    ),
    "filters_16": Ablation(
        "16 base filters in place of 8",
        encoder="began-16-filters",
        pretraining="--epochs 16 --base-filters 16 --name began-16-filters",
    ),
    "began_seed_1": Ablation(
        "the base, pre-trained with another seed",
        encoder="began-seed-1",
        pretraining="--epochs 16 --seed 1 --name began-seed-1",
    ),
    "autoencoder_seed_1": Ablation(
        "the autoencoder, pre-trained with another seed",
        encoder="autoencoder-seed-1",
        pretraining="--epochs 16 --no-generator --seed 1 --name autoencoder-seed-1",
    ),
    "embedding": Ablation("head on the embedding", features="embedding"),
    "all_blocks": Ablation("head on the maps of all four blocks", features="blocks"),
    "overlapping_chunks": Ablation("chunks every half second", hop_seconds=0.5),
    "class_weights": Ablation("classes weighted by the inverse of their size", class_weight="balanced"),
    "spec_augment": Ablation("training chunks thrice more with masked frequencies and frames (SpecAugment)", masked_copies=3),
    "utterance_statistics": Ablation(
        "all blocks pooled over the utterance and its copies at other speeds, linear SVM", method="statistics"
    ),
    "utterance_statistics_without_copies": Ablation(
        "the same as utterance_statistics, without copies", method="statistics", copies=False
    ),
    "utterance_statistics_without_correlations": Ablation(
        "the same as utterance_statistics, without correlations", method="statistics", correlations=False
    ),
    "utterance_statistics_filters_16": Ablation(
        "the same as utterance_statistics, 16 base filters", method="statistics", encoder="began-16-filters"
    ),
    "utterance_statistics_initial_weights": Ablation(
        "the same as utterance_statistics, encoder with its initial weights", method="statistics", encoder=RANDOM
    ),
    "utterance_statistics_speaker_normalized": Ablation(
        "the same as utterance_statistics, each speaker's utterances standardised", method="statistics", normalize_speakers=True
    ),
    "utterance_statistics_speaker_normalized_initial_weights": Ablation(
        "the same as utterance_statistics_speaker_normalized, initial weights",
        method="statistics",
        normalize_speakers=True,
        encoder=RANDOM,
    ),
    "fine_tuned": Ablation("BEGAN, fine-tuned with the head", method="whole"),
    "fine_tuned_0.0002": Ablation(
        "the same as fine_tuned, at a learning rate of 0.0002 in place of 0.0005", method="whole", learning_rate=2e-4
    ),
    "from_scratch": Ablation("the same network, trained from scratch", method="whole", encoder=RANDOM),
    "functionals": Ablation("functionals of librosa's features, linear SVC (all runs agree)", method="functionals"),
    "majority": Ablation("the most frequent class (all runs agree)", method="majority"),
}


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    made = "\n".join(
        f"  {name}: python -m experiments.pretrain_librispeech … {ablation.pretraining}"
        for name, ablation in CONDITIONS.items()
        if ablation.pretraining
    )
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{EXPERIMENT}",
        description=__doc__,
        epilog=f"encoders:\n{made}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder of EmoDB (holds wav/)")
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--conditions", nargs="+", choices=tuple(CONDITIONS), default=tuple(CONDITIONS))
    add_training_arguments(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    check_training_arguments(arguments)
    check_class_weight(arguments, {name: CONDITIONS[name].method for name in arguments.conditions}, "--conditions")
    arguments.search = "fixed"
    encoders = arguments.results_dir / "pretrain_librispeech"
    base = find_encoder(encoders, BASE)
    if not base.is_file():
        raise InputError.about(
            base,
            found="no such file",
            expected="the base's encoder",
            action=f"run python -m experiments.pretrain_librispeech … {CONDITIONS['began_16_epochs'].pretraining} first",
        )
    if arguments.tail == "drop" and any(CONDITIONS[name].method == "statistics" for name in arguments.conditions):
        raise InputError.about(
            "--tail drop",
            found="it with statistics",
            expected="every utterance",
            action="leave it out, or name --conditions without statistics",
        )
    corpus = load("emodb", arguments.data_dir)
    check_audio(corpus)
    print(corpus.describe())
    missing = [name for name in arguments.conditions if not find_encoder(encoders, CONDITIONS[name].encoder).is_file()]
    for name in arguments.conditions:
        if name not in missing:
            print(f"\n{name}: {CONDITIONS[name].description}")
            _run(name, arguments, corpus, encoders)

    from experiments.reporting.render import render

    render(arguments.results_dir)
    for name in missing:
        options = next(
            other.pretraining
            for other in CONDITIONS.values()
            if other.pretraining and other.encoder == CONDITIONS[name].encoder
        )
        print(f"left out: {name}; make its encoder with python -m experiments.pretrain_librispeech … {options}")
    print(f"wrote {arguments.results_dir / EXPERIMENT} and {arguments.results_dir / 'tables'}")


def find_encoder(encoders: Path, name: str) -> Path:
    """Returns an encoder's file; the random one has the base's file as its model."""
    return encoders / (BASE if name == RANDOM else name) / "encoder.keras"


def _run(name: str, arguments: argparse.Namespace, corpus, encoders: Path) -> None:
    from experiments.evaluation.evaluate import Condition, evaluate
    from experiments.evaluation.methods import prepare_method
    from experiments.evaluation.protocols import Split, leave_one_speaker_out

    ablation = CONDITIONS[name]
    path = find_encoder(encoders, ablation.encoder)
    data, train = prepare_method(
        ablation.method,
        path,
        corpus,
        arguments,
        random=ablation.encoder == RANDOM,
        features=ablation.features,
        hop_seconds=ablation.hop_seconds,
        masked_copies=ablation.masked_copies,
        normalize_speakers=ablation.normalize_speakers,
        copies=ablation.copies,
        correlations=ablation.correlations,
        learning_rate=ablation.learning_rate,
    )
    if ablation.method in ("functionals", "majority"):
        encoder = {}
    else:
        encoder = (describe_architecture if ablation.encoder == RANDOM else describe_encoder)(path)
    fixed = leave_one_speaker_out(corpus.utterances, arguments.seed)

    def make_splits(run: int) -> list[Split]:
        # A support vector machine draws nothing at random: its runs differ in how the inner folds are dealt.
        return leave_one_speaker_out(corpus.utterances, arguments.seed + run) if ablation.method == "statistics" else fixed

    condition = Condition(
        EXPERIMENT,
        name,
        make_splits=make_splits,
        train=train,
        settings=SETTINGS[ablation.method],
        levels=("chunk", "utterance") if ablation.method in ("head", "whole") else ("utterance",),
    )
    settings = argparse.Namespace(**{**vars(arguments), "class_weight": ablation.class_weight or arguments.class_weight})
    # The default head, and the statistics, were picked with a look at EmoDB's test scores, and the table has to say so.
    evaluate(
        data,
        condition,
        settings,
        {
            "corpus": "EmoDB",
            "protocol": "leave one speaker out",
            "description": ablation.description,
            "base": name == "began_16_epochs",
            "encoder": ablation.encoder,
            **encoder,
            "tail": arguments.tail,
            "features": "frames" if ablation.method == "statistics" else ablation.features,
            "method": ablation.method,
            "hop_seconds": ablation.hop_seconds,
            "normalize_speakers": ablation.normalize_speakers,
            "copies": ablation.copies,
            **({"correlations": ablation.correlations} if ablation.method == "statistics" else {}),
            **({"masked_copies": ablation.masked_copies} if ablation.masked_copies else {}),
            **({"learning_rate": ablation.learning_rate} if ablation.learning_rate else {}),
            "selected_after_test": ablation.method in ("head", "statistics", "whole"),
        },
    )


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
