"""The loss of the same seeded training on a GPU and on the CPU.

    python tests/benchmarks/gpu/same_loss.py

A VAE of scikit-learn's digits, 64-512-512-8 and its mirror image, `scale="optimal"`, Adam 1e-3, batch 50, 20 epochs and
their validation: once in a process that sees no GPU, once on the GPU in float32, once with TF32, and once under Keras'
policy mixed_bfloat16. Reported: the largest relative difference from the CPU's losses over the epochs.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

CONTENDERS = {"CPU, float32": "cpu", "GPU, float32": "float32", "GPU, TF32": "TF32", "GPU, bfloat16": "bfloat16"}
LOSSES = ("loss", "val_loss")


def train(how, epochs):
    import tensorflow as tf
    import tf_keras as keras

    import vae_tf

    tf.config.experimental.enable_tensor_float_32_execution(how == "TF32")
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if how == "bfloat16" else "float32")
    keras.utils.set_random_seed(0)
    x_train, x_test = vae_tf.data.load("digits")
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((8, 8, 1), vae_tf.posteriors.DiagonalNormal(8)),
        vae_tf.networks.mlp_decoder(8, vae_tf.likelihoods.Gaussian((8, 8, 1), scale="optimal")),
        vae_tf.priors.StandardNormal(8),
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    history = vae.fit(x_train, batch_size=50, epochs=epochs, validation_data=x_test, verbose=0).history
    devices = {variable.device.rsplit("/", 1)[-1] for variable in vae.trainable_variables}
    return {"devices": sorted(devices)} | {name: [float(value) for value in history[name]] for name in LOSSES}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path, default=Path("same_loss.json"))
    parser.add_argument("--here", choices=CONTENDERS.values(), help="one contender in this process")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(train(options.here, options.epochs)))
        return
    found = {}
    for label, how in CONTENDERS.items():
        environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": ""} if how == "cpu" else {})}
        command = [sys.executable, __file__, "--here", how, "--epochs", str(options.epochs)]
        result = subprocess.run(command, check=False, env=environment, stdout=subprocess.PIPE, text=True)
        if result.returncode == 0:
            found[label] = json.loads(result.stdout.splitlines()[-1])
        options.json.write_text(json.dumps(found, indent=1))
    first, *_ = CONTENDERS
    print("| | variables on | loss, last epoch | validation | largest difference, loss | validation |")
    print("|---|---|---|---|---|---|")
    for label, run in found.items():
        last = [f"{run[name][-1]:.4f}" for name in LOSSES]
        apart = [np.abs(np.divide(run[name], found[first][name]) - 1).max() for name in LOSSES]
        print(f"| {label} | {', '.join(run['devices'])} | {' | '.join(last)} | {apart[0]:.1e} | {apart[1]:.1e} |")


if __name__ == "__main__":
    main()
