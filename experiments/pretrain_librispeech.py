"""Pre-trains the BEGAN on LibriSpeech, or other speech, without labels (paper, sections 2.1 and 3.3).

    python -m experiments.pretrain_librispeech --data-dir LibriSpeech --results-dir my-results

writes my-results/pretrain_librispeech/<name>/encoder.keras, which every table takes as --encoder, then components.npz beside
it, which methods on whole utterances need: principal components of what the encoder gives of up to 300 of the recordings, a few
minutes' work. The defaults are the paper's settings (gamma 0.7, Adam, learning rate 0.00005, batch 16, 100 epochs); what it
leaves open is as docs/choices.md says. Killed or interrupted, the same command goes on from the last checkpoint; more --epochs
go on with a finished training. On two CPU cores it handles 65 (AVX2) to 180 (AVX-512 BF16) chunks, seconds of speech, a second:
100 epochs of one hour of speech take half an hour to one and a half hours.

--data-dir also takes any other folder of sound, or a CSV file with a column `file`: speech of your own.

On several machines, the same command on each, with all addresses and its own number:

    python -m experiments.pretrain_librispeech … --workers host1:2222,host2:2222 --worker-index 0
"""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from began.audio import measure_seconds
from began.command_line import GOES_ON, run_script
from began.distributed import Cluster
from began.encoder import read_training
from began.errors import InputError, counted, printable
from began.files import lock_folder
from began.front_end import FRONT_ENDS
from began.pretraining_settings import AUTO, FLOAT32, PRECISIONS, PretrainingSettings
from began.spectrogram import MAGNITUDES, SpectrogramConfig
from began.startup import BACKENDS, choose_backend
from experiments.corpora import introduce, librispeech, unlabelled
from experiments.corpora.folders import check_audio
from experiments.corpora.record import Corpus
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.runs import RunFolder

if TYPE_CHECKING:
    from began.dataset import ChunkStore

EXPERIMENT = "pretrain_librispeech"
NUMBERS = {
    "base_filters": "n: the blocks have n, 2n, 3n, 4n filters",
    "latent_size": "h: size of the embedding and of the noise; default of Berthelot et al.",
    "epochs": "paper, section 3.3",
    "batch_size": "over all devices; section 3.3",
    "learning_rate": "section 3.3",
    "patience_epochs": "epochs without progress of M_global after which the rate is halved; Berthelot et al., section 4.1",
    "min_learning_rate": "its floor",
    "gamma": "diversity ratio; section 3.3",
    "lambda_k": "learning rate of k; Berthelot et al., section 3.4",
    "seed": "of weights, noise and shuffling",
}
"""Options that are numbers of `PretrainingSettings`, which has the defaults."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{EXPERIMENT}", description=__doc__)
    data = parser.add_argument_group("data").add_argument
    speech = "the LibriSpeech folder (holds train-clean-100 …), another folder of sound, or a CSV file"
    data("--data-dir", type=Path, required=True, help=speech)
    data("--subsets", nargs="+", metavar="SUBSET", help="such as train-clean-100; default: all there")
    data("--results-dir", type=Path, default=Path("results"), help="default: results")
    data("--name", default="began", help="folder of this encoder under results/pretrain_librispeech")
    magnitude = "log, zero-centred (default), or linear, as in the authors' earlier code"
    data("--magnitude", choices=MAGNITUDES, default="log", help=magnitude)
    front_end = (
        "literal: as recorded, as the paper's (default); normalized: speech at one level, without silent ends; trimmed: the "
        "same at its own level"
    )
    data("--front-end", choices=FRONT_ENDS, default="literal", help=front_end)
    training = parser.add_argument_group("networks and training", "the paper names no sizes of the networks").add_argument
    for name, meaning in NUMBERS.items():
        default = getattr(PretrainingSettings, name)
        training(_option(name), type=type(default), default=default, help=f"{meaning} (default: %(default)s)")
    noise = "one noise for both losses, as public implementations (default), or one each, as Berthelot et al. write it"
    training("--noise", choices=("shared", "separate"), default="shared", help=noise)
    training("--no-generator", action="store_false", dest="adversarial", help="train the autoencoder alone (an ablation)")
    precision = (
        "of the layers; auto (default) measures and keeps what is faster, mixed_bfloat16 mostly with AMX, AVX-512 BF16 or a GPU"
    )
    training("--precision", choices=PRECISIONS, default=AUTO, help=precision)
    devices = parser.add_argument_group("devices and machines").add_argument
    devices("--devices", type=int, default=1, help="GPUs that each process uses (default: 1)")
    devices("--workers", metavar="HOST:PORT,…", help="addresses of all processes, the same on each; worker 0 writes")
    devices("--worker-index", type=int, metavar="N", help="which of the workers this process is, from 0")
    return parser


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def main(arguments: argparse.Namespace) -> None:
    settings = PretrainingSettings(
        **{name: getattr(arguments, name) for name in (*NUMBERS, "noise", "adversarial", "precision")}
    )
    _check_numbers(settings)
    cluster = Cluster.from_options(arguments.workers, arguments.worker_index, arguments.devices)
    choose_backend(["tensorflow"] if cluster.n_replicas > 1 else BACKENDS)
    for note in cluster.check_network():
        print(note, file=sys.stderr)
    config = SpectrogramConfig.of(arguments.front_end, arguments.magnitude)
    run = RunFolder(arguments.results_dir, EXPERIMENT, arguments.name)
    corpus = unlabelled.load(arguments.data_dir, arguments.subsets)
    introduce(corpus)
    name = config.magnitude if config.front_end == "literal" else f"{config.magnitude}-{config.front_end}"
    folder = run.results_dir / "cache" / f"{corpus.name}-{name}"
    if not (folder / "store.json").exists():  # else the files have been read before
        _check_recordings(corpus)  # before anything is written: refused recordings leave no folder behind
    with lock_folder(run.path) if cluster.is_chief else nullcontext():
        _pretrain(settings, cluster, corpus, _prepare(corpus, config, folder, cluster), run)


def _check_numbers(settings: PretrainingSettings) -> None:
    limits = {
        "gamma": (0 < settings.gamma <= 1, "more than 0 and at most 1"),
        "lambda_k": (settings.lambda_k >= 0, "0 or more"),
        "seed": (0 <= settings.seed < 2**31, "0 to 2147483647"),
    }
    for name in NUMBERS:
        value = getattr(settings, name)
        valid, expected = limits.get(name, (value > 0, "more than 0"))
        if not valid or not math.isfinite(value):
            raise InputError.about(_option(name), value, expected, "give another number")


def _check_recordings(corpus: Corpus) -> None:
    """Raises an InputError where recordings cannot be used, or all are too short to be trained on."""
    check_audio(corpus)
    n_short = sum(measure_seconds(path) < 1 for path in corpus.utterances["path"])
    if n_short == len(corpus.utterances):
        found = "no recording of a second or more"
        raise InputError.about(corpus.name, found, "at least one second of speech", "give longer recordings")
    if n_short:
        print(f"note: {n_short} of {counted(len(corpus.utterances), 'recording')} last less than a second and are left out")


def _prepare(corpus: Corpus, config: SpectrogramConfig, folder: Path, cluster: Cluster) -> ChunkStore:
    from tqdm import tqdm

    from began.dataset import prepare_chunk_store

    paths = list(corpus.utterances["path"])
    progress = partial(tqdm, total=len(paths), desc="preparing", unit="file", disable=None)
    # Workers that share a disk wait for the first of them, and find its store.
    return prepare_chunk_store(paths, folder, config, wait=cluster.n_workers > 1, progress=progress)


def _pretrain(settings: PretrainingSettings, cluster: Cluster, corpus: Corpus, store: ChunkStore, run: RunFolder) -> None:
    from began.startup import start_backend

    start_backend()

    from tqdm import tqdm

    from began.component_analysis import write_components
    from began.components import has_components
    from began.pretraining import pretrain
    from experiments.figures.convergence import draw_pretraining
    from experiments.reporting.model_card import write_model_card

    train = partial(
        pretrain, store, run.path, settings, cluster=cluster, report=lambda line: print(printable(line), flush=True)
    )
    if not cluster.is_chief:
        train()
        print("the training is done; worker 0 has written the encoder")
        return
    corpus = replace(corpus, utterances=corpus.utterances.assign(sound=store.sounds))
    data: dict[str, object] = {
        "n_utterances": len(corpus.utterances),
        "n_chunks": store.n_chunks,
        "synthetic": corpus.synthetic,
        "sounds_sha256": corpus.sounds_sha256,
    }
    if corpus.name != librispeech.NAME:  # which config.json without a corpus means
        data |= {"corpus": corpus.name}
    # The precision, settled in the training, is kept with the checkpoint and the networks, and in environment.json.
    config = replace(settings, precision=FLOAT32).to_dict()
    _start(run, {**config, "spectrogram": store.config.to_dict(), **data}, corpus)
    encoder = run.path / "encoder.keras"
    if cluster.n_workers > 1 or not _is_complete(run, settings):
        train(draw=partial(draw_pretraining, folder=run.path))
        run.add_to_environment(precision=read_training(encoder).get("precision", FLOAT32))
        write_model_card(run.path)
        print(printable(f"wrote {encoder}"))
    if not has_components(encoder):
        progress = partial(tqdm, desc="principal components", unit="file", disable=None)
        print(printable(f"wrote {write_components(encoder, list(corpus.utterances['path']), progress)}"))


def _start(run: RunFolder, config: dict[str, object], corpus: Corpus) -> None:
    if not any((run.path / name).exists() for name in ("encoder.keras", "checkpoint.npz")):
        # A run that was refused before its first checkpoint binds nobody to its settings.
        (run.path / "config.json").unlink(missing_ok=True)
    refuse_other_sounds(run.results_dir, run.path, corpus)
    # More epochs than before is how one goes on with a finished training.
    run.start(config, may_differ=["epochs"])
    write_sounds(run.results_dir, corpus)


def _is_complete(run: RunFolder, settings: PretrainingSettings) -> bool:
    """Whether there is a finished encoder without its checkpoint, as a clone has the published one."""
    encoder = run.path / "encoder.keras"
    if not encoder.exists() or (run.path / "checkpoint.npz").exists():
        return False
    from began.precision import require_precision

    training = read_training(encoder)
    require_precision(encoder, training.get("precision", FLOAT32), settings.precision)
    done = training.get("epochs_done", 0)
    if done < settings.epochs:
        found = f"an encoder after {done:g} epochs without the checkpoint to go on from"
        action = "give another --name or --results-dir, or remove that folder to start again"
        raise InputError.about(run.path, found, "checkpoint.npz beside it", action)
    print(f"complete after {done:g} epochs; nothing to do")
    return True


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
