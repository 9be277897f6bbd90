# %% [markdown]
# # Export and serve: from Keras to ONNX, and to a client
#
# **The question.** How does a trained decoder leave TensorFlow, and is what is served what was trained?
#
# **Runs in** about 45 s on two CPU cores with the digits, about 2 min with MNIST (`VAE_TF_DATA=mnist`); a GPU is used
# where TensorFlow sees one. It needs the packages of `pip install "vae-tf-onnx[convert,serve]"`.

# %% [markdown]
# ## The model
#
# $z \sim N(0, I_K)$, `[B, K]`; $x \mid z \sim N(\mu(z), \sigma^2 I_D)$, `[B, H, W, C]`, pixels independent, one
# $\sigma$; $q(z \mid x) = N(m(x), \mathrm{diag}(s(x)^2))$, `[B, K]`. What leaves: $z \mapsto (\mu(z), \sigma)$ and
# $x \mapsto (m(x), s(x))$ as ONNX graphs, and what makes distributions of them again: likelihood, prior, data range.

# %%
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras as keras

import vae_tf
from vae_tf_onnx import BundleError, Decoder, ParityError, add_variants, export, verify

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU too computes in float32
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
EVENT, EPOCHS = x_train.shape[1:], 2 if SMOKE else {"digits": 40, "mnist": 4}[DATA]
encoder = vae_tf.networks.mlp_encoder(EVENT, vae_tf.posteriors.DiagonalNormal(8))
gaussian = vae_tf.likelihoods.Gaussian(EVENT, scale="optimal")
vae = vae_tf.VAE(encoder, vae_tf.networks.mlp_decoder(8, gaussian), vae_tf.priors.StandardNormal(8))
vae.compile(optimizer="adam")
vae.fit(x_train, epochs=EPOCHS, batch_size=100, verbose=0)
sigma = float(vae.likelihood.scale)
print(f"after {EPOCHS} epochs on {len(x_train)} images: sigma = {sigma:.4f}, 1/(2 sigma^2) = {1 / (2 * sigma**2):.2f}")

# %% [markdown]
# ## A bundle
#
# `export` writes a folder; `observation` in it makes a draw of $x$ for clients without numpy. Model card and manifest
# say which likelihood the numbers belong to: $-\log p(x \mid z) = a \Vert x - \mu(z) \Vert^2 + c$ with
# $a = 1/(2 \sigma^2)$. Each graph has its `config.pbtxt`: the folder is a model repository of Triton Inference Server.

# %%
folder, x = Path(tempfile.mkdtemp()), x_test[:256]
bundle = export(vae, folder / "bundle", x=x, data=DATA)
for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
    print(f"{path.stat().st_size / 1000:7.0f} kB  {path.relative_to(bundle).as_posix()}")
manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
facts = manifest["likelihood"]["equivalence"]
print(f"{manifest['likelihood']['family']}: a = {facts['scale_factor']:.2f}, c = {facts['constant']:.2f} nats\n")
print(*(bundle / "decoder/config.pbtxt").read_text(encoding="utf-8").splitlines()[1:11], sep="\n")

# %% [markdown]
# ## Parity
#
# Before the folder appears, every output $\hat f$ of every graph is compared with the Keras model's $f$ at batch sizes
# 1, 3 and 17: a single size would not notice a batch axis frozen by accident. `export` raises `ParityError` and writes
# nothing unless $\max |\hat f - f| \le 10^{-5} \max |f|$ ($10^{-4}$ for log-probabilities). `verify` compares all
# checksums, and replays a golden set, inputs and what Keras made of them, wherever the bundle goes. Below, somebody
# overwrites 1000 weights with zeros, and then writes the new checksum into the manifest as well.

# %%
decoder, rng = Decoder(bundle), np.random.default_rng(1)
latents = [rng.standard_normal((rows, 8), np.float32) for rows in (1, 3, 17)]
parity = [np.abs(decoder.decode(z) - vae.decode(z)).max() / np.abs(vae.decode(z)).max() for z in latents]
print("decoder/mean, ONNX against Keras, at batch 1, 3 and 17:", *(f"{error:.0e}" for error in parity))
print("golden set:", ", ".join(f"{name} {error:.0e}" for name, error in verify(bundle).items()))
changed = shutil.copytree(bundle, folder / "changed")
graph, refusals = changed / "decoder/1/model.onnx", []
content = bytearray(graph.read_bytes())
content[600_000:604_000] = bytes(4000)
graph.write_bytes(content)
for shown in (57, 95):  # characters of the message
    try:
        verify(changed)
    except (BundleError, ParityError) as error:
        refusals.append(type(error))
        print(f"{type(error).__name__}: {str(error).replace(str(changed), 'changed')[:shown]}...")
    manifest["files"]["decoder/1/model.onnx"] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (changed / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

# %% [markdown]
# ## Noise is an input, and the runtime has no TensorFlow
#
# Graphs are deterministic. A draw is a function of noise, $x = \mu(\varepsilon_z) + \sigma \varepsilon_x$, both
# $\varepsilon$ from `numpy.random.default_rng(seed)`, that of $z$ first. Three things therefore agree on every pixel:
# the lines below, Keras, and a new process that loads numpy and onnxruntime alone.

# %%
rng = np.random.default_rng(0)
noise_z, noise_x = (rng.standard_normal((16, *shape), np.float32) for shape in ((8,), EVENT))
by_numpy, by_keras = decoder.decode(noise_z) + sigma * noise_x, vae.sample(16, seed=0)
EDGE = """import sys, numpy, vae_tf_onnx
numpy.save(sys.argv[2], vae_tf_onnx.Decoder(sys.argv[1]).sample(16, seed=0))
print(*sorted({"numpy", "onnxruntime", "tensorflow", "tf_keras", "vae_tf"} & set(sys.modules)))"""
command = [sys.executable, "-c", EDGE, str(bundle), str(folder / "edge.npy")]
loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
largest = max(np.abs(values - by_numpy).max() for values in (by_keras, np.load(folder / "edge.npy")))
print(f"largest difference of a pixel: {largest:.0e}; the new process has loaded", *loaded)

# %% [markdown]
# ## Smaller files, and what they cost in nats
#
# A variant computes $\mu + \delta$ instead of $\mu$. With the residual $r = x - \mu$ its log-likelihood is off by
# $$\Delta \log p(x \mid z) = \frac{\Vert r \Vert^2 - \Vert r - \delta \Vert^2}{2 \sigma^2}
# = \frac{r^T \delta - \Vert \delta \Vert^2 / 2}{\sigma^2}:$$
#
# the error of the pixels, over $\sigma^2$. `add_variants` measures both on data that did not calibrate the files, and
# refuses what is beyond its tolerances. `fp16` halves the bytes of a weight; `int8-dynamic` rounds to 8 bits by the
# range of the batch, `int8-static` by ranges calibrated before; `ort` is the format that minimal builds of onnxruntime
# read. Then the same networks get a tenth of $\sigma$: the pixels' error stays, that in nats is 100 times as large.

# %%
table = add_variants(bundle, ("fp16", "int8-dynamic", "int8-static", "ort"), x=x_train[:512])
print("decoder           kB  largest error: of a pixel's mean  of log p(x|z), nats per image")
for name, row in table.items():
    print(f"{name:12s}  {row['bytes'] / 1000:6.0f}  {row['max_abs_error']:32.4f}  {row['log_prob_error']:29.3f}")
z, int8 = vae.encode(x), Decoder(bundle, variant="int8-dynamic")
residual, delta = x - decoder.decode(z), int8.decode(z) - decoder.decode(z)
formula = np.sum(residual * delta - delta**2 / 2, axis=(1, 2, 3)) / sigma**2
measured = int8.log_prob(x, z) - decoder.log_prob(x, z)
sharp_decoder = vae_tf.networks.mlp_decoder(8, vae_tf.likelihoods.Gaussian(EVENT, scale=sigma / 10))
sharp_decoder.set_weights(vae.decoder.get_weights())
sharp = export(vae_tf.VAE(vae.encoder, sharp_decoder, vae.prior), folder / "sharp")
try:
    add_variants(sharp, ["int8-dynamic"], x=x_train[:512])
except ParityError as error:
    refusals.append(type(error))
    print(f"\nParityError: {error}")
forced = add_variants(sharp, ["int8-dynamic"], x=x_train[:512], force=True)["int8-dynamic"]

# %% tags=["cover"]
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True, subplot_kw={"xmargin": 0.2})
for ax, key, unit, label in zip(axes, ("bytes", "log_prob_error"), (1000, 1), ("{:.0f}", "{:.2g}"), strict=True):
    bars = ax.barh(list(table), [row[key] / unit for row in table.values()], color=["C0", *4 * ["C1"]])
    ax.bar_label(bars, fmt=label, padding=3)
axes[0].set(xlabel="size of the decoder's file (kB)", ylim=(4.6, -0.6))
axes[1].set(xlabel=r"largest error of log $p(x|z)$ (nats per image)")
_ = fig.suptitle("Half precision halves the file, 8 bits leave about a quarter, at a price in nats")

# %% [markdown]
# ## A server, and a client that knows only the protocol
#
# `vae-tf-onnx serve bundle` speaks the Open Inference Protocol (KServe v2) over HTTP and gRPC on 127.0.0.1; each graph
# is a model. The client below is the standard library; after `import tritonclient.http as client` such a request is
#
# ```python
# server, z = client.InferenceServerClient("127.0.0.1:8000"), client.InferInput("z", [3, 8], "FP32")
# z.set_data_from_numpy(np.zeros((3, 8), np.float32))
# mean = server.infer("decoder", [z]).as_numpy("mean")
# ```

# %%
SERVE = "from vae_tf_onnx.cli import main; main()"  # what the command vae-tf-onnx runs; port 0 is a free one
command = [sys.executable, "-c", SERVE, "serve", str(bundle), "--http-port", "0", "--grpc-port", "0", "--no-page"]
tensor = {"name": "z", "shape": [3, 8], "datatype": "FP32", "data": z[:3].ravel().tolist()}
inference = [("models/decoder/infer", {"inputs": [tensor | {"shape": shape}]}) for shape in ([3, 8], [4, 6])]
answers = []
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:  # noqa: S603
    try:
        log = server.stderr.readline()  # "Serving decoder, ...: http://127.0.0.1:...", or which package is missing
        if "Serving" not in log:
            raise ImportError(log)
        client = http.client.HTTPConnection(log.partition("http://")[2].partition(",")[0], timeout=60)
        for path, body in [("health/ready", None), ("models/decoder", None), *inference]:
            client.request("POST" if body else "GET", f"/v2/{path}", json.dumps(body) if body else None)
            response = client.getresponse()
            answers.append((response.status, json.loads(response.read() or "null")))
        client.close()
    finally:
        server.terminate()  # it answers what it has accepted, and ends with exit code 0
        server.communicate()  # reads its log to the end: a server that cannot write would end with an error
(ready, _), (_, metadata), (status, answer), (refused, problem) = answers
outputs = {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}
print(f"ready {ready}, inference {status}:", ", ".join(f"{name} {a.shape}" for name, a in outputs.items()))
print(f"metadata: inputs {metadata['inputs']}\n{refused}: {problem['error']}")

# %% [markdown]
# ## Triton, GPUs, the browser
#
# `tritonserver --model-repository bundle` serves the same folder to the same clients. A decoder given
# `providers=["CUDAExecutionProvider"]` runs on the GPU or raises `ProviderError`; onnxruntime alone falls back to the
# CPU in silence. It takes `pip install "vae-tf-onnx[gpu]"` and the second step in the README of `export/`, apart from
# TensorFlow, which wants another CUDA. The project has run Triton on CPUs, and none of this on a GPU.
#
# `vae-tf-onnx web bundle --out page` writes a page that decodes in the browser, by onnxruntime-web from npm:
#
# ![The latent explorer: a slider for each latent, and the image that the decoder makes of them](images/explorer.png)
#
# ## What to look at
#
# - The parity errors are rounding of float32; a damaged weight matrix is far beyond what is allowed.
# - The errors of the pixels are small in every variant. Whether they are small in nats is decided by $\sigma$.
#
# ## Limits
#
# Parity is measured on random inputs, not proven for all. 8-bit results depend on the processor; latencies come from
# `vae-tf-onnx bench`. Fully connected networks are the best case of 8 bits: transposed convolutions stay in float32.
#
# ## Exercises
#
# **1.** Somebody changes the weights, the golden set **and** every checksum. What does `verify` say? What would help?
#
# <details><summary>Answer</summary>
#
# It passes: all that it compares lies in the folder. It finds damage and mistakes, not forgery: a checksum is no
# signature. The SHA-256 of `manifest.json`, which covers all other files, must reach you by another way, signed or from
# a registry.
#
# </details>
#
# **2.** Decode `z[:17]` by the `int8-dynamic` decoder at once, and row by row. Are the results equal? And in fp32?
#
# <details><summary>Answer</summary>
#
# Not in `int8-dynamic`: the range that its 8 bits divide is that of the batch, so that a row depends on its neighbours
# (the server runs each request alone there). In fp32 they agree to the rounding of sums.
#
# </details>
#
# ## The claims of this page, checked

# %%
assert max(parity) <= 1e-5  # as export demands
assert refusals[:2] == [BundleError, ParityError]
assert np.isclose(facts["scale_factor"], 1 / (2 * sigma**2), rtol=1e-5)
assert largest < 1e-4  # of the pixel range
np.testing.assert_allclose(measured, formula, rtol=1e-2, atol=1e-2)  # nats, sums in float32
for names, low, high in ((["fp16"], 0.45, 0.55), (["int8-dynamic", "int8-static"], 0.2, 0.3)):
    assert all(low < table[name]["bytes"] / table["fp32"]["bytes"] < high for name in names)
for error, factor in (("max_abs_error", 1), ("log_prob_error", 100)):
    assert np.isclose(forced[error], factor * table["int8-dynamic"][error], rtol=0.01)
assert (ready, status, refused, server.returncode, *loaded) == (200, 200, 400, 0, "numpy", "onnxruntime")
np.testing.assert_allclose(outputs["mean"], decoder.decode(z[:3]), rtol=0, atol=1e-5)
assert SMOKE or all(row.get("within_tolerances", True) for row in table.values())
assert SMOKE or refusals[2:] == [ParityError]  # untrained, sigma is too large to show it
print("Checked: parity, refusals, noise, nats of variants, the process without TensorFlow, the server's answers.")
