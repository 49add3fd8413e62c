"""The arithmetic of BEGAN as pure functions.  Source: Berthelot, Schumm & Metz 2017, arXiv 1703.10717, section 3.

Written with `keras.ops`, so that they take tensors of any backend, NumPy arrays and Python numbers alike. Notation as
in the paper: L(v) is the autoencoder's loss, x a real chunk, z noise, G the generator, k the balance. In a step

    theta_D  descends  L_D = L(x) - k_t L(G(z_D))
    theta_G  descends  L_G = L(G(z_G))
    k_{t+1}  =  clip(k_t + lambda_k (gamma L(x) - L(G(z_G))), 0, 1)

Both directions are the one gradient of the plain sum L(x) + L(G(z)), if the discriminator reads generated chunks with the
weights of `scale_gradient(w, -k)`: their values are w, and their gradient comes out multiplied by -k.
"""

from typing import Any

from keras import ops

Tensor = Any


def reconstruction_loss(target: Tensor, reconstruction: Tensor) -> Tensor:
    """Returns L(v) = mean |v - D(v)|, a scalar.  Source: section 3.1, with the L1 norm (eta = 1).

    The mean over chunks, bins and frames keeps its scale independent of batch and chunk size. Gradient flows through
    both v and D(v), of equal shape: the generator needs the one through the target. Single precision, whatever the networks'.
    """
    return ops.mean(ops.absolute(ops.cast(target, "float32") - ops.cast(reconstruction, "float32")))


def scale_gradient(weight: Tensor, factor: Tensor) -> Tensor:
    """Returns a weight as it is, whose gradient is multiplied by a factor: -k makes L_D's second term of L(G(z))."""
    weight = ops.convert_to_tensor(weight)
    return ops.stop_gradient((1.0 - factor) * weight) + factor * weight


def balance(real_loss: Tensor, fake_loss: Tensor, gamma: float) -> Tensor:
    """Returns gamma L(x) - L(G(z_G)), which the control of k drives to zero.  Source: section 3.3, equation 5."""
    return gamma * real_loss - fake_loss


def update_k(k: Tensor, real_loss: Tensor, fake_loss: Tensor, gamma: float, lambda_k: float) -> Tensor:
    """Returns k_{t+1} = clip(k_t + lambda_k (gamma L(x) - L(G(z_G))), 0, 1).  Source: section 3.4."""
    return ops.clip(ops.convert_to_tensor(k + lambda_k * balance(real_loss, fake_loss, gamma)), 0.0, 1.0)


def convergence_measure(real_loss: Tensor, fake_loss: Tensor, gamma: float) -> Tensor:
    """Returns M_global = L(x) + |gamma L(x) - L(G(z_G))|.  Source: section 3.4.1."""
    return real_loss + ops.absolute(balance(real_loss, fake_loss, gamma))
