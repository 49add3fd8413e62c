#!/bin/bash
# Keras' TimeDistributed(BatchNormalization) takes out of training what changes over an utterance, but not out of prediction.
#
# Versions: tensorflow-cpu 2.21.0, keras 3.15.1, numpy 2.4.6.
# Behaviour: TimeDistributed, as networks of Conv2D and LSTM use it, calls its layer once for each time step. In training, batch
# normalization so sees one step of all utterances at a time and gives each step a mean of 0 and a variance of 1: a course that
# utterances share (a level that falls, silence that pads the end) is gone. In prediction it takes one mean and one variance for
# all steps, and this variance is the mean of those within the steps, without what lies between them: the course is back, and
# larger than it should be. The layers above see values that they never saw in training: here, a network that is right for all
# utterances in training says the same for nearly all of them in evaluate(). No message tells. BatchNormalization without
# TimeDistributed works on the last axis of any input, over all steps.
# Input: 512 utterances of 10 steps whose level falls from 70 to 30 dB; those of one class are 6 dB louder.
# Output, on Linux (x86-64): the lines in `expected` below: by how much the normalized level falls, and accuracies of two
# trainings, fit()'s last one and evaluate()'s, on the same utterances.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import keras
import numpy as np

random = np.random.default_rng(0)
louder = random.integers(0, 2, 512)
level_db = np.linspace(70, 30, 10)[:, None] + 2.5 * random.normal(size=(512, 10, 1)) + 6 * louder[:, None, None]
level_db = level_db.astype(np.float32)


def in_words(accuracy):
    return "over 95%" if accuracy > 0.95 else "under 70%" if accuracy < 0.70 else "between 70% and 95%"


for wrapped in (False, True):
    print("TimeDistributed(BatchNormalization):" if wrapped else "BatchNormalization:")
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        normalization = keras.layers.BatchNormalization(center=False, scale=False)
        utterance = keras.Input((10, 1))
        normalized = (keras.layers.TimeDistributed(normalization) if wrapped else normalization)(utterance)
        answer = keras.layers.Dense(1, activation="sigmoid")(keras.layers.GRU(8)(normalized))
        model = keras.Model(utterance, answer)
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
        fit = model.fit(level_db, louder, batch_size=64, epochs=80, verbose=0).history["accuracy"][-1]
        evaluate = model.evaluate(level_db, louder, verbose=0)[1]
        print(f"  accuracy of training {seed}: fit {in_words(fit)}, evaluate {in_words(evaluate)}")
    course = keras.Model(utterance, normalized)
    for training in (True, False):
        means = np.mean(course(level_db, training=training), axis=(0, 2))
        print(f"  training={training}: falls by {abs(means[0] - means[-1]):.0f} standard deviations")
PYTHON
found=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="BatchNormalization:
  accuracy of training 0: fit over 95%, evaluate over 95%
  accuracy of training 1: fit over 95%, evaluate over 95%
  training=True: falls by 3 standard deviations
  training=False: falls by 3 standard deviations
TimeDistributed(BatchNormalization):
  accuracy of training 0: fit over 95%, evaluate under 70%
  accuracy of training 1: fit over 95%, evaluate under 70%
  training=True: falls by 0 standard deviations
  training=False: falls by 10 standard deviations"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
