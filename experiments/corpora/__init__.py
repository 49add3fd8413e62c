"""One module per corpus, each in the same order: description, citation, licence, how to obtain it, names, `load`."""

from began.errors import InputError
from began.files import StrPath
from experiments.corpora import emodb, librispeech, manifest_file, omg, savee
from experiments.corpora.folders import check_audio
from experiments.corpora.record import Corpus

CORPORA = {module.NAME: module for module in (librispeech, savee, omg, emodb, manifest_file)}


def load(name: str, data_dir: StrPath, **options: object) -> Corpus:
    """Returns a corpus as it lies on the disk: paths and labels, no audio.

    Args:
        name: a key of `CORPORA`.
        data_dir: its folder (for `manifest` the CSV file).
        options: further arguments of that corpus' own `load`.
    Raises:
        InputError: no such corpus, or its folder does not hold it.
    """
    if name not in CORPORA:
        raise InputError.about("corpus", repr(name), f"one of {', '.join(CORPORA)}", "choose one of these")
    return CORPORA[name].load(data_dir, **options)


def describe_corpus(name: str) -> str:
    """Returns what a known corpus is, its licence, and how it wants to be cited."""
    corpus = CORPORA[name]
    cite = f"\nCite: {corpus.CITATION}" if corpus.CITATION else ""
    return f"{corpus.DESCRIPTION}\nLicence: {corpus.LICENCE}{cite}"


def open_corpus(name: str, data_dir: StrPath, **options: object) -> Corpus:
    """Prints what a corpus holds, and what to know about it, then returns it with its sound files checked, which may take long.

    Raises:
        InputError: see `load`; also every sound file that cannot be used.
    """
    corpus = load(name, data_dir, **options)
    introduce(corpus)
    check_audio(corpus)
    return corpus


def introduce(corpus: Corpus) -> None:
    """Prints what a corpus holds, and what to know about it, at once."""
    print("\n".join([corpus.describe(), *(f"note: {note}" for note in corpus.notes)]), flush=True)
