"""What files sound like, as hashes that are kept: no file is read twice for its hash unless it has changed."""

import functools
import hashlib
import importlib.metadata
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from began.audio import hash_sound
from began.containers import LEAD_SECONDS
from began.errors import raise_resource_error
from began.files import StrPath, lock_folder, write_text
from began.media_fragments import split_part

RECORD = "sounds/hashes.json"
"""Where hashes are kept, in the folder of caches."""

State = list[int]
"""Size, times of the last change of content and of anything, and inode of a file: no change leaves all of them as they were."""


class SoundHashes:
    """The hashes of sound files (`began.audio.hash_sound`), and a record of them on disk.

    Args:
        cache_dir: folder of caches, where the record lies. It may be removed at any time; where it is damaged, or was made with
            other decoders, which may decode MP3 or m4a to other last bits, files are read again.
    """

    def __init__(self, cache_dir: StrPath) -> None:
        self._path = Path(cache_dir) / RECORD
        self._known = self._read()
        self._new: dict[str, tuple[State, str]] = {}

    def _read(self) -> dict[str, tuple[State, str]]:
        try:
            checksum, text = self._path.read_text(encoding="ascii").split("\n", 1)
            record = json.loads(text) if int(checksum, 16) == zlib.crc32(text.encode()) else {}
            return dict(record["files"]) if record["decoders"] == name_decoders() else {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise_resource_error(error)
            return {}

    def of(self, path: StrPath) -> str:
        """Returns the hash of a file, which is read where it is not known or has changed; raises as `hash_sound` does."""
        name, state = str(Path(path).absolute()), read_file_state(path)
        known_state, digest = self._known.get(name, ([], ""))
        if not state or state != known_state:
            digest = hash_sound(path)
            self._known[name] = self._new[name] = (state, digest)
        return digest

    def save(self) -> None:
        """Adds what is new to the record; raises an InputError where it cannot be written."""
        if self._new:
            with lock_folder(self._path.parent, wait=True):
                text = json.dumps({"decoders": name_decoders(), "files": self._read() | self._new})
                write_text(self._path, f"{zlib.crc32(text.encode()):08x}\n{text}")
            self._new = {}


@functools.cache
def name_decoders() -> str:
    """Returns the versions of what decodes sound, libsndfile and PyAV, where it is installed, and how parts are gone to."""
    import soundfile

    try:
        av = importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        av = "none"
    return f"libsndfile {soundfile.__libsndfile_version__}, av {av}, parts from {LEAD_SECONDS} s before"


def read_file_state(path: StrPath) -> State:
    """Returns the state of a file, also of one that `path` names a part of (`began.media_fragments.name_part`).

    It is empty where the file cannot be looked at: reading it will say why.
    """
    try:
        status = split_part(path)[0].stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def hash_together(hashes: Iterable[str]) -> str:
    """Returns one hash for the hashes of several sounds, with or without their names, in their order."""
    return hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape")).hexdigest()
