#!/bin/bash
# Where what Keras monitors is NaN after the first epoch, that epoch stays the best one: nothing is better than NaN.
#
# Versions: tensorflow-cpu 2.21.0, keras 3.15.1, numpy 2.4.6.
# Behaviour: ModelCheckpoint(save_best_only=True), EarlyStopping and ReduceLROnPlateau take the first value that they see as the
# best, whatever it is, and compare every later one with it. A correlation (Pearson's, or CCC, the score of arousal and valence)
# is NaN as long as a network answers the same for every utterance, as where its last layer starts with zeros. The
# file of the best model then stays that of the first epoch, and EarlyStopping ends training after `patience` epochs with the
# first weights, however good the later epochs are: no warning tells.
# Input: a straight line, learnt by one weight that starts with zero; in the first epoch its learning rate is zero (warm-up).
# Output, on Linux (x86-64): the three lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import sys

import keras
import numpy as np
from keras import ops

x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]


def correlation(truth, answer):
    truth, answer = truth - ops.mean(truth), answer - ops.mean(answer)
    return ops.sum(truth * answer) / ops.sqrt(ops.sum(truth**2) * ops.sum(answer**2))


def train(*callbacks):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=[correlation])
    warm_up = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0 if epoch == 0 else 0.1)
    history = model.fit(x, 2 * x, 64, 6, 0, [warm_up, *callbacks], validation_data=(x, 2 * x), shuffle=False)
    return model, history.history


path = f"{sys.argv[1]}/best.keras"
options = {"monitor": "val_correlation", "mode": "max"}
model, history = train(keras.callbacks.ModelCheckpoint(path, save_best_only=True, **options))
print("val_correlation:", *(f"{value:.2f}" for value in history["val_correlation"]))
kept = keras.models.load_model(path, compile=False)
print(f"weight at the end {model.layers[0].kernel[0, 0]:.2f}, in the file of the best {kept.layers[0].kernel[0, 0]:.2f}")
model, history = train(keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True, **options))
print(f"EarlyStopping: {len(history['loss'])} of 6 epochs, weight {model.layers[0].kernel[0, 0]:.2f}")
PYTHON
found=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" "$folder" 2>/dev/null)
expected="val_correlation: nan 1.00 1.00 1.00 1.00 1.00
weight at the end 0.60, in the file of the best 0.00
EarlyStopping: 4 of 6 epochs, weight 0.00"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
