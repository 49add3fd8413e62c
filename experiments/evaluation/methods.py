"""The methods by name, and what a run of each is bound to."""

from collections.abc import Sequence
from pathlib import Path

from began.components import hash_components, read_components
from began.encoder import read_config, read_training
from began.errors import InputError
from began.files import sha256_of
from began.startup import BACKENDS, choose_backend
from experiments.corpora.record import Corpus
from experiments.evaluation import baselines, searched_heads, statistics_svm
from experiments.evaluation.condition import CORPUS_TITLES, HEADS, METHODS, ON_UTTERANCES, Condition
from experiments.evaluation.data import Data, Trainer
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import count_shared_speakers

OPTIONS = {
    "max_evals": "--max-evals",
    "epochs": "--epochs",
    "spark_master": "--spark-master",
    "tail": "--tail",
    "pooling": "--class-pooling and --dimension-pooling",
}
"""Setting -> how a command line names it."""


def check_conditions(conditions: Sequence[Condition], settings: Settings, option: str = "--conditions") -> None:
    """Refuses what cannot be run before long work starts, and names settings without effect.

    Args:
        conditions: to be run.
        settings: of the command line.
        option: that the conditions were chosen with.
    Raises:
        InputError: --class-weight where classes are not weighted, --tail drop where every utterance is needed, an encoder
            that is missing or damaged, or a KERAS_BACKEND that a method does not run on.
    """
    for condition in conditions:
        found, without = f"it with {condition.name}", f"leave it out, or name {option} without those"
        if settings.class_weight and "class_weight" not in METHODS[condition.method].settings:
            raise InputError.about(f"--class-weight {settings.class_weight}", found, "only what weighs classes", without)
        if condition.method in ON_UTTERANCES and settings.tail == "drop":
            raise InputError.about("--tail drop", found, "every utterance", "leave it out")
        if condition.method != "head" and condition.chunk_split:
            expected = "utterance_split: whole utterances have no chunks"
            raise InputError.about(
                f"--method {condition.method}", condition.name, expected, "leave it out, or use --method head"
            )
        if (encoder := settings.find_encoder(condition)) is not None:
            describe_encoder(encoder)
            if condition.method in ON_UTTERANCES:
                read_components(encoder, condition.components)
        # All heads are trained by TensorFlow alone.
        choose_backend(["tensorflow"] if condition.method in HEADS else BACKENDS)
    used = {name for condition in conditions for name in METHODS[condition.method].settings}
    if "max_evals" in used:
        used.add("spark_master")
    given, default = vars(settings), vars(Settings(settings.results_dir))
    unused = [name for name in OPTIONS if name not in used]
    if shown := [OPTIONS[name] for name in unused if given[name] != default[name]]:
        methods = " and ".join(dict.fromkeys(condition.method for condition in conditions))
        print(f"note: {', '.join(shown)}: without effect with --method {methods}")


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the data that a condition's method works on, and its trainer."""
    if condition.method == "whole":
        from experiments.evaluation import fine_tuning  # which imports Keras

        return fine_tuning.prepare(condition, corpus, settings)
    modules = {"head": searched_heads, "utterance": searched_heads, "statistics": statistics_svm}
    data, train = modules.get(condition.method, baselines).prepare(condition, corpus, settings)
    return data.as_chunks() if condition.chunk_split else data, train


def describe_run(condition: Condition, corpus: Corpus, settings: Settings) -> dict[str, object]:
    """Returns all that decides the scores of a run: what config.json holds, and what a run that goes on must agree with.

    Neither the number of runs nor that of processes is among it: they change nothing.

    Raises:
        InputError: no such encoder, or one that is damaged.
    """
    title = CORPUS_TITLES.get(condition.corpus, corpus.name)
    config: dict[str, object] = {"corpus": title, "protocol": condition.protocol_text, **condition.options}
    encoder = settings.find_encoder(condition)
    if encoder is not None:
        config |= describe_encoder(encoder, condition.initial_weights)
        if condition.method in ON_UTTERANCES:  # which cut nothing
            config["components_sha256"] = hash_components(read_components(encoder, condition.components))
        if condition.method == "whole" and (front_end := read_config(encoder).front_end) != "literal":
            config["front_end"] = front_end  # that of before was always literal
    config |= {name: getattr(settings, name) for name in METHODS[condition.method].settings}
    if not condition.search:
        config.pop("max_evals", None)
    if "class_weight" in config:
        config["class_weight"] = condition.class_weight or settings.class_weight
    if corpus.missing is not None:
        config["n_missing"] = len(corpus.missing)
    if corpus.n_unpublished and not corpus.synthetic:
        config["n_unpublished"] = corpus.n_unpublished
    if n_copies := int(corpus.utterances.duplicated("sound").sum()):
        config["n_copies"] = n_copies
    if n_shared := count_shared_speakers(condition, corpus.utterances, settings.seed):
        config["n_shared_speakers"] = n_shared
    if (backend := choose_backend()) != "tensorflow":
        config["backend"] = backend
    bound = {"utterances_sha256": corpus.sha256, "sounds_sha256": corpus.sounds_sha256}
    return {**config, "seed": settings.seed, "synthetic": corpus.synthetic, **bound}


def describe_encoder(path: Path, initial_weights: bool = False) -> dict[str, object]:
    """Returns the hash of an encoder, or with initial weights its architecture and seed; a note where it is not finished.

    Raises:
        InputError: no such file, or damaged.
    """
    training = read_training(path)
    spectrogram = read_config(path).to_dict()
    if initial_weights:
        sizes = {name: training.get(name) for name in ("base_filters", "latent_size")}
        seed = training.get("seed", 0)
        drawn = {"initial_seed": seed} if seed else {}  # runs of an earlier version name none: theirs was 0
        return {"architecture": sizes, **drawn, "spectrogram": spectrogram}
    done, epochs = training.get("epochs_done", 0), training.get("epochs", 0)
    note = {"note": f"unfinished encoder: {done:g} of {epochs} epochs"} if done < epochs else {}
    return {"encoder_sha256": sha256_of(path), "spectrogram": spectrogram, **note}
