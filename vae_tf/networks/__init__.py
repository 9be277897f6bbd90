"""Encoders and decoders that end in a distribution layer. Any other Keras model that does so serves as well."""

from vae_tf.networks._convolutional import conv_decoder, conv_encoder
from vae_tf.networks._for_data import NETWORKS, for_data, scale_for
from vae_tf.networks._fully_connected import mlp_decoder, mlp_encoder
from vae_tf.networks._moments import Moments
from vae_tf.networks._units import SigmoidMean, Standardise, Unstandardise

__all__ = [
    "NETWORKS",
    "Moments",
    "SigmoidMean",
    "Standardise",
    "Unstandardise",
    "conv_decoder",
    "conv_encoder",
    "for_data",
    "mlp_decoder",
    "mlp_encoder",
    "scale_for",
]
