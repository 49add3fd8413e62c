#!/bin/bash
# On a CPU, TensorFlow sums the gradient of a bias in bfloat16, so that it stops growing at a few hundred.
#
# Versions: tensorflow-cpu 2.21.0 (with keras 3.15.1, numpy 2.4.6).
# Behaviour: the gradient of a bias is the sum of the gradients of all rows (for a convolution: of all rows, bins and frames).
# In bfloat16, 256 + 1 is 256; a sum has to be kept in more bits, as tf.reduce_sum does. BiasAddGrad, which computes that
# gradient for tf.nn.bias_add and so for Keras' dense and convolutional layers, keeps it in bfloat16, with oneDNN and without:
# under the policy mixed_bfloat16, the gradients of biases are too small by a factor that grows with batch and size, silently.
# Input: a batch of 4096 rows whose gradients are all one, so that the gradient of every bias is 4096.
# Output, on Linux (x86-64): the four lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import keras
import tensorflow as tf

ones = tf.ones((4096, 8), tf.bfloat16)
print("tf.reduce_sum:", float(tf.reduce_sum(ones, axis=0)[0]))
print("BiasAddGrad:", float(tf.raw_ops.BiasAddGrad(out_backprop=ones)[0]))
for policy in ("float32", "mixed_bfloat16"):
    layer = keras.layers.Dense(8, dtype=policy)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.cast(layer(tf.zeros((4096, 3))), tf.float32))
    print(f"Keras' Dense, {policy}:", float(tape.gradient(total, layer.bias.value)[0]))
PYTHON
found=$(TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="tf.reduce_sum: 4096.0
BiasAddGrad: 256.0
Keras' Dense, float32: 4096.0
Keras' Dense, mixed_bfloat16: 256.0"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }
