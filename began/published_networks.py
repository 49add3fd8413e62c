"""The two networks that are published with the project: under results/ of a clone, or inside an installed package."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_RESULTS = (_HERE if (_HERE / "results").is_dir() else _HERE.parent) / "results"

ENCODER = _RESULTS / "pretrain_librispeech" / "began" / "encoder.keras"
"""The encoder, pre-trained on LibriSpeech."""

MODEL = _RESULTS / "table3_emodb" / "utterance_head" / "model.keras"
"""This encoder and a head on whole utterances, trained on all of EmoDB."""
