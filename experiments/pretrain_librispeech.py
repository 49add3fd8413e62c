"""Pre-trains the BEGAN on LibriSpeech, without labels (paper, sections 2.1 and 3.3).

    python -m experiments.pretrain_librispeech --data-dir LibriSpeech --results-dir results

writes results/pretrain_librispeech/<name>/encoder.keras, which every table takes as --encoder. The defaults are the
paper's settings (gamma 0.7, Adam, learning rate 0.00005, batch 16, 100 epochs), and what it leaves open as the README
says. Killed or interrupted, the same command goes on from the last checkpoint; more --epochs go on with a finished
training. On two CPU cores it handles 65 (AVX2) to 100 (AVX-512) chunks, seconds of speech, a second: 100 epochs of one hour
of speech take one to one and a half hours.

On several machines, the same command on each, with all addresses and its own number:

    python -m experiments.pretrain_librispeech … --workers host1:2222,host2:2222 --worker-index 0
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from began.command_line import run_script
from began.distributed import Cluster
from began.errors import InputError
from began.files import lock_folder, read_attached_json
from began.spectrogram import MAGNITUDES, SpectrogramConfig
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.corpora.record import Corpus
from experiments.evaluation.runs import RunFolder

if TYPE_CHECKING:
    from began.dataset import ChunkStore

EXPERIMENT = "pretrain_librispeech"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{EXPERIMENT}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data-dir", type=Path, required=True, help="the LibriSpeech folder (holds train-clean-100 …)")
    data.add_argument("--subsets", nargs="+", metavar="SUBSET", help="such as train-clean-100; default: all there")
    data.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    data.add_argument("--name", default="began", help="folder of this encoder under results/pretrain_librispeech")
    data.add_argument(
        "--store-dir",
        type=Path,
        help="where the chunk store lies (32 kB a second of speech); default: RESULTS_DIR/cache/librispeech-MAGNITUDE",
    )
    data.add_argument(
        "--magnitude",
        choices=MAGNITUDES,
        default="log",
        help="log, zero-centred (default), or linear, as in the authors' earlier code",
    )
    data.add_argument(
        "--input-scale",
        type=float,
        default=1.0,
        help="factor on the spectrograms, and so on the losses that move k (default: 1)",
    )
    architecture = parser.add_argument_group("architecture (Berthelot et al. 2017, section 3.5; the paper names no sizes)")
    architecture.add_argument(
        "--base-filters", type=int, default=8, help="n: the blocks have n, 2n, 3n, 4n filters (default: 8)"
    )
    architecture.add_argument(
        "--latent-size", type=int, default=64, help="h: size of the embedding and of the noise (default: 64, Berthelot et al.)"
    )
    optimisation = parser.add_argument_group("optimisation")
    optimisation.add_argument("--epochs", type=int, default=100, help="default: 100 (paper, section 3.3)")
    optimisation.add_argument("--batch-size", type=int, default=16, help="over all devices; default: 16 (section 3.3)")
    optimisation.add_argument("--learning-rate", type=float, default=5e-5, help="default: 0.00005 (section 3.3)")
    optimisation.add_argument(
        "--patience-epochs",
        type=int,
        default=8,
        help="epochs without progress of M_global after "
        "which the learning rate is halved (Berthelot et al., section 4.1; default: 8)",
    )
    optimisation.add_argument("--min-learning-rate", type=float, default=2e-6, help="its floor (default: 0.000002)")
    optimisation.add_argument("--gamma", type=float, default=0.7, help="diversity ratio; default: 0.7 (section 3.3)")
    optimisation.add_argument(
        "--lambda-k", type=float, default=0.001, help="learning rate of k; default: 0.001 (Berthelot et al., section 3.4)"
    )
    optimisation.add_argument(
        "--noise",
        choices=("shared", "separate"),
        default="shared",
        help="one noise for both losses, as public implementations (default), or one each, as Berthelot et al. write it",
    )
    optimisation.add_argument("--no-generator", action="store_true", help="train the autoencoder alone (an ablation)")
    optimisation.add_argument("--seed", type=int, default=0, help="of weights, noise and shuffling (default: 0)")
    devices = parser.add_argument_group("devices and machines")
    devices.add_argument("--devices", type=int, default=1, help="GPUs that each process uses (default: 1)")
    devices.add_argument(
        "--workers", metavar="HOST:PORT,…", help="addresses of all processes, the same on each; worker 0 writes"
    )
    devices.add_argument("--worker-index", type=int, metavar="N", help="which of the workers this process is, from 0")
    return parser


def main(arguments: argparse.Namespace) -> None:
    _check_numbers(arguments)
    cluster = Cluster.from_options(arguments.workers, arguments.worker_index, arguments.devices)
    config = SpectrogramConfig(magnitude=arguments.magnitude, input_scale=arguments.input_scale)
    run = RunFolder(arguments.results_dir, EXPERIMENT, arguments.name)
    corpus = load("librispeech", arguments.data_dir, subsets=arguments.subsets)
    print(corpus.describe(), flush=True)
    if not cluster.is_chief:
        _pretrain(arguments, cluster, corpus, config, run)
        print("the training is done; worker 0 has written the encoder")
        return
    with lock_folder(run.path):
        encoder = _pretrain(arguments, cluster, corpus, config, run)
    print(f"wrote {encoder}")


def _check_numbers(arguments: argparse.Namespace) -> None:
    def check(name: str, valid: bool, expected: str) -> None:
        value = getattr(arguments, name)
        if not valid or not math.isfinite(value):
            raise InputError.about(f"--{name.replace('_', '-')}", found=value, expected=expected, action="give another number")

    for name in (
        "base_filters",
        "latent_size",
        "epochs",
        "batch_size",
        "patience_epochs",
        "learning_rate",
        "min_learning_rate",
        "input_scale",
    ):
        check(name, getattr(arguments, name) > 0, "more than 0")
    check("gamma", 0 < arguments.gamma <= 1, "more than 0 and at most 1")
    check("lambda_k", arguments.lambda_k >= 0, "0 or more")
    check("seed", 0 <= arguments.seed < 2**31, "0 to 2147483647")


def _pretrain(
    arguments: argparse.Namespace, cluster: Cluster, corpus: Corpus, config: SpectrogramConfig, run: RunFolder
) -> Path | None:
    store = _prepare(arguments, cluster, corpus, config)

    from began.startup import start_backend

    start_backend()

    from began.pretraining import PretrainingSettings, pretrain

    settings = PretrainingSettings(
        base_filters=arguments.base_filters,
        latent_size=arguments.latent_size,
        gamma=arguments.gamma,
        lambda_k=arguments.lambda_k,
        noise=arguments.noise,
        adversarial=not arguments.no_generator,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        patience_epochs=arguments.patience_epochs,
        min_learning_rate=arguments.min_learning_rate,
        seed=arguments.seed,
    )
    encoder_path, checkpoint = run.path / "encoder.keras", run.path / "checkpoint.npz"
    if cluster.is_chief:
        if not encoder_path.exists() and not checkpoint.exists():
            # A run that was refused before its first checkpoint binds nobody to its settings.
            (run.path / "config.json").unlink(missing_ok=True)
        # More epochs than before is how one goes on with a finished training.
        run.start(
            {
                **asdict(settings),
                "spectrogram": config.to_dict(),
                "n_utterances": len(corpus.utterances),
                "n_chunks": store.n_chunks,
                "synthetic": corpus.synthetic,
            },
            may_differ=["epochs"],
        )

    # A clone has the published encoder without its checkpoint.
    if cluster.n_workers == 1 and encoder_path.exists() and not checkpoint.exists():
        done = read_attached_json(encoder_path, "pretraining", default={}).get("epochs_done", 0)
        if done >= arguments.epochs:
            print(f"complete after {done:g} epochs; nothing to do")
            return encoder_path
        raise InputError.about(
            run.path,
            found=f"an encoder after {done:g} epochs without the checkpoint to go on from",
            expected="checkpoint.npz beside it",
            action="give another --name or --results-dir, or remove that folder to start again",
        )

    def draw(pictured, history) -> None:
        from experiments.figures import draw_pretraining

        draw_pretraining(pictured, history, run.path)

    encoder = pretrain(store, run.path, settings, cluster=cluster, draw=draw, report=lambda line: print(line, flush=True))
    if cluster.is_chief:
        from experiments.reporting.model_card import write_model_card

        write_model_card(run.path)
    return encoder


def _prepare(arguments: argparse.Namespace, cluster: Cluster, corpus: Corpus, config: SpectrogramConfig) -> ChunkStore:
    from tqdm import tqdm

    from began.dataset import prepare_chunk_store

    folder = arguments.store_dir or arguments.results_dir / "cache" / f"librispeech-{config.magnitude}"
    if not (folder / "store.json").exists():  # else the files have been read before
        check_audio(corpus, progress=sys.stderr.isatty())
    paths = list(corpus.utterances["path"])
    # Workers that share a disk wait for the first of them, and find its store.
    return prepare_chunk_store(
        paths,
        folder,
        config,
        wait=cluster.n_workers > 1,
        progress=lambda files: tqdm(files, total=len(paths), desc="preparing", unit="file", disable=None),
    )


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
