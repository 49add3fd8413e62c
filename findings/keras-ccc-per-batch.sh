#!/bin/bash
# Keras' metrics for CCC and Pearson's correlation say 0, or NaN, of a perfect network, and 1.00 of one that guesses.
#
# Versions: tensorflow-cpu 2.21.0, keras 3.15.1, numpy 2.4.6.
# Behaviour: keras.metrics.ConcordanceCorrelation and PearsonCorrelation, used as their documentation shows (without arguments),
# correlate the outputs of one utterance with each other, and average that over the utterances. With one output, a perfect
# network gets a CCC of 0 and a Pearson's correlation of NaN. With two, arousal and valence, the metric asks only which of the
# two is higher. With axis=0 they correlate over utterances, but within each batch, and average the batches, a smaller last one
# counting as much as the others: the result depends on batch_size and on the order of the rows, and a last batch of one
# utterance counts as CCC 0 and makes Pearson's NaN. No message tells.
# Input: 97 utterances with random labels, valence always above arousal; answers that are right, noisy, or guesses of that kind.
# Output, on Linux (x86-64): the seven lines in `expected` below; "over all": over all utterances at once, as papers give it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import keras
import numpy as np

draw = np.random.default_rng(0)


def over_all(truth, answers):
    difference = (truth.mean(0) - answers.mean(0)) ** 2
    covariance = ((truth - truth.mean(0)) * (answers - answers.mean(0))).mean(0)
    ccc = 2 * covariance / (truth.var(0) + answers.var(0) + difference)
    return f"CCC {ccc.mean():.2f}, Pearson's {(covariance / truth.std(0) / answers.std(0)).mean():.2f}"


def by_keras(truth, answers, batch_size=32, **options):
    metrics = keras.metrics.ConcordanceCorrelation(**options), keras.metrics.PearsonCorrelation(**options)
    model = keras.Sequential([keras.Input(truth.shape[1:]), keras.layers.Identity()])  # answers with what it is given
    model.compile(loss="mse", metrics=metrics)
    _, ccc, pearson = model.evaluate(answers, truth, batch_size, 0)
    return f"CCC {ccc:.2f}, Pearson's {pearson:.2f}"


arousal = draw.uniform(0, 0.5, (97, 1)).astype(np.float32)
print("one output, perfect: Keras", by_keras(arousal, arousal), "| over all", over_all(arousal, arousal))
both = np.hstack([arousal, draw.uniform(0.5, 1, (97, 1)).astype(np.float32)])
guess = np.hstack([draw.uniform(0, 0.5, (97, 1)), draw.uniform(0.5, 1, (97, 1))]).astype(np.float32)
print("two outputs, guessed: Keras", by_keras(both, guess), "| over all", over_all(both, guess))
print("axis=0, perfect, batches of 32: Keras", by_keras(arousal, arousal, axis=0))
arousal = arousal[:96]
noisy = (arousal + 0.1 * draw.standard_normal((96, 1))).astype(np.float32)
print("96 noisy answers: over all", over_all(arousal, noisy))
order = np.argsort(arousal[:, 0])
for batch_size in (96, 32, 8):
    drawn = by_keras(arousal, noisy, batch_size, axis=0)
    ordered = by_keras(arousal[order], noisy[order], batch_size, axis=0)
    print(f"axis=0, batches of {batch_size}: Keras {drawn} | rows sorted by label {ordered}")
PYTHON
found=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="one output, perfect: Keras CCC 0.00, Pearson's nan | over all CCC 1.00, Pearson's 1.00
two outputs, guessed: Keras CCC 0.72, Pearson's 1.00 | over all CCC 0.07, Pearson's 0.07
axis=0, perfect, batches of 32: Keras CCC 0.75, Pearson's nan
96 noisy answers: over all CCC 0.82, Pearson's 0.83
axis=0, batches of 96: Keras CCC 0.82, Pearson's 0.83 | rows sorted by label CCC 0.82, Pearson's 0.83
axis=0, batches of 32: Keras CCC 0.81, Pearson's 0.83 | rows sorted by label CCC 0.34, Pearson's 0.43
axis=0, batches of 8: Keras CCC 0.77, Pearson's 0.82 | rows sorted by label CCC 0.03, Pearson's 0.08"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
