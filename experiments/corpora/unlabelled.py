"""Speech without emotion labels, to be pre-trained on: LibriSpeech, another folder of sound, or a CSV file of recordings."""

import math
from collections.abc import Sequence
from pathlib import Path

from began.errors import InputError, printable
from began.files import StrPath, is_file, is_folder
from began.find_sounds import SUFFIXES
from experiments.corpora import librispeech, manifest_file
from experiments.corpora.folders import find_files
from experiments.corpora.record import UNKNOWN_SPEAKER, Corpus, build_corpus


def load(data_dir: StrPath, subsets: Sequence[str] | None = None) -> Corpus:
    """Returns the utterances of LibriSpeech, of another folder of sound, or of a manifest, which needs no labels here.

    A folder with files that are named as LibriSpeech's, and lie in such folders, is taken to be LibriSpeech.

    Args:
        data_dir: the folder, or the CSV file.
        subsets: of LibriSpeech.
    Raises:
        InputError: see the loaders; without any sound, what LibriSpeech's says. Where a file's name decided for LibriSpeech,
            the message names it.
    """
    folder = Path(data_dir)
    if is_file(folder) and subsets is None:
        return manifest_file.load(folder, unlabelled=True)
    # Files of telephones, too, so that none is left out without a word.
    paths = find_files(folder, SUFFIXES, math.inf) if is_folder(folder) else []
    if subsets is not None or not paths:
        return librispeech.load(folder, subsets)
    if published := next(filter(librispeech.is_published, paths), None):
        try:
            return librispeech.load(folder)
        except InputError as error:
            reason = f"taken for LibriSpeech because of {printable(published)} (a CSV file can list other speech)"
            raise InputError(f"{reason}: {error}") from error
    rows = [{"utterance": path.relative_to(folder).as_posix(), "path": str(path), "speaker": UNKNOWN_SPEAKER} for path in paths]
    return build_corpus(folder.absolute().name, rows)
