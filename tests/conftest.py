"""What all tests share: quiet and modest TensorFlow, the real corpora where they are at hand, a miniature chunk store."""

from __future__ import annotations

import errno
import functools
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from small_results import SMALL_RUN

from began.startup import set_environment

# Before TensorFlow is imported anywhere; the scripts that tests start inherit it. Tests run side by side.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("KERAS_BACKEND", None)  # tests of another backend set it themselves
set_environment()
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Where the tests run in the background of a script, Ctrl-C is ignored, and whatever they start would ignore it, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests say the same every time, also on a busy machine; `make fuzz` searches at random, with the other profile.
_steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("repeatable", _steady, derandomize=True, max_examples=60)
settings.register_profile("random", _steady, derandomize=False, max_examples=1_000, print_blob=True)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]
LONGEST = (
    "test_readme",
    "test_crashes",
    "test_evaluation",
    "test_pretraining",
    "test_notebooks",
    "test_distributed",
    "test_benchmarks",
    "test_search",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first: one that is begun last keeps one process busy for as long, and all others wait."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder that holds LibriSpeech/, EmoDB/ and OMG/; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real corpora: {folder} is absent (set SHARED_DATA to their folder)")
    return folder


@pytest.fixture
def forbid(monkeypatch):
    """Returns a function that forbids entering a folder, as other users' are; for root, too, who may enter any."""
    before, forbidden = {name: getattr(os, name) for name in ("stat", "scandir", "access")}, []

    def look(name: str, path: object, *arguments: object, **options: object) -> object:
        place = Path(path).parent if name == "stat" and isinstance(path, (str, os.PathLike)) else path
        if isinstance(place, (str, os.PathLike)) and any(Path(place).is_relative_to(folder) for folder in forbidden):
            if name == "access":
                return False
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return before[name](path, *arguments, **options)

    for name in before:
        monkeypatch.setattr(os, name, functools.partial(look, name))
    return forbidden.append


@pytest.fixture(scope="session")
def small_config():
    """Spectrograms of 32 bins and 8 frames, for networks that train in no time."""
    from began.spectrogram import SpectrogramConfig

    return SpectrogramConfig(n_fft=64, hop_length=2200)


@pytest.fixture(scope="session")
def speech_files(tmp_path_factory) -> list[Path]:
    """Nine sound files of 0.5 to 6 s, noise in place of speech."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("speech")
    generator = np.random.default_rng(0)
    paths = []
    for number, seconds in enumerate((6.0, 2.3, 0.5, 4.0, 3.1, 5.0, 1.0, 2.7, 5.5)):
        level = 10.0 ** generator.uniform(-3, -0.5)
        paths.append(folder / f"{number}.flac")
        soundfile.write(paths[-1], level * generator.uniform(-1, 1, round(seconds * 16_000)), 16_000)
    return paths


@pytest.fixture(scope="session")
def small_store_folder(tmp_path_factory, speech_files, small_config) -> Path:
    """A finished chunk store of 28 chunks."""
    from began.dataset import prepare_chunk_store

    folder = tmp_path_factory.mktemp("store")
    prepare_chunk_store(speech_files, folder, small_config, workers=2)
    return folder


@pytest.fixture(scope="session")
def tiny_corpora(tmp_path_factory) -> Path:
    """A folder with a miniature of every corpus in its own layout; tests copy what they damage."""
    from synthetic_corpora import write_omg, write_savee

    from experiments.corpora import synthetic

    folder = tmp_path_factory.mktemp("tiny")
    common = {"seconds": 0.3}
    synthetic.write_librispeech(folder / "LibriSpeech", n_speakers=2, n_utterances=3, seconds=1.5)
    synthetic.write_emodb(folder / "EmoDB", speakers=4, n_texts=1, **common)
    write_savee(folder / "SAVEE", n_per_emotion=3, speakers=("DC", "JE"), sample_rate=16_000, **common)
    write_omg(folder / "OMG", (5, 2, 1), n_utterances=4, **common)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory, speech_files) -> Path:
    """An untrained encoder of two base filters, in files as the pre-training writes them."""
    from began.component_analysis import write_components
    from began.keras_file import attach_json
    from began.networks import build_encoder
    from began.spectrogram import SpectrogramConfig

    path = tmp_path_factory.mktemp("tiny_encoder") / "encoder.keras"
    build_encoder(base_filters=2, latent_size=8, seed=1).save(path)
    attach_json(path, "spectrogram", SpectrogramConfig().to_dict())
    write_components(path, speech_files)
    return path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """The folder of one undisturbed small run, made once, whichever of the test processes needs it first."""
    import filelock

    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "small_run"
    with filelock.FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.exists():
            outcome = subprocess.run([*SMALL_RUN, folder], cwd=ROOT, capture_output=True, text=True)
            assert outcome.returncode == 0, outcome.stderr
            done.touch()
    return folder
