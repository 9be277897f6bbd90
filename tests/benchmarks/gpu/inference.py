"""Latency of an exported decoder and encoder on a GPU, beside PyTorch's with the same weights, in one run.

    python tests/benchmarks/gpu/inference.py --export bundles      # with TensorFlow; needs no GPU
    python tests/benchmarks/gpu/inference.py --bundles bundles     # with onnxruntime-gpu and PyTorch, no TensorFlow
    python tests/benchmarks/gpu/inference.py --bundles bundles --device cpu --seconds 0.05     # a dry run

Two models with random weights: "mlp", 784-512-512-32 and its mirror image, and "conv", the convolutional pair of
`vae_tf.networks` for 64 x 64 x 3 images, 32 latents. Both libraries keep their own layout of images. For each part and
batch size the outputs of all contenders are first compared with onnxruntime on the CPU, and then each is timed, one
call after another, with the device synchronised after every call: the median over the calls. "host" calls take an
array of numpy and return one; "device" calls leave inputs and outputs in the GPU's memory.

float32 means that TF32 is off in both libraries. Results are also written as JSON, after each contender.
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np

MODELS = {"mlp": (28, 28, 1), "conv": (64, 64, 3)}
LATENTS, HIDDEN, FILTERS, CONV_HIDDEN = 32, (512, 512), (32, 64), 256
BATCHES = (1, 64, 1024)


def weights(shapes):
    """The same random weights for every library: kernels at Glorot's scale, small biases."""
    rng = np.random.default_rng(0)
    for shape in shapes:
        if len(shape) < 2:
            yield rng.normal(0, 0.05, shape).astype(np.float32)
        else:
            fans = np.prod(shape[:-2], dtype=int) * (shape[-1] + shape[-2])
            yield rng.normal(0, np.sqrt(2 / fans), shape).astype(np.float32)


def export_models(folder):
    """Writes each model as a bundle."""
    import vae_tf
    from vae_tf_onnx import export

    for name, event_shape in MODELS.items():
        encoder, decoder = (getattr(vae_tf.networks, f"{name}_{part}") for part in ("encoder", "decoder"))
        vae = vae_tf.VAE(
            encoder(event_shape, vae_tf.posteriors.DiagonalNormal(LATENTS)),
            decoder(LATENTS, vae_tf.likelihoods.Gaussian(event_shape, scale=0.1)),
            vae_tf.priors.StandardNormal(LATENTS),
        )
        for model in (vae.encoder, vae.decoder):
            variables = model.trainable_variables
            for variable, value in zip(variables, weights([v.shape.as_list() for v in variables]), strict=True):
                variable.assign(value)
        export(vae, folder / name)


def torch_model(name, part, event_shape):
    """The same network in PyTorch, images as [B, C, H, W]; a decoder gives the mean, an encoder loc and scale."""
    import torch
    from torch import nn

    size, channels = int(np.prod(event_shape)), event_shape[-1]
    first, second = FILTERS
    side = event_shape[0] // 4

    def dense(*widths):
        for before, after in itertools.pairwise(widths):
            yield nn.Linear(before, after)
            yield nn.ReLU()

    if name == "mlp" and part == "encoder":
        layers = [nn.Flatten(), *dense(size, *HIDDEN), nn.Linear(HIDDEN[-1], 2 * LATENTS)]
    elif name == "mlp":
        layers = [*dense(LATENTS, *HIDDEN), nn.Linear(HIDDEN[-1], size)]
    elif part == "encoder":
        layers = [nn.Conv2d(channels, first, 4, 2, 1), nn.ReLU(), nn.Conv2d(first, second, 4, 2, 1), nn.ReLU()]
        layers += [nn.Flatten(), *dense(side * side * second, CONV_HIDDEN), nn.Linear(CONV_HIDDEN, 2 * LATENTS)]
    else:
        layers = [*dense(LATENTS, CONV_HIDDEN, side * side * second), nn.Unflatten(1, (second, side, side))]
        layers += [nn.ConvTranspose2d(second, first, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(first, channels, 4, 2, 1)]
    modules = [layer for layer in layers if hasattr(layer, "weight")]
    values = weights([shape for module in modules for shape in keras_shapes(module)])
    for index, module in enumerate(modules):
        kernel, bias = next(values), next(values)
        convolution = kernel.ndim == 4
        if not convolution:
            kernel = rows_of_pixels(kernel, name, part, index, len(modules), side, second)
        kernel = kernel.transpose(3, 2, 0, 1) if convolution else kernel.T
        if name == "conv" and part == "decoder" and index == 1:  # its outputs become pixels: channels go first
            bias = bias.reshape(side, side, second).transpose(2, 0, 1).ravel()
        module.weight.data = torch.from_numpy(np.ascontiguousarray(kernel))
        module.bias.data = torch.from_numpy(np.ascontiguousarray(bias))
    return Parts(nn.Sequential(*layers), part).eval().requires_grad_(False)


def keras_shapes(module):
    """The shapes of a module's kernel and bias in Keras' layout."""
    shape = tuple(module.weight.shape)
    return ((*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape[::-1]), tuple(module.bias.shape)


def rows_of_pixels(kernel, name, part, index, count, side, channels):
    """The kernel of a dense layer beside the convolutions, its pixels in PyTorch's order."""
    if name == "conv" and part == "encoder" and index == count - 2:
        return kernel.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
    if name == "conv" and part == "decoder" and index == 1:
        return kernel.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(len(kernel), -1)
    return kernel


def Parts(network, part):
    """A module that returns what the exported graph returns, the constant sigma left out."""
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            loc, raw = self.network(x).chunk(2, dim=-1)
            return loc, nn.functional.softplus(raw) + 1e-5

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, z):
            return (self.network(z),)

    return Encoder() if part == "encoder" else Decoder()


def channels_first(x, part):
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if part == "encoder" else x


def seconds_a_call(call, budget):
    """The median time of a call, its fastest and how many there were, after a warm-up."""
    end = time.perf_counter() + budget / 4
    for _ in range(5):
        call()
    while time.perf_counter() < end:
        call()
    times, end = [], time.perf_counter() + budget
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times), min(times), len(times)


def onnx_contenders(folder, part, given, device, tf32):
    """(name, function that returns the first output, function to time, where) on one provider."""
    from vae_tf_onnx import Bound, Decoder, Encoder

    cuda = "CUDAExecutionProvider"
    provider = (cuda, {"use_tf32": str(int(tf32))}) if device == "cuda" else "CPUExecutionProvider"
    head = (Encoder if part == "encoder" else Decoder)(folder, providers=[provider])
    assert head.session.get_providers()[0] == (cuda if device == "cuda" else provider)
    method = head.encode if part == "encoder" else head.decode
    first = "loc" if part == "encoder" else "mean"
    yield f"{type(head).__name__}.{method.__name__}", lambda: method(given), lambda: method(given), "host"
    for cuda_graph in (False, True) if device == "cuda" else (False,):
        label = "Bound.run" + (", CUDA graph" if cuda_graph else "")
        bound = Bound(head, len(given), cuda_graph=cuda_graph)
        run = lambda bound=bound: bound.run(given)  # noqa: E731
        yield label, lambda run=run: run()[first], run, "host"
        again = lambda bound=bound: bound._session.run_with_iobinding(bound._binding)  # noqa: E731, SLF001
        yield label, None, again, "device"


def torch_contenders(name, part, given, device, tf32, compiled):
    """As `onnx_contenders`."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    model = torch_model(name, part, MODELS[name]).to(device)
    array = channels_first(given, part)
    inputs = torch.from_numpy(array).to(device)
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None

    def contender(label, forward, fixed=None):
        """`fixed` is the buffer that a recorded graph reads."""

        def host():
            source = torch.from_numpy(array)
            fed = source.to(device) if fixed is None else fixed.copy_(source)
            return [output.cpu().numpy() for output in forward(fed)]

        def resident():
            forward(inputs if fixed is None else fixed)
            finish()

        return (
            (label, lambda: channels_last(host()[0], part), host, "host"),
            (label, None, resident, "device"),
        )

    yield from contender("PyTorch, eager", model)
    if compiled:
        yield from contender("PyTorch, torch.compile", torch.compile(model))
    if device == "cuda":
        fixed, stream = inputs.clone(), torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                model(fixed)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = model(fixed)

        def replay(_):
            graph.replay()
            return outputs

        yield from contender("PyTorch, CUDA graph", replay, fixed)


def channels_last(output, part):
    return output.transpose(0, 2, 3, 1) if part == "decoder" and output.ndim == 4 else output


def inputs_of(name, part, batch):
    rng = np.random.default_rng(batch)
    if part == "encoder":
        return rng.random((batch, *MODELS[name]), np.float32)
    return rng.standard_normal((batch, LATENTS), np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="only write the bundles")
    parser.add_argument("--bundles", type=Path, metavar="FOLDER", help="measure these bundles")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=0.3, help="of timed calls for each contender")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--compile", action="store_true", help="torch.compile as one more contender")
    parser.add_argument("--json", type=Path, default=Path("inference.json"))
    options = parser.parse_args()
    if options.export is not None:
        export_models(options.export)
        return
    measure_all(options)


def measure_all(options):
    import onnxruntime
    import torch

    from vae_tf_onnx import Decoder, Encoder

    gpu = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor()
    about = {"device": gpu, "onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
    rows = []
    print(about, flush=True)
    for name in options.models:
        for part in ("decoder", "encoder"):
            for batch in options.batches:
                given = inputs_of(name, part, batch)
                head = (Encoder if part == "encoder" else Decoder)(options.bundles / name, threads=4)
                expected = head.encode(given) if part == "encoder" else head.decode(given)
                scale = float(np.abs(expected).max())
                for tf32 in (False, True) if options.device == "cuda" else (False,):
                    ours = guarded(onnx_contenders, options.bundles / name, part, given, options.device, tf32)
                    theirs = guarded(torch_contenders, name, part, given, options.device, tf32, options.compile)
                    for label, output, call, where in (*ours, *theirs):
                        row = {"model": name, "part": part, "batch": batch, "tf32": tf32, "where": where}
                        row |= {"contender": label}
                        if output is not None:
                            row["max_abs_error"] = float(np.abs(output().reshape(expected.shape) - expected).max())
                            row["max_abs_value"] = scale
                        row["seconds"], row["fastest"], row["calls"] = seconds_a_call(call, options.seconds)
                        rows.append(row)
                        print(json.dumps(row), flush=True)
                        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1))
    print(table(rows))


def guarded(make, *arguments):
    """The contenders of one library; one that fails is reported and left out."""
    try:
        yield from make(*arguments)
    except Exception as error:  # the other contenders still count
        print(f"failed: {make.__name__} {arguments[1]}: {type(error).__name__}: {error}", flush=True)


def table(rows):
    lines = ["| model | part | batch | TF32 | where | contender | ms | examples/s | largest error |", "|---" * 9 + "|"]
    for row in rows:
        error = f"{row['max_abs_error']:.1e}" if "max_abs_error" in row else ""
        cells = row["model"], row["part"], row["batch"], "on" if row["tf32"] else "off", row["where"], row["contender"]
        lines.append(
            f"| {' | '.join(map(str, cells))} | {row['seconds'] * 1e3:.3f} | {row['batch'] / row['seconds']:,.0f} "
            f"| {error} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
