"""The two networks that are published with the project: under results/ of a clone, or inside an installed package."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_RESULTS = (_HERE if (_HERE / "results").is_dir() else _HERE.parent) / "results"

ENCODER_FILE = Path("pretrain_librispeech", "began", "encoder.keras")
"""Where the encoder lies in a folder of results."""

ENCODER = _RESULTS / ENCODER_FILE
"""The encoder, pre-trained on LibriSpeech."""

MODEL = _RESULTS / "table3_emodb" / "utterance_head" / "model.keras"
"""This encoder and a head on whole utterances, trained on all of EmoDB."""
