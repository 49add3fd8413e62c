"""Reports what a corpus' folder holds, what is missing, and whether the counts are the published ones; or on the machine.

    python -m experiments.check emodb data/EmoDB

reads every sound file from beginning to end (LibriSpeech's 100 hours take some minutes; --quick opens them only) and
ends with exit code 1 when something is missing, surplus, damaged or there twice. It also says how the recordings were made
(level, constant offset, clipping, bandwidth, sample rate), and which differ from the others: that changes no exit code.

    python -m experiments.check machine

says with which devices, precision, threads and versions commands run here, and what would make them faster.
"""

import argparse
from pathlib import Path

from began.audio import hash_sound
from began.command_line import run_script
from began.errors import InputError, counted, printable
from experiments.corpora import CORPORA, describe_corpus, load, omg
from experiments.corpora.duplicates import describe_duplicates
from experiments.corpora.folders import probe, try_each
from experiments.corpora.record import Corpus, count_speakers
from experiments.corpora.recording_quality import Meters

MACHINE = "machine"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.check", description=__doc__)
    parser.add_argument("corpus", choices=(*CORPORA, MACHINE), help="what is checked")
    data_dir = "the corpus' folder; for `manifest` the CSV file; for `machine` nothing"
    parser.add_argument("data_dir", type=Path, nargs="?", metavar="DIR", help=data_dir)
    parser.add_argument("--annotations-dir", type=Path, help="where OMG-Emotion's CSV files lie, if not in DIR")
    parser.add_argument("--quick", action="store_true", help="open the sound files only: neither decode nor compare them")
    return parser


def main(arguments: argparse.Namespace) -> int:
    name, data_dir = arguments.corpus, arguments.data_dir
    if (name == MACHINE) != (data_dir is None):
        found, expected = ("nothing", "the folder of a corpus") if data_dir is None else (data_dir, "nothing for `machine`")
        raise InputError.about("DIR", printable(found), expected, "correct it")
    if name == MACHINE:
        return _check_machine()
    options = {"annotations_dir": arguments.annotations_dir, "unlabelled": True} if name == "omg" else {}
    if arguments.annotations_dir is not None and name != "omg":
        raise InputError.about("--annotations-dir", f"it with {name}", "it with omg only", "leave it out")
    corpus = load(name, data_dir, **options)
    print(describe_corpus(name) + "\n")
    # Columns that are not used are no fault of a manifest; other corpora note what differs from the published counts.
    remarked, wrong = (corpus.notes, []) if name == "manifest" else ((), list(corpus.notes))
    print("\n".join([*_count(corpus), *(f"note: {line}" for line in remarked)]))
    if corpus.missing is not None:
        wrong += [f"missing: {row.split} {row.expected}" for row in corpus.missing.itertuples()]
    meters = Meters()
    read = probe if arguments.quick else lambda path: hash_sound(path, meters.start(path))
    sounds, problems = try_each(corpus.utterances["path"], read)
    wrong += problems
    if not arguments.quick:
        table = corpus.utterances.assign(sound=corpus.utterances["path"].map(sounds)).dropna(subset="sound")
        wrong += describe_duplicates(table, list_differing=True)
    speakers, remarks = meters.describe(corpus.utterances)
    if name == omg.NAME:
        remarks += omg.describe_neighbours(omg.read_annotations(arguments.annotations_dir or data_dir))
    if speakers:
        print("sound, by speaker:\n" + "\n".join(speakers))
    if remarks:
        print("\nPossible confounds, which a classifier may learn in place of emotions:")
        print("\n".join(f"- {line}" for line in remarks))
    if not wrong:
        print("\nEverything is there and sound" + ("." if name == "manifest" else ": the counts are the published ones."))
        return 0
    print("\n" + "\n".join(f"! {printable(line)}" for line in wrong))
    print(f"\n{counted(len(wrong), 'thing')} to look at in {printable(data_dir)}.")
    return 1


def _check_machine() -> int:
    from experiments.evaluation.machine import advise_here, describe_machine

    print("\n".join(map(printable, describe_machine())))
    print("\nwhat would make it faster:\n" + "\n".join(f"- {line}" for line in advise_here() or ["nothing that is known here"]))
    return 0


def _count(corpus: Corpus) -> list[str]:
    """Returns what is there: utterances, speakers, and utterances by label, split, subset and sex."""
    table = corpus.utterances
    lines = [f"found {counted(len(table), 'utterance')}; {count_speakers(table['speaker'])}"]
    for column in ("label", "split", "subset", "sex"):
        if column in table and table[column].astype(bool).any():
            counts = sorted(table[column].value_counts().items(), key=lambda pair: (pair[0] == "", pair[0]))  # "": not known
            lines.append(f"  {column}: " + ", ".join(f"{printable(name) or 'unknown'} {count}" for name, count in counts))
    return lines


if __name__ == "__main__":
    raise SystemExit(run_script(main, make_parser()))
