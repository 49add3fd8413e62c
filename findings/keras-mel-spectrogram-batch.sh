#!/bin/bash
# Keras' MelSpectrogram gives a recording other values when a louder one is in the same batch.
#
# Versions: tensorflow-cpu 2.21.0, keras 3.15.1, numpy 2.4.6.
# Behaviour: keras.layers.MelSpectrogram raises whatever lies more than top_db (80 dB) below the maximum to that floor. It takes
# the maximum over the whole batch, not over each recording. So what a model reads of a soft recording depends on who else is
# in the batch, on batch_size, and on how the data were shuffled; the last, smaller batch and a recording predicted alone are
# read in another way than the rest. No message tells. With top_db=1000 nothing is raised, and every recording stays itself.
# Input: two seconds of a synthetic voice at 16 kHz, in a batch with itself, and with the same voice 15 and 30 dB louder.
# Output, on Linux (x86-64): the six lines in `expected` below; last, whether batch_size=1 gives what it gives alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import keras
import numpy as np

seconds = np.arange(32_000) / 16_000
voice = sum(np.sin(2 * np.pi * 150 * k * seconds) / k**2 for k in range(1, 41))
voice = (0.02 * voice / abs(voice).max() * np.sin(2 * np.pi * seconds) ** 2).astype(np.float32)
options = {"fft_length": 512, "sequence_stride": 160, "sampling_rate": 16_000, "num_mel_bins": 40}
for top_db in (80.0, 1000.0):
    wave = keras.Input((32_000,))
    model = keras.Model(wave, keras.layers.MelSpectrogram(top_db=top_db, **options)(wave))
    alone = model.predict(voice[None], verbose=0)[0]
    for louder_db in (0, 15, 30):
        pair = np.stack([voice, voice * 10 ** (louder_db / 20)])
        beside = model.predict(pair, batch_size=2, verbose=0)[0]
        apart = model.predict(pair, batch_size=1, verbose=0)[0]
        means = f"mean {alone.mean():.1f} dB alone, {beside.mean():.1f} beside"
        changed = f"{np.mean(abs(beside - alone) > 1):.0%} of the values changed"
        same = np.allclose(apart, alone, atol=0.1)
        print(f"top_db {top_db:.0f}, {louder_db} dB louder: {means}, {changed}; batch_size=1: {same}")
PYTHON
found=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="top_db 80, 0 dB louder: mean -42.1 dB alone, -42.1 beside, 0% of the values changed; batch_size=1: True
top_db 80, 15 dB louder: mean -42.1 dB alone, -39.4 beside, 23% of the values changed; batch_size=1: True
top_db 80, 30 dB louder: mean -42.1 dB alone, -33.9 beside, 49% of the values changed; batch_size=1: True
top_db 1000, 0 dB louder: mean -45.0 dB alone, -45.0 beside, 0% of the values changed; batch_size=1: True
top_db 1000, 15 dB louder: mean -45.0 dB alone, -45.0 beside, 0% of the values changed; batch_size=1: True
top_db 1000, 30 dB louder: mean -45.0 dB alone, -45.0 beside, 0% of the values changed; batch_size=1: True"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
