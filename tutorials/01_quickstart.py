# %% [markdown]
# # Quickstart: from images to a trained VAE, its numbers and an ONNX file
#
# **The question.** How do I get from images to a trained VAE, pictures and an ONNX file, and know what was optimised?
#
# **Runs in** about 60 s on two CPU cores with the digits, about 3 min with MNIST (`VAE_TF_DATA=mnist`); a GPU is used
# where TensorFlow sees one.

# %% [markdown]
# ## The model
#
# For a batch of $B$ images of $D = H \cdot W \cdot C$ pixels, and $K$ latents:
#
# | | distribution | shape |
# |---|---|---|
# | prior | $z \sim p(z) = N(0, I_K)$ | `[B, K]` |
# | likelihood, the **decoder** | $x \mid z \sim p(x \mid z) = N(\mu(z), \sigma^2 I_D)$ | `[B, H, W, C]` |
# | approximate posterior, the **encoder** | $q(z \mid x) = N(m(x), \mathrm{diag}(s(x)^2))$ | `[B, K]` |
#
# $\mu$, $m$ and $s$ are neural networks; $\sigma$ is one number. The assumptions: images are independent of each other,
# pixels given $z$ too, all with the same noise $\sigma$; and so are the latents, given an image.

# %%
import math
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras as keras

import vae_tf
from vae_tf_onnx import Decoder, export

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU too computes in float32
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
EVENT, LATENTS, BATCH = x_train.shape[1:], 8, 100
DIMS = math.prod(EVENT)
EPOCHS = 2 if SMOKE else {"digits": 40, "mnist": 10}[DATA]
print(f"{len(x_train)} training and {len(x_test)} test images of shape {EVENT}, {DIMS} pixels")

# %% [markdown]
# ## Two networks that are distributions
#
# The decoder is a Keras model whose last layer is a likelihood: called on $z$ it **is** $p(x \mid z)$, a distribution
# of TensorFlow Probability. In the same way the encoder is $q(z \mid x)$. `scale="optimal"` makes $\sigma$ the root
# mean squared residual, a running average over the batches; it is 1 before the first one.

# %%
vae = vae_tf.VAE(
    encoder=vae_tf.networks.mlp_encoder(EVENT, vae_tf.posteriors.DiagonalNormal(LATENTS)),
    decoder=vae_tf.networks.mlp_decoder(LATENTS, vae_tf.likelihoods.Gaussian(EVENT, scale="optimal")),
    prior=vae_tf.priors.StandardNormal(LATENTS),
)
for name, d in (("q(z|x)", vae.encoder(x_test[:4])), ("p(x|z)", vae.decoder(vae.encode(x_test[:4])))):
    print(f"{name}: batch shape {tuple(d.batch_shape)}, event shape {tuple(d.event_shape)}")

# %% [markdown]
# ## Train, and watch sigma
#
# `fit` takes the images once: they are input and target. `MSEEquivalence` adds $\sigma$ and $1/(2\sigma^2)$ to the
# logs. Everything is seeded: the weights by `set_random_seed(0)`, noise and order by the model's own `seed=0`.

# %%
vae.compile(optimizer="adam")  # Adam at 1e-3; the loss is that of the objective, -ELBO by default
options = {"epochs": EPOCHS, "batch_size": BATCH, "callbacks": [vae_tf.callbacks.MSEEquivalence()], "verbose": 0}
history = vae.fit(x_train, validation_data=x_test, **options).history
sigma = float(vae.likelihood.scale)
print("epoch  -ELBO, training  -ELBO, test     KL  sigma  1/(2 sigma^2)   (nats per image)")
for i in sorted({0, EPOCHS // 4, EPOCHS // 2, EPOCHS - 1}):
    row = [history[key][i] for key in ("loss", "val_loss", "val_rate", "sigma", "mse_scale")]
    print("{:5d}  {:15.2f}  {:11.2f}  {:5.2f}  {:5.3f}  {:13.2f}".format(i + 1, *row))

# %% tags=["cover"]
epochs = range(1, EPOCHS + 1)
fig = plt.figure(figsize=(8, 3.8), layout="constrained")
axes = fig.subplot_mosaic([[*"aabbcc"], [*"pppsss"]], height_ratios=(1.9, 1))
axes["a"].plot(epochs, history["loss"], label="training")
axes["a"].plot(epochs, history["val_loss"], "--", label="test")
axes["a"].legend(frameon=False)
axes["b"].plot(epochs, history["sigma"])
axes["c"].plot(epochs, history["mse_scale"])
axes["a"].set(xlabel="epoch", ylabel="nats per image", title=r"$-$ELBO, minimised")
axes["b"].set(xlabel="epoch", ylabel="units of the pixels", title=r"$\sigma$, the noise of $p(x|z)$", ylim=(0, None))
axes["c"].set(xlabel="epoch", ylabel=r"$1/(2\sigma^2)$", title="weight of squared error", ylim=(0, None))
vae_tf.plotting.image_grid(axes["p"], np.concatenate([x_test[:8], vae.reconstruct(x_test[:8])]), columns=8)
axes["p"].set_title("test images, and their reconstructions below")
vae_tf.plotting.image_grid(axes["s"], vae.sample(16, seed=0, observation_noise=False), columns=8)
axes["s"].set_title("new images: $E[x|z]$, $z$ from the prior")
_ = fig.suptitle(r"As the residual shrinks, $\sigma$ follows, and the squared error weighs more")

# %% [markdown]
# ## The loss, written out
#
# What was minimised is the negative evidence lower bound of each image, in nats, with all its constants:
#
# $$-\mathrm{ELBO}(x) = \underbrace{-E_{q(z \mid x)} \log p(x \mid z)}_{\mathrm{distortion}}
# + \underbrace{\mathrm{KL}(q(z \mid x) \Vert p(z))}_{\mathrm{rate}}$$
#
# For the two normal distributions above,
#
# $$-\log p(x \mid z) = \frac{\Vert x - \mu(z) \Vert^2}{2 \sigma^2} + \frac{D}{2} \log(2 \pi \sigma^2), \qquad
# \mathrm{KL} = \frac{1}{2} \sum_{k=1}^{K} \left( m_k^2 + s_k^2 - 1 - \log s_k^2 \right).$$
#
# The squared error is **summed** over the pixels, and $1/(2 \sigma^2)$ is its factor. Keras estimates the expectation
# from one draw of $z$ per image, the lines below from 32.

# %%
x = x_test[:256]
q = vae.encoder(x)
m, s = q.mean().numpy(), q.stddev().numpy()
z = m + s * np.random.default_rng(0).standard_normal((32, *m.shape), np.float32)
squared = np.stack([np.sum((x - vae.decode(draw)) ** 2, axis=(1, 2, 3)) for draw in z])
distortion = squared / (2 * sigma**2) + DIMS / 2 * math.log(2 * math.pi * sigma**2)
rate = 0.5 * np.sum(m**2 + s**2 - 1 - np.log(s**2), axis=-1)

by_hand = {"distortion": distortion.mean(), "rate": rate.mean(), "loss": distortion.mean() + rate.mean()}
by_keras = vae.evaluate(x, batch_size=BATCH, verbose=0, return_dict=True)
noise = math.sqrt(np.mean(distortion.var(axis=0, ddof=1)) / len(x))  # of a mean over images, one draw for each
print("nats per image  by hand, 32 draws  evaluate(), 1 draw")
for name, value in by_hand.items():
    print(f"{name:14s}  {value:17.2f}  {by_keras[name]:18.2f}")
print(f"standard error of distortion and loss from one draw: {noise:.2f}")

# %% [markdown]
# ## A reconstruction is a mean; a draw has noise
# `vae.reconstruct(x)`, as `vae.predict(x)`, returns the mean $\mu(z)$ at $z = m(x)$: given $z$ no answer has a smaller
# expected squared error. A draw $x' = \mu(z) + \sigma \varepsilon$ is what the model believes images to look like,
# noise included, and its error is larger by $\sigma^2$ for each pixel:
#
# $$E (x - x')^2 = (x - \mu(z))^2 + \sigma^2.$$

# %%
p = vae.decoder(vae.encode(x))
mean, draw = p.mean().numpy(), p.sample(seed=(0, 0)).numpy()
mse_mean, mse_draw = np.mean((x - mean) ** 2), np.mean((x - draw) ** 2)
print(f"squared error: p.mean() {mse_mean:.4f}, plus sigma^2 {mse_mean + sigma**2:.4f}; p.sample() {mse_draw:.4f}")
generated = vae.decoder(np.random.default_rng(0).standard_normal((8, LATENTS), np.float32))
means, noisy = generated.mean().numpy(), generated.sample(2, seed=(0, 0)).numpy()
fig, axes = plt.subplots(1, 2, figsize=(8, 2.1), layout="constrained", gridspec_kw={"wspace": 0.05})
vae_tf.plotting.image_grid(axes[0], np.concatenate([x[:8], mean[:8], draw[:8]]), columns=8)
axes[0].set_title("test images, $E[x|z]$, a draw of $p(x|z)$")
vae_tf.plotting.image_grid(axes[1], np.concatenate([means, *noisy]), columns=8)
axes[1].set_title("new images: $E[x|z]$, and two draws")
_ = fig.suptitle(r"The model's images are means plus noise of size $\sigma$")

# %% [markdown]
# ## Numbers about the test set
#
# The ELBO is a lower bound of $\log p(x)$. The mean of $S$ importance weights gives a tighter one (Burda, Grosse and
# Salakhutdinov 2016, arXiv 1509.00519, eq. 8):
#
# $$\log p(x) \ge E \log \frac{1}{S} \sum_{i=1}^{S} \frac{p(x \mid z_i) p(z_i)}{q(z_i \mid x)} \ge \mathrm{ELBO}(x),
# \qquad z_i \sim q(z \mid x).$$
#
# Both are densities of pixels in $[0, 1]$, so that their nats depend on that scale. Bits per dimension do not: the grey
# levels $k$ of $L$ are spread to $(k + u) / L$ with $u$ uniform in $[0, 1)$, and $\log_2 L$ bits are added for the
# width of a level, which makes it a mass $P(x)$ (Theis, van den Oord and Bethge 2016, arXiv 1511.01844, section 3.1).

# %%
shown, draws = x_test[:500], 50 if SMOKE else 500
elbo = vae_tf.evaluation.elbo(vae, shown, progress=False)
log_p = vae_tf.evaluation.log_likelihood(vae, shown, draws, progress=False)
bits = vae_tf.evaluation.bits_per_dim(vae, shown, draws, levels=vae_tf.data.levels(x_test), progress=False)
for name, estimate in (("ELBO", elbo), ("log p(x)", log_p), ("-log2 P(x) / D", bits)):
    print(f"{name:14s} {estimate.mean:8.2f} +- {estimate.standard_error:.2f} {estimate.unit}, {len(shown)} test images")

# %% [markdown]
# ## Save, load, export
#
# A `.keras` file brings back the whole model: networks, likelihood, prior, objective and optimizer. The bundle is a
# folder of ONNX graphs that carry their likelihood. It needs numpy and onnxruntime alone, and `export` writes it only
# if its graphs equal the Keras model; see [export and serve](08_export_and_serve.ipynb).

# %%
folder = Path(tempfile.mkdtemp())
vae.save(folder / "vae.keras")
loaded = vae_tf.load(folder / "vae.keras")
export(vae, folder / "bundle", x=x, data=DATA)
keras_samples, onnx_samples = vae.sample(16, seed=0), Decoder(folder / "bundle").sample(16, seed=0)
print("the same samples, to 1e-4 of the pixel range:", np.allclose(keras_samples, onnx_samples, rtol=0, atol=1e-4))

# %% [markdown]
# ## What to look at
#
# - The two columns of the loss: what Keras minimises is the formula, constants included.
# - $\sigma$ is a result, in the units of the pixels. Its factor $1/(2\sigma^2)$ is far from the 1 of "squared error
#   plus KL".
# - The loss is negative in the end: a sum of logarithms of **densities**, which may exceed 1 where $\sigma$ is small.
#
# ## Limits
#
# One seed, one small architecture, few epochs. One $\sigma$ for all pixels is a poor account of margins that are always
# black. The bits are an upper bound, and this model was not trained on spread levels. What is not said here:
# [where the squared error comes from](02_from_log_likelihood_to_mse.ipynb), [what sigma is](03_what_is_sigma.ipynb),
# [what is known exactly](04_linear_vae_and_ppca.ipynb), [why latents collapse](05_posterior_collapse.ipynb),
# [other likelihoods](06_choosing_a_likelihood.ipynb),
# [how far the numbers can be trusted](07_trusting_the_number.ipynb) and
# [how models are served](08_export_and_serve.ipynb).
#
# ## Exercises
#
# **1.** Fix `scale=1.0` in place of `"optimal"`. Before running it: what happens to the KL, to the reconstructions, and
# to samples with noise?
#
# <details><summary>Answer</summary>
#
# The factor of the squared error falls to 1/2, and no reconstruction of a digit is then worth the KL that it costs: the
# KL falls to zero, and every reconstruction is the average image. (MNIST, whose images vary more, keeps a part of its
# KL.) A draw is noise, of a standard deviation as large as the pixel range. `MSEEquivalence` warns that sigma is off.
#
# </details>
#
# **2.** Set `LATENTS` to 2. Do $\sigma$, the KL and $\log p(x)$ rise or fall? How is `vae.encode(x_test)` spread?
#
# <details><summary>Answer</summary>
#
# Two numbers describe an image less well: the residual rises, and $\sigma$ with it; the KL and $\log p(x)$ fall. The
# posterior means fill a disc around the origin, of about the width of the prior, as the KL asks of them.
#
# </details>
#
# ## The claims of this page, checked

# %%
assert math.isclose(by_keras["rate"], by_hand["rate"], rel_tol=1e-3)  # in closed form: equal to rounding
assert math.isclose(by_keras["loss"], by_keras["distortion"] + by_keras["rate"], rel_tol=1e-4)
assert abs(by_keras["distortion"] - by_hand["distortion"]) < 5 * noise  # other draws: within five standard errors
formula = np.sum((x - mean) ** 2, axis=(1, 2, 3)) / (2 * sigma**2) + DIMS / 2 * math.log(2 * math.pi * sigma**2)
np.testing.assert_allclose(-p.log_prob(x), formula, rtol=1e-3, atol=0.1)  # the constants included
residual = x_train[:1000] - vae.decode(vae.encoder(x_train[:1000]).sample(seed=0))
assert SMOKE or math.isclose(sigma, np.sqrt(np.mean(residual**2)), rel_tol=0.15)  # optimal: that of the last batches
np.testing.assert_allclose(history["mse_scale"], [1 / (2 * s**2) for s in history["sigma"]], rtol=1e-5)
assert history["sigma"][-1] < history["sigma"][0]
assert history["val_loss"][-1] < history["val_loss"][0]
np.testing.assert_allclose(vae.predict(x, verbose=0), mean, rtol=0, atol=1e-3)  # predict: the mean at m(x)
assert math.isclose(mse_draw, mse_mean + sigma**2, rel_tol=0.05)  # within 5 %
assert math.isclose(np.std(noisy - means), sigma, rel_tol=0.1)  # the noise of 16 draws, within 10 %
assert log_p.mean > elbo.mean
np.testing.assert_allclose(loaded.reconstruct(x), vae.reconstruct(x), rtol=0, atol=1e-6)
np.testing.assert_allclose(onnx_samples, keras_samples, rtol=0, atol=1e-4)
if not SMOKE:
    assert history["loss"][-1] < 0  # densities above 1
    assert history["mse_scale"][-1] > 10  # far from 1
print("Checked: loss = -log p + KL by hand, sigma = residual, noise of draws, order of bounds, .keras and ONNX files.")
