"""Everything once, on speech that this project synthesises itself: LibriSpeech -> BEGAN -> head -> Table 3 -> predict.

    python -m experiments.demo --output-dir demo

writes corpora in the real layouts and runs the real commands on them with small settings. Synthetic emotions are easy:
the scores show that everything works, and nothing about speech.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

from began import published_networks
from began.command_line import GOES_ON, run_script
from began.errors import printable
from began.files import lock_folder

_ENCODER, _MODEL = (quote(os.path.relpath(path)) for path in (published_networks.ENCODER, published_networks.MODEL))
NEXT = f"""
What to do next, with the published networks:
  an emotion for a recording of yours   python -m classifiers.predict --model {_MODEL} recording.wav
  Table 3 on EmoDB                      python -m experiments.download emodb --dest data
                                        python -m experiments.table3_emodb --data-dir data/EmoDB \
--encoder {_ENCODER} --results-dir my-results
  a data set of yours                   python -m experiments.custom --manifest my.csv --protocol loso --name mine \
--encoder {_ENCODER} --results-dir my-results
"""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description=__doc__)
    parser.add_argument("--output-dir", type=Path, default=Path("demo"), help="default: demo")
    parser.add_argument("--epochs", type=int, default=12, help="of the pre-training (default: 12)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    from experiments.corpora import synthetic

    started = time.monotonic()
    data, results = arguments.output_dir / "data", arguments.output_dir / "results"
    print(printable(f"1. Synthesising corpora in {data}"), flush=True)
    with lock_folder(arguments.output_dir):
        librispeech = synthetic.write_librispeech(data / "LibriSpeech", n_speakers=8, n_utterances=7, seconds=5.0)
        emodb = synthetic.write_emodb(data / "EmoDB", speakers=5, n_texts=3)
    pretrain = ["--data-dir", librispeech, "--epochs", arguments.epochs, "--learning-rate", 0.0005]
    table = ["--data-dir", emodb, "--encoder", results / published_networks.ENCODER_FILE]
    table += ["--runs", 2, "--max-evals", 3]
    model = results / "table3_emodb" / "utterance_head" / "model.keras"
    for title, module, *words in (
        ("2. Pre-training the BEGAN without labels", "experiments.pretrain_librispeech", "--results-dir", results, *pretrain),
        ("3. Table 3: leave one speaker out", "experiments.table3_emodb", "--results-dir", results, *table),
        ("4. The emotion of one recording", "classifiers.predict", "--model", model, emodb / "wav" / "03a01Fa.wav"),
        ("5. The report", "experiments.report", "html", "--results-dir", results, "--data-dir", data),
    ):
        print(f"\n{title}", flush=True)
        if code := _run(module, *map(str, words)):
            return code
    print(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes; everything lies in {printable(arguments.output_dir)}.")
    print("The speech was synthetic and made to be easy: its scores show that everything runs, and are no result.")
    print(NEXT, end="")
    return 0


def _run(module: str, *words: str) -> int:
    """Runs a command as its user would, and shows how."""
    print(printable(f"   python -m {module} {' '.join(words)}"), flush=True)
    return subprocess.run([sys.executable, "-m", module, *words]).returncode


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
