"""Emotion of your own recordings.

    python -m classifiers.predict recording.wav folder/

prints one line per file: the emotion with the probabilities of all, or arousal and valence. --timeline adds how it goes on, in
windows of a few seconds (of one second where the model's head reads one second at a time), and claims nothing for windows
without speech. --output csv, json or audformat is for programs (notes go to stderr), --plot DIR saves one picture per file.
With --output csv, names that a spreadsheet would run as a formula get ./ (files) or ' (labels) in front. A model that was
calibrated notes answers that are more likely wrong than right ("unsure") and recordings that lie far from what it was trained
on. WAV, FLAC, OGG, MP3, AIFF and more are read, at any rate and length; m4a, webm and what else telephones and browsers record
after `pip install av`. A file that cannot be used is reported and skipped, and the exit code is then 1. A path that does not
exist stops the command before the first prediction.

    python -m classifiers.predict --model model.keras --export onnx

writes model.onnx, for programs without Python: from spectrograms to emotions (docs/recordings.md has an example). Without
--model the published model is used, trained on EmoDB.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from began import published_networks
from began.command_line import KEEP_BYTES, run_script
from began.errors import InputError, printable
from began.files import check_writable
from began.find_sounds import describe_other_encodings, find_sounds
from began.media_fragments import describe_path, split_channel
from began.network_file import UnknownLayer
from began.onnx_network import load_onnx_network
from began.startup import BACKENDS, start_backend
from began.utterance_features import add_window_options, choose_windows
from classifiers.description import match_labels, read_description
from classifiers.grouping import (
    BOTH,
    CHOICES,
    MIX,
    adapt_by_speaker,
    choose_channels,
    describe_left_out,
    find_usable,
    group_by_speaker,
)
from classifiers.head_parameters import UTTERANCE
from classifiers.metrics import CATEGORICAL
from classifiers.output_formats import FORMATS
from classifiers.prediction import Prediction
from classifiers.predictor import Predictor, load_predictor
from classifiers.utterance_predictor import ENOUGH_TO_ADAPT, check_enough

MOST_LISTED = 50
"""Of a list in `--about`; of longer ones, such as the hashes of recordings, the first three and the number."""

MAX_NAME_BYTES = 240
"""Of a picture's name without number and ending: file systems take 255 in all."""

LONG_SECONDS = 30.0
"""A single answer for a recording that is longer than this says little: emotions change."""

TABLES = ("csv", "audformat")
"""Outputs that name files as they lie on the disk; the others escape what is not UTF-8."""

RUNTIMES = ("auto", "onnx", "tensorflow")

ADAPT_HINT = (
    "recordings of one speaker or one room may be recognised better with --adapt FOLDER, without labels; those of several, "
    "each in a folder, with --speakers-from-folders"
)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m classifiers.predict", description=__doc__)
    add = parser.add_argument
    add("sounds", nargs="*", type=Path, metavar="FILE_OR_FOLDER", help="sound files, and folders that are searched for them")
    model = "model.keras or model-dimensional.keras, as every table writes them (default: the published one)"
    add("--model", type=Path, default=published_networks.MODEL, help=model)
    add("--timeline", action="store_true", help="add the emotion over time")
    add_window_options(parser, "of models that read whole utterances")
    single = "score each file at its own speed alone, not averaged over seven: faster, less accurate (EmoDB: 72 %%, not 77 %%)"
    add("--single-pass", action="store_true", help=single)
    adapt = "recordings of the same speaker or the same room, at least ten, without labels: the model adapts to their mean"
    add("--adapt", type=Path, metavar="FOLDER", help=adapt)
    folders = "adapt to each speaker: every folder within those that are named holds at least ten recordings of one"
    add("--speakers-from-folders", action="store_true", help=folders)
    channel = "of stereo recordings, such as calls: read one, or give an answer for each (default: mix)"
    add("--channel", choices=CHOICES, default=MIX, help=channel)
    labels = "answers that can occur; the others get 0 %%; one that has a comma stands in quotes: 'joy,\"fear, mild\"'"
    add("--labels", type=_split_labels, metavar="A,B,…", help=labels)
    add("--about", action="store_true", help="print what the model is, and stop")
    add("--output", choices=tuple(FORMATS), default="text", help="form of the output (default: text)")
    add("--plot", type=Path, metavar="DIR", help="save a PNG picture of each file: waveform, spectrogram, emotion over time")
    runtime = (
        "what runs the model: onnx, ONNX Runtime, which starts in a fraction of the time, or tensorflow; auto (default): onnx, "
        "where KERAS_BACKEND is not set"
    )
    add("--runtime", choices=RUNTIMES, default="auto", help=runtime)
    add("--export", choices=("onnx", "saved_model"), help="write the model in another format")
    add("--export-to", type=Path, metavar="PATH", help="where (default: beside the model; here, if it is the published one)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    choose_windows(arguments.window, arguments.hop)
    check_export(arguments)
    if arguments.about:
        print("\n".join(describe(read_description(arguments.model))))
        return 0
    if not arguments.sounds and not arguments.export:
        expected = "at least one sound file or folder"
        raise InputError.about("FILE_OR_FOLDER", "nothing", expected, "name your recordings, or use --export")
    description = read_description(arguments.model)
    labels = choose_labels(arguments.labels, description)
    check_options(arguments, description)
    files = find_sounds(arguments.sounds)
    paths = choose_channels(files, arguments.channel)
    pictures = name_pictures(paths, arguments.plot) if arguments.plot else {}
    if arguments.export:
        _export(arguments)
        if not paths:
            return 0
    predictor = open_predictor(arguments.model, arguments.runtime)
    if labels:
        predictor = predictor.restrict(labels)
    adapt_to = _find_adapting(arguments) if arguments.adapt else None
    n_bad = _predict(predictor, paths, pictures, adapt_to, arguments)
    sys.stdout.flush()
    if n_bad:
        what = "channels" if len(paths) > len(files) else "files"
        print(f"{n_bad} of {len(paths)} {what} could not be used and were skipped.", file=sys.stderr)
    could_adapt = description.get("kind") == UTTERANCE and arguments.channel != BOTH and len(paths) - n_bad >= ENOUGH_TO_ADAPT
    if could_adapt and not arguments.adapt and not arguments.speakers_from_folders:
        print(f"note: {ADAPT_HINT}", file=sys.stderr)
    if pictures and n_bad < len(paths):
        print(f"pictures are in {printable(arguments.plot)}", file=sys.stderr)
    return 1 if n_bad else 0


def check_export(arguments: argparse.Namespace) -> None:
    """Raises an InputError where options do not go with --export, or without it, or --export-to names another kind of file."""
    if arguments.export_to and not arguments.export:
        raise InputError.about("--export-to", "it without --export", "both", "add --export onnx or --export saved_model")
    if arguments.export == "onnx" and arguments.export_to and arguments.export_to.suffix.lower() != ".onnx":
        raise InputError.about(
            "--export-to", printable(arguments.export_to), "a name that ends in .onnx", "choose another name"
        )
    whole, nothing = "the whole model is exported", "it prints what the model is, and stops"
    for option, reason in {"labels": whole, "adapt": whole, "single_pass": whole, "about": nothing}.items():
        if arguments.export and getattr(arguments, option):
            name = f"--{option.replace('_', '-')}"
            raise InputError.about(name, "it with --export", f"one of both: {reason}", f"leave out {name}")
    for option in ("timeline", "plot", "speakers_from_folders"):
        if arguments.export and not arguments.sounds and getattr(arguments, option):
            name = f"--{option.replace('_', '-')}"
            raise InputError.about(name, "--export without recordings", "recordings", f"name them, or leave out {name}")


def _export(arguments: argparse.Namespace) -> None:
    from classifiers.export import SUFFIXES, export_model

    to = arguments.export_to
    if to is None and arguments.model == published_networks.MODEL:  # which may lie where nobody writes or looks
        to = Path(published_networks.MODEL.stem + SUFFIXES[arguments.export])
    exported = export_model(arguments.model, arguments.export, to)
    same = "which gives the same numbers for the same spectrograms; docs/recordings.md says how to make these"
    print(f"wrote {printable(exported)}, {same}", file=sys.stderr)


def _find_adapting(arguments: argparse.Namespace) -> list[Path]:
    """Returns the recordings of --adapt that can be used; raises an InputError where they are too few."""
    named = choose_channels(find_sounds([arguments.adapt]), arguments.channel)
    usable = find_usable(named)
    if left_out := describe_left_out(named, usable):
        print(f"note: --adapt: {left_out}", file=sys.stderr)
    check_enough(usable)
    return usable


def open_predictor(path: Path, runtime: str = "auto") -> Predictor:
    """Returns a saved predictor, on one of RUNTIMES.

    Raises:
        InputError: see `load_predictor`; or ONNX Runtime was asked for, and cannot run the model.
    """
    if runtime == "onnx" or (runtime == "auto" and "KERAS_BACKEND" not in os.environ):
        try:
            return load_predictor(path, load_onnx_network)
        except UnknownLayer as error:
            if runtime == "onnx":
                found = f"a network with {error}, which it cannot run"
                raise InputError.about(path, found, "layers that it knows", "leave --runtime out") from error
    start_backend(["tensorflow"] if runtime == "tensorflow" else BACKENDS)
    return load_predictor(path)


def _predict(
    predictor: Predictor,
    paths: list[Path],
    pictures: dict[Path, Path],
    adapt_to: list[Path] | None,
    arguments: argparse.Namespace,
) -> int:
    """Writes and draws the predictions as they come, and returns how many of the paths could not be used."""
    from tqdm import tqdm

    from classifiers.picture import plot_prediction

    def write(text: str) -> None:
        if sys.stdout.isatty():  # a bar on the same terminal has to make room; files get the names as they are
            tqdm.write(printable(text, keep="\n"), file=sys.stdout, end="")
        else:
            sys.stdout.write(text)

    n_seconds, n_bad, long = 0, 0, []
    with tqdm(total=len(paths), unit="file", desc="predicting", file=sys.stderr, delay=1.0, leave=False, disable=None) as bar:

        def count(n_chunks: int) -> None:
            nonlocal n_seconds
            n_seconds += n_chunks
            bar.set_postfix_str(f"{n_seconds} s of sound")

        def good_ones() -> Iterator[Prediction]:
            nonlocal n_bad
            windows = choose_windows(arguments.window, arguments.hop) if arguments.timeline or pictures else None
            groups: Iterable[tuple[list[Path], list[Path] | None, str]] = [(paths, adapt_to, "")]
            if arguments.speakers_from_folders:
                groups = adapt_by_speaker(group_by_speaker(arguments.sounds, paths))
            for group, adapting, note in groups:
                if note:
                    tqdm.write(f"note: {note}", file=sys.stderr)
                for path, outcome in predictor.predict_files(group, count, windows, not arguments.single_pass, adapting):
                    bar.update()
                    if isinstance(outcome, InputError):
                        n_bad += 1
                        tqdm.write(f"skipped: {outcome}", file=sys.stderr)
                        continue
                    if path in pictures:
                        plot_prediction(outcome, predictor, pictures[path])
                    if outcome.seconds > LONG_SECONDS and windows is None:
                        long.append(outcome)
                    yield outcome

        if arguments.output in TABLES:
            getattr(sys.stdout, "reconfigure", lambda **options: None)(errors=KEEP_BYTES)
            if (note := describe_other_encodings(paths)) and not sys.stdout.isatty():  # there, nothing is kept
                print(f"note: {note}", file=sys.stderr)
        for text in FORMATS[arguments.output](good_ones(), predictor, arguments.timeline, arguments.channel):
            write(text)
    if long:
        what = f"{printable(describe_path(long[0].path))} lasts" if len(long) == 1 else f"{len(long)} recordings last"
        answers = "a single answer" if len(long) == 1 else "a single answer each"
        print(f"note: {what} over {LONG_SECONDS:.0f} s, and got {answers}; --timeline tells how it goes on", file=sys.stderr)
    return n_bad


def _split_labels(text: str) -> list[str]:
    """Returns the labels of --labels, which are separated as the cells of a CSV file."""
    try:
        return [label.strip() for label in next(csv.reader([text], skipinitialspace=True))] or [""]
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"cannot be split into labels ({error})") from error


def _list_labels(labels: Sequence[str]) -> str:
    return ("; " if any("," in label for label in labels) else ", ").join(labels)


def choose_labels(named: list[str] | None, description: dict[str, Any]) -> list[str]:
    """Returns the classes of the model that answers are restricted to; none: all can occur.

    Labels that are written in another case than the model's are taken for them, with a note.

    Raises:
        InputError: the model has no classes or not these, a label is empty, or fewer than two are left.
    """
    is_categorical = description.get("task", CATEGORICAL) == CATEGORICAL
    known = description.get("labels", []) if is_categorical else []
    by_case = match_labels(named or [], known)
    labels = list(dict.fromkeys(by_case.get(label, label) for label in named or []))
    if labels and (len(labels) < 2 or not set(labels) <= set(known)):
        expected = f"at least two of {_list_labels(known)}" if known else "a model of emotion classes"
        action = "correct or leave it out"
        if any("," in label for label in known):
            action = f"{action}; labels with a comma stand in quotes: --labels 'one,\"two, or more\"'"
        found = _list_labels([label or "an empty label" for label in named or []])
        raise InputError.about("--labels", printable(found), expected, action)
    if by_case:
        taken = ", ".join(f"{label} for {meant}" for label, meant in by_case.items())
        print(printable(f"note: taken for classes of the model: {taken}"), file=sys.stderr)
    return labels


def check_options(arguments: argparse.Namespace, description: dict[str, Any]) -> None:
    """Checks that the model can do what it is asked to: to adapt, to one speaker at a time, and to read at will.

    Raises:
        InputError: it reads single seconds; both options to adapt are given, or both channels; or windows of nothing.
    """

    def given(*names: str) -> list[str]:
        return [name for name in names if getattr(arguments, name[2:].replace("-", "_"))]

    adapting, windows = given("--adapt", "--speakers-from-folders"), given("--window", "--hop")
    if len(adapting) == 2:
        raise InputError.about(" and ".join(adapting), "both", "one: each says whom to adapt to", "leave one out")
    of_utterances = [*adapting, *windows, *given("--single-pass")]
    if of_utterances and description.get("kind") != UTTERANCE:
        found, expected = "a model that reads one second at a time", "one that reads whole utterances"
        raise InputError.about(of_utterances[0], found, expected, "leave it out, or give another")
    if adapting and arguments.channel == BOTH:
        action = "predict --channel left and --channel right one after the other"
        raise InputError.about(adapting[0], "it with --channel both", "one speaker", action)
    if windows and not given("--timeline", "--plot"):
        expected, action = (
            "--timeline or --plot, which show the emotion in windows",
            f"add one of them, or leave out {windows[0]}",
        )
        raise InputError.about(windows[0], "neither --timeline nor --plot", expected, action)


def describe(description: dict[str, Any]) -> Iterator[str]:
    """Yields lines that say what a model is, from what `read_description` returns."""
    for name, value in description.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        elif isinstance(value, list):
            shown = value if len(value) <= MOST_LISTED else [*value[:3], f"and {len(value) - 3} more"]
            value = ", ".join(map(str, shown))
        yield f"{name.replace('_', ' ')}: {printable(value)}"


def name_pictures(paths: list[Path], folder: Path) -> dict[Path, Path]:
    """Returns a PNG file for each sound file, named after it; equal names get a number, long ones are cut. Makes the folder.

    Raises:
        InputError: the folder cannot be written to.
    """
    check_writable(folder, "--plot")
    pictures: dict[Path, Path] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # the last one of each name, so that the search for a free one goes on from there
    for path in paths:
        file, channel = split_channel(path)
        stem, end = file.stem, f"-{channel}" if channel else ""
        while len(os.fsencode(stem + end)) > MAX_NAME_BYTES:
            stem = stem[:-1]
        stem += end
        number, name = numbers.get(stem.lower(), 1), stem
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        numbers[stem.lower()] = number
        taken.add(name.lower())
        pictures[path] = folder / f"{name}.png"
    return pictures


def run() -> int:
    """Runs the command as the program `began-predict`."""
    return run_script(main, make_parser(), kept="Predictions that were printed are complete; others are missing.")


if __name__ == "__main__":
    sys.exit(run())
