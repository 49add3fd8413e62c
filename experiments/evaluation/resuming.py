"""What a run that goes on must agree with: its settings, and its recordings, sample for sample."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError, printable, shorten
from began.files import StrPath
from experiments.corpora.record import Corpus
from experiments.evaluation.result_files import read_json, refusing, write_table

OTHERWISE = "choose another --results-dir (or another --name, where the command has one), or remove that folder"

_HASHED = {
    "encoder_sha256": "encoders",
    "utterances_sha256": "names, labels or speakers of utterances",
    "source_utterances_sha256": "names, labels or speakers of utterances of the other corpus",
    "source_sounds_sha256": "recordings of the other corpus",
    "model_sha256": "models",
    "components_sha256": "principal components beside the encoder",
}
"""Key of config.json that is a hash -> what it is a hash of."""


def refuse_other_settings(folder: Path, before: Mapping, config: Mapping, may_differ: Collection[str] = ()) -> None:
    """Raises an InputError that shows what differs between the settings that a folder holds and those of now.

    Args:
        folder: of a run, or of searches.
        before, config: content of its config.json, and what it would be now.
        may_differ: keys that are not compared.
    """
    missing = object()
    may_differ = {*may_differ, "n_unpublished"}  # utterances are compared by their hash
    if before and "sounds_sha256" not in before:  # of a version without: unknown, not other, see `refuse_other_sounds`
        may_differ = {*may_differ, "sounds_sha256"}
    keys = [key for key in dict.fromkeys([*before, *config]) if key not in may_differ]
    if differing := [key for key in keys if before.get(key, missing) != config.get(key, missing)]:
        hashed = {key: meaning for key, meaning in _HASHED.items() if key in differing and key in before and key in config}
        if "encoder_sha256" in hashed:
            hashed.pop("components_sha256", None)  # another encoder has others
        meant = "".join(f"; {meaning} are not the same" for meaning in hashed.values())
        subject, action = f"{folder} (made with other settings{meant})", f"repeat the settings found, or {OTHERWISE}"
        raise InputError.about(subject, _show(before, differing), _show(config, differing), action)


def _show(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Returns settings in one line; of hashes, as many digits as tell them apart."""
    known = {key: value[:8] if key.endswith("_sha256") and isinstance(value, str) else value for key, value in values.items()}
    shown = (f"{key}={json.dumps(known[key], ensure_ascii=False)}" if key in known else f"{key} not set" for key in keys)
    return ", ".join(shown)


def write_sounds(results_dir: StrPath, corpus: Corpus) -> None:
    """Writes the sounds of a corpus, so that a run that is bound to their hash can tell which have changed."""
    path = _sounds_path(results_dir, corpus.sounds_sha256)
    if not path.exists():
        write_table(path, corpus.utterances[["utterance", "sound"]])


def refuse_other_sounds(results_dir: StrPath, folder: Path, corpus: Corpus) -> None:
    """Raises an InputError that names recordings which are no longer those that a run, or searches, were made on.

    A folder without the hash of its sounds was written before runs had one: nothing is known of them, and it is taken as it is.

    Args:
        folder: of the run or the searches; need not exist.
        corpus: as it is now, with its sounds.
    """
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    before = config.get("sounds_sha256", corpus.sounds_sha256)
    if before == corpus.sounds_sha256 or config.get("utterances_sha256", corpus.sha256) != corpus.sha256:
        return  # other names or labels are found when settings are compared
    path, now = _sounds_path(results_dir, before), corpus.utterances.set_index("utterance")["sound"]
    found = "a run on recordings that have changed since"
    if path.is_file():
        with refusing(path, "a CSV table"):
            was = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("utterance")["sound"]
        changed = [printable(name) for name in now.index.union(was.index) if now.get(name) != was.get(name)]
        found += f": {len(changed)} of {len(was)} ({shorten(changed)})"
    raise InputError.about(folder, found, "the recordings that it was made on", f"restore them, or {OTHERWISE}")


def _sounds_path(results_dir: StrPath, sounds_sha256: str) -> Path:
    return Path(results_dir) / "sounds" / f"{sounds_sha256[:16]}.csv"
