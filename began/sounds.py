"""What files sound like, as hashes that are kept: no file is read twice for its hash unless it has changed."""

import json
import os
import zlib
from pathlib import Path

from began.audio import hash_sound
from began.files import write_text

State = list[int]
"""Size, times of the last change of content and of anything, and inode of a file: no change leaves all of them as they were."""


class SoundHashes:
    """The hashes of sound files (`began.audio.hash_sound`), and a record of them on disk.

    Args:
        folder: of caches, where the record lies. It may be removed at any time; where it is damaged, files are read again.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._path = Path(folder) / "sounds.json"
        self._known: dict[str, tuple[State, str]] = self._read()
        self._is_new = False

    def _read(self) -> dict[str, tuple[State, str]]:
        try:
            checksum, text = self._path.read_text(encoding="ascii").split("\n", 1)
            return json.loads(text) if int(checksum, 16) == zlib.crc32(text.encode()) else {}
        except (OSError, ValueError):
            return {}

    def of(self, file: str | os.PathLike[str]) -> str:
        """Returns the hash of a file, which is read where it is not known; raises as `hash_sound` does."""
        if (known := self.recall(file)) is not None:
            return known
        state = _look_at(file)
        return self.note(file, state, hash_sound(file))

    def recall(self, file: str | os.PathLike[str]) -> str | None:
        """Returns the hash of a file that has not changed since it was read; None of any other."""
        state, digest = self._known.get(_name(file), ([], ""))
        return digest if state and state == _look_at(file) else None

    def note(self, file: str | os.PathLike[str], state: State, digest: str) -> str:
        """Notes and returns the hash of a file that was in a state when its reading began."""
        self._known[_name(file)] = (state, digest)
        self._is_new = True
        return digest

    def save(self) -> None:
        """Writes the record, if something new is in it; raises an InputError where it cannot be written."""
        if self._is_new:
            text = json.dumps(self._known)
            write_text(self._path, f"{zlib.crc32(text.encode()):08x}\n{text}")
            self._is_new = False


def _name(file: str | os.PathLike[str]) -> str:
    return str(Path(file).absolute())


def _look_at(file: str | os.PathLike[str]) -> State:
    try:
        status = Path(file).stat()
    except OSError:  # reading it will say what is wrong
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
