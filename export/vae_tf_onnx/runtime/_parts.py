"""The numpy halves of the likelihood and the prior that a bundle's manifest states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from vae_tf_onnx import families
from vae_tf_onnx.bundle import Bundle
from vae_tf_onnx.errors import BundleError

_Entry = TypeVar("_Entry")


def prior_noise_of(bundle: Bundle) -> Any:
    """A function that samples the noise of the bundle's prior: (generator, number of samples, D) -> array.

    Raises:
        BundleError: For a family that is unstated or unknown.
    """
    return _known(bundle, "prior", families.PRIORS)


def likelihood_of(bundle: Bundle) -> families.Family:
    """The numpy half of the bundle's likelihood.

    Raises:
        BundleError: For a family that is unstated or unknown, or parameters that it does not have.
    """
    make = _known(bundle, "likelihood", families.LIKELIHOODS)
    config = bundle.manifest["likelihood"].get("parameters", {})
    try:
        return make(config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"Bundle {bundle.folder}: expected a likelihood with its parameters, received {config!r}: {error!r}. "
            "Export the model again.",
            str(bundle.folder),
        ) from error


def _known(bundle: Bundle, part: str, table: Mapping[str, _Entry]) -> _Entry:
    family = bundle.manifest[part].get("family")
    if family is None:
        raise BundleError(
            f"Bundle {bundle.folder}: expected a {part}, received none: a Keras decoder states none. "
            "Export a vae_tf.VAE instead.",
            str(bundle.folder),
        )
    if not isinstance(family, str) or family not in table:
        raise BundleError(
            f"Bundle {bundle.folder}: expected a {part} of {', '.join(table)}, received {family!r}. "
            "Upgrade: pip install -U vae-tf-onnx.",
            str(bundle.folder),
        )
    return table[family]
