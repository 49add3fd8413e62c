"""The BEGAN as one keras.Model, trained by Keras' own `fit`.

Source: Berthelot et al. 2017, section 3; paper, section 2.1. The equations of a step are in `began.losses`.

Written plainly, a step takes three passes through the discriminator and two gradient tapes. Here it takes two passes and
one gradient. The routing lies in the loss, not in a training step of our own, and so runs unchanged on every Keras backend
and under `tf.distribute`. Both networks have the same optimiser settings (paper, section 3.3), and Adam works weight by
weight: one optimiser for both is the same as two.
"""

from functools import partial
from typing import Any

import keras
from keras import ops

from began import losses
from began.distributed import average, count_replicas, take_part


def _convolve(layer: keras.layers.Conv2D, inputs: Any) -> Any:
    """What Conv2D's `call` does, with a bias that TensorFlow does not recognise as one.

    On CPUs its gradient of a bias, BiasAddGrad, adds a quarter of a million bfloat16 numbers up in bfloat16: almost nothing
    arrives. Of any other broadcast, such as a subtraction, it adds up in single precision.
    """
    outputs = layer.convolution_op(inputs, layer.kernel)
    return layer.activation(ops.subtract(outputs, -ops.convert_to_tensor(layer.bias)))


NOISES = ("shared", "separate")


class BEGAN(keras.Model):
    """Boundary equilibrium GAN over spectrograms.

    Called on real chunks it returns their reconstruction D(x), shape (batch, n_bins, n_frames, 1).

    Args:
        encoder: model (batch, n_bins, n_frames, 1) -> (batch, h).
        decoder: model (batch, h) -> (batch, n_bins, n_frames, 1); with the encoder it is the discriminator D.
        generator: model (batch, h) -> (batch, n_bins, n_frames, 1); None trains the autoencoder alone, which is the
            ablation "the same autoencoder without a generator".
        gamma: diversity ratio, in (0, 1] (paper, section 3.3: 0.7).
        lambda_k: learning rate of k (Berthelot et al. 2017, section 3.4: 0.001).
        noise: "shared", z_D = z_G in a step, as in the public implementations: two passes through D; "separate", as
            the equations are written: three.
        seed: of the noise.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        generator: keras.Model | None,
        gamma: float = 0.7,
        lambda_k: float = 0.001,
        noise: str = "shared",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0.0 < gamma <= 1.0 or not lambda_k >= 0.0 or noise not in NOISES:
            raise ValueError(f"{gamma=}, {lambda_k=}, {noise=}; expected 0 < gamma <= 1, lambda_k >= 0, noise in {NOISES}")
        self.discriminator = keras.Model(encoder.input, decoder(encoder.output), name="discriminator")
        self.encoder, self.decoder, self.generator = encoder, decoder, generator
        self.gamma, self.lambda_k, self.noise = gamma, lambda_k, noise
        self.latent_size = int(encoder.output.shape[-1])
        self.seed_generator = keras.random.SeedGenerator(seed)
        # "mean": replicas compute the same k from the same averages, and this keeps their copies one.
        self.k = self.add_weight(shape=(), initializer="zeros", trainable=False, name="k", aggregation="mean")
        names = ("reconstruction_loss", "generator_loss", "convergence_measure")
        self._trackers = [keras.metrics.Mean(name=name) for name in names]

    @property
    def precision(self) -> str:
        """Keras' dtype policy of the networks' layers. Weights, losses and k are float32 whatever it is.

        May be set until the first step, and again after the last; new networks have Keras' default.
        """
        return self.encoder.layers[-1].dtype_policy.name

    @precision.setter
    def precision(self, policy: str) -> None:
        shared = keras.dtype_policies.get(policy)  # one object for all: files tell whether layers share theirs
        for network in filter(None, (self.encoder, self.decoder, self.generator)):
            for layer in network.layers:
                layer.dtype_policy = shared
                layer.__dict__.pop("call", None)
                if isinstance(layer, keras.layers.Conv2D) and policy != "float32":
                    layer.call = partial(_convolve, layer)

    def build(self, input_shape: Any) -> None:
        """Nothing to do: the networks come built."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.discriminator(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True) -> Any:
        """Returns L(x) + L(G(z)) for real chunks x and their reconstruction y_pred; updates k and the metrics.

        Its gradient is the BEGAN's step. Under `tf.distribute` the gradients of the replicas are added up, so that each
        returns its share of the sum.
        """
        real_loss = losses.reconstruction_loss(x, y_pred)
        if self.generator is None:
            self._track(*average(real_loss, ops.zeros_like(real_loss)))
            return real_loss / count_replicas()
        batch_size = ops.shape(x)[0]
        k = ops.convert_to_tensor(self.k)
        generated = self.generator(self._draw_noise(batch_size), training=training)
        if self.noise == "shared":
            loss_of_both = fake_loss = self._fake_loss(generated, -k)
        else:
            fake_loss = self._fake_loss(generated, 0.0)
            for_discriminator = self.generator(self._draw_noise(batch_size), training=training)
            loss_of_both = fake_loss + self._fake_loss(ops.stop_gradient(for_discriminator), -k)
        loss = (real_loss + loss_of_both) / count_replicas()
        real_loss, fake_loss = average(real_loss, fake_loss)
        if training:
            self.k.assign(ops.stop_gradient(losses.update_k(k, real_loss, fake_loss, self.gamma, self.lambda_k)))
        self._track(real_loss, fake_loss)
        return loss

    def _fake_loss(self, generated: Any, factor: Any) -> Any:
        """Returns L(G(z)), whose gradient reaches the discriminator's weights multiplied by a factor."""
        weights = [losses.scale_gradient(weight, factor) for weight in self.discriminator.trainable_variables]
        others = self.discriminator.non_trainable_variables
        reconstruction, _ = self.discriminator.stateless_call(weights, others, generated, training=True)
        return losses.reconstruction_loss(generated, reconstruction)

    def _draw_noise(self, batch_size: Any) -> Any:
        """Returns z ~ U(-1, 1), shape (batch_size, h): each replica's part of the noise that one process would use."""
        shape = (batch_size * count_replicas(), self.latent_size)
        return take_part(keras.random.uniform(shape, -1.0, 1.0, seed=self.seed_generator), batch_size)

    def _track(self, real_loss: Any, fake_loss: Any) -> None:
        measure = real_loss if self.generator is None else losses.convergence_measure(real_loss, fake_loss, self.gamma)
        for tracker, value in zip(self._trackers, (real_loss, fake_loss, measure), strict=True):
            tracker.update_state(value)
