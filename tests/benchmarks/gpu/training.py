"""Images per second of `VAE.fit` on a GPU, beside loops of the same model in PyTorch and JAX, on the same card.

    python tests/benchmarks/gpu/training.py --libraries vae_tf torch jax
    python tests/benchmarks/gpu/training.py --images 2000 --batches 128 --rounds 1      # a dry run on a CPU

The models are 784-512-512-32 with its mirror image, and the convolutional pair of `vae_tf.networks` for 64 x 64 x 3
images, 32 latents: a Gaussian with one trained sigma, Adam 1e-3, random images. Each library works in a process of its
own, one after another, and each of its settings in turn: built, run once to compile, then timed. A round is two epochs,
for vae_tf one call of `fit` on an array of numpy; the loops of PyTorch and JAX have all images on the device from the
start and read the loss once an epoch. Reported: images per second in the median round.

"float32" has TF32 off, "TF32" is on, "bfloat16" is Keras' policy mixed_bfloat16, PyTorch's autocast and, in JAX, matrix
products and convolutions of bfloat16 operands. Results are also written as JSON, after each setting.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

EPOCHS, LATENTS = 2, 32
SHAPES = {"mlp": (28, 28, 1), "conv": (64, 64, 3)}
SHARE = {"mlp": 1.0, "conv": 0.25}  # of the images, for a round of similar length
CONSTANT = 0.5 * math.log(2 * math.pi)


def images(model, count):
    return np.random.default_rng(0).random((int(count * SHARE[model]), *SHAPES[model]), np.float32)


def vae_tf_settings():
    """(label, precision, steps_per_execution, jit_compile)"""
    yield "fit as compiled by default, float32", "float32", None, None
    yield "fit, 32 steps a call, float32", "float32", 32, None
    yield "fit, 32 steps a call, float32, jit_compile", "float32", 32, True
    yield "fit as compiled by default, TF32", "TF32", None, None
    yield "fit, 32 steps a call, TF32", "TF32", 32, None
    yield "fit, 32 steps a call, TF32, jit_compile", "TF32", 32, True
    yield "fit, 32 steps a call, bfloat16", "bfloat16", 32, None
    yield "fit, 32 steps a call, bfloat16, jit_compile", "bfloat16", 32, True


def vae_tf_run(model, batch, count, precision, steps, jit_compile):
    import tensorflow as tf
    import tf_keras as keras

    import vae_tf

    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    keras.utils.set_random_seed(0)
    encoder, decoder = (getattr(vae_tf.networks, f"{model}_{part}") for part in ("encoder", "decoder"))
    vae = vae_tf.VAE(
        encoder(SHAPES[model], vae_tf.posteriors.DiagonalNormal(LATENTS)),
        decoder(LATENTS, vae_tf.likelihoods.Gaussian(SHAPES[model], scale="learned")),
        vae_tf.priors.StandardNormal(LATENTS),
    )
    options = {"steps_per_execution": steps, "jit_compile": jit_compile}
    vae.compile(keras.optimizers.Adam(1e-3), **{name: value for name, value in options.items() if value is not None})
    x = images(model, count)
    return lambda: vae.fit(x, batch_size=batch, epochs=EPOCHS, verbose=0).history["loss"][-1]


def torch_settings():
    """(label, precision, how)"""
    for precision in ("float32", "TF32", "bfloat16"):
        yield f"own loop, eager, {precision}", precision, "eager"
        yield f"own loop, CUDA graph, {precision}", precision, "graph"


def torch_run(model, batch, count, precision, how):
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    encoder, decoder = (part.to(device) for part in torch_networks(model))
    log_sigma = nn.Parameter(torch.zeros((), device=device))
    graph = how == "graph" and device == "cuda"
    weights = [*encoder.parameters(), *decoder.parameters(), log_sigma]
    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=device == "cuda", capturable=graph)
    x = torch.from_numpy(images(model, count).transpose(0, 3, 1, 2).copy()).to(device)
    size = math.prod(SHAPES[model])

    def step(images):
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loc, raw = encoder(images).chunk(2, dim=-1)
            loc, scale = loc.float(), nn.functional.softplus(raw.float()) + 1e-5
            mean = decoder(loc + scale * torch.randn_like(loc)).float()
        kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * scale.log()).sum(-1)
        error = ((images.flatten(1) - mean.flatten(1)) ** 2).sum(-1) / (2 * (2 * log_sigma).exp())
        loss = (error + size * (log_sigma + CONSTANT) + kl).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    if graph:
        fixed, stream = x[:batch].clone(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step(fixed)
        torch.cuda.current_stream().wait_stream(stream)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            result = step(fixed)

    def epoch():
        total, steps = torch.zeros((), device=device), len(x) // batch if graph else -(-len(x) // batch)
        for index in torch.randperm(len(x), device=device).split(batch):
            if graph and len(index) == batch:
                fixed.copy_(x[index])
                recorded.replay()
                total += result
            elif not graph:  # a recorded step has one batch size: the last, smaller batch is left out
                total += step(x[index])
        return float(total) / steps

    return lambda: [epoch() for _ in range(EPOCHS)][-1]


def torch_networks(model):
    from torch import nn

    relu, dense = nn.ReLU, nn.Linear
    if model == "mlp":
        size = math.prod(SHAPES[model])
        encoder = [nn.Flatten(), dense(size, 512), relu(), dense(512, 512), relu(), dense(512, 2 * LATENTS)]
        decoder = [dense(LATENTS, 512), relu(), dense(512, 512), relu(), dense(512, size)]
    else:
        flat = 64 * 16 * 16
        encoder = [nn.Conv2d(3, 32, 4, 2, 1), relu(), nn.Conv2d(32, 64, 4, 2, 1), relu(), nn.Flatten()]
        encoder += [dense(flat, 256), relu(), dense(256, 2 * LATENTS)]
        decoder = [dense(LATENTS, 256), relu(), dense(256, flat), relu(), nn.Unflatten(1, (64, 16, 16))]
        decoder += [nn.ConvTranspose2d(64, 32, 4, 2, 1), relu(), nn.ConvTranspose2d(32, 3, 4, 2, 1)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def jax_settings():
    """(label, precision)"""
    for precision in ("float32", "TF32", "bfloat16"):
        yield f"own loop, one scan an epoch, {precision}", precision


def jax_run(model, batch, count, precision):
    import jax
    import jax.numpy as jnp

    operands = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    exact = {"float32": "highest", "TF32": "tensorfloat32", "bfloat16": "default"}[precision]
    size = math.prod(SHAPES[model])

    def dense(weights, x):
        return jnp.dot(x.astype(operands), weights[0].astype(operands)).astype(jnp.float32) + weights[1]

    layout = ("NHWC", "HWIO", "NHWC")

    def conv(weights, x):
        kernel, bias = weights
        out = jax.lax.conv_general_dilated(
            x.astype(operands), kernel.astype(operands), (2, 2), "SAME", dimension_numbers=layout
        )
        return out.astype(jnp.float32) + bias

    def conv_transpose(weights, x):
        kernel, bias = weights
        out = jax.lax.conv_transpose(x.astype(operands), kernel.astype(operands), (2, 2), "SAME")
        return out.astype(jnp.float32) + bias

    if model == "mlp":
        shapes = [(size, 512), (512, 512), (512, 2 * LATENTS), (LATENTS, 512), (512, 512), (512, size)]
        encode = lambda w, x: mlp(w[:3], x.reshape(len(x), -1))  # noqa: E731
        decode = lambda w, z: mlp(w[3:], z)  # noqa: E731
    else:
        flat = 64 * 16 * 16
        shapes = [(4, 4, 3, 32), (4, 4, 32, 64), (flat, 256), (256, 2 * LATENTS)]
        shapes += [(LATENTS, 256), (256, flat), (4, 4, 64, 32), (4, 4, 32, 3)]

        def encode(w, x):
            h = jax.nn.relu(conv(w[1], jax.nn.relu(conv(w[0], x))))
            return mlp(w[2:4], h.reshape(len(x), -1))

        def decode(w, z):
            h = jax.nn.relu(mlp(w[4:6], z)).reshape(len(z), 16, 16, 64)
            return conv_transpose(w[7], jax.nn.relu(conv_transpose(w[6], h))).reshape(len(z), -1)

    def mlp(weights, h):
        for layer in weights[:-1]:
            h = jax.nn.relu(dense(layer, h))
        return dense(weights[-1], h)

    rng = np.random.default_rng(0)
    kernels = [rng.normal(0, 1 / np.sqrt(np.prod(s[:-1])), s).astype(np.float32) for s in shapes]
    parameters = ([(k, np.zeros(k.shape[-1], np.float32)) for k in kernels], np.float32(0))
    x = jax.device_put(images(model, count))

    def loss_of(parameters, x, key):
        weights, log_sigma = parameters
        loc, raw = jnp.split(encode(weights, x), 2, axis=-1)
        scale = jax.nn.softplus(raw) + 1e-5
        mean = decode(weights, loc + scale * jax.random.normal(key, loc.shape))
        kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * jnp.log(scale)).sum(-1)
        error = ((x.reshape(len(x), -1) - mean) ** 2).sum(-1) / (2 * jnp.exp(2 * log_sigma))
        return (error + size * (log_sigma + CONSTANT) + kl).mean()

    def step(state, index):
        parameters, first, second, count, key, x = state
        key, noise = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x[index], noise)
        count = count + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        tree = jax.tree_util.tree_map
        first = tree(lambda m, g: m + 0.1 * (g - m), first, gradients)
        second = tree(lambda v, g: v + 0.001 * (g * g - v), second, gradients)
        parameters = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, first, second)
        return (parameters, first, second, count, key, x), loss

    @jax.jit
    def epoch(state):
        *learned, key, x = state
        key, order = jax.random.split(key)
        steps = len(x) // batch  # the last, smaller batch is left out
        order = jax.random.permutation(order, len(x))[: steps * batch].reshape(steps, batch)
        state, losses = jax.lax.scan(step, (*learned, key, x), order)
        return state[:-1], losses.mean()

    zeros = jax.tree_util.tree_map(np.zeros_like, parameters)
    state = [parameters, zeros, zeros, np.float32(0), jax.random.PRNGKey(0)]

    def run():
        with jax.default_matmul_precision(exact):
            for _ in range(EPOCHS):
                state[:], loss = epoch((*state, x))
                value = float(loss)
        return value

    return run


LIBRARIES = {
    "vae_tf": (vae_tf_settings, vae_tf_run),
    "torch": (torch_settings, torch_run),
    "jax": (jax_settings, jax_run),
}


def measure(library, options):
    """Times every setting of one library in this process."""
    settings, make = LIBRARIES[library]
    cases = [("mlp", batch) for batch in options.batches] + [("conv", options.batches[0])]
    cases = [case for case in cases if case[0] in options.models]
    rows = []
    for model, batch in cases:
        for label, *arguments in settings():
            if options.only and not any(word in label for word in options.only):
                continue
            row = {"library": library, "model": model, "batch": batch, "setting": label}
            start = time.perf_counter()
            try:
                run = make(model, batch, options.images, *arguments)
                row["loss"] = run()
                row["first"] = time.perf_counter() - start
                times = []
                for _ in range(options.rounds):
                    start = time.perf_counter()
                    row["loss"] = run()
                    times.append(time.perf_counter() - start)
                seen = EPOCHS * int(options.images * SHARE[model])
                row["rates"] = [seen / seconds for seconds in times]
                row["images_per_second"] = seen / statistics.median(times)
            except Exception as error:  # the other settings still count
                row["error"] = f"{type(error).__name__}: {error}"[:500]
            rows.append(row)
            print(json.dumps(row), flush=True)
            options.json.with_suffix(f".{library}.json").write_text(json.dumps(rows, indent=1))


def table(rows):
    lines = ["| model | batch | library | setting | images/s (range over rounds) | s until the second round |"]
    lines.append("|---" * 6 + "|")
    for row in rows:
        cells = row["model"], str(row["batch"]), row["library"], row["setting"]
        if "error" in row:
            lines.append(f"| {' | '.join(cells)} | failed: {row['error'].splitlines()[0][:80]} | |")
        else:
            spread = f"({min(row['rates']):,.0f} to {max(row['rates']):,.0f})"
            lines.append(f"| {' | '.join(cells)} | {row['images_per_second']:,.0f} {spread} | {row['first']:.1f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--images", type=int, default=30_000, help="of an epoch; a quarter of them for conv")
    parser.add_argument("--batches", type=int, nargs="+", default=(128, 1024), help="the first one for conv too")
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="settings whose label has one of these words")
    parser.add_argument("--json", type=Path, default=Path("training.json"))
    parser.add_argument("--here", action="store_true", help="the one library in this process")
    options = parser.parse_args()
    if options.here:
        measure(options.libraries[0], options)
        return
    rows = []
    for library in options.libraries:
        command = [sys.executable, __file__, *sys.argv[1:], "--here", "--libraries", library]
        subprocess.run(command, check=False, env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
        part = options.json.with_suffix(f".{library}.json")
        rows += json.loads(part.read_text()) if part.exists() else []
    options.json.write_text(json.dumps(rows, indent=1))
    print(table(sorted(rows, key=lambda row: (row["model"], row["batch"]))))


if __name__ == "__main__":
    main()
