# %% [markdown]
# # Choosing a likelihood
#
# **The question.** Which $p(x \mid z)$ fits these images, and how can a density be compared with a mass?
#
# **Runs in** about 2 min on two CPU cores with the digits, 10 min with MNIST (`VAE_TF_DATA=mnist`); a GPU is used where
# TensorFlow sees one.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import special, stats

import vae_tf
from vae_tf import evaluation, likelihoods

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
LEVELS, SHAPE = vae_tf.data.levels(x_train), x_train.shape[1:]  # L = 17 (digits) or 256
x_train, x_test = x_train[: 200 if SMOKE else 5000], x_test[: 50 if SMOKE else 300]

# %% [markdown]
# ## The model
# $$z \sim \mathcal N(0, I), \quad z: [B, 8], \qquad x \mid z \sim \prod_i p(x_i; \theta_i(z)), \quad x: [B, H, W, 1]$$
#
# with $\theta(z): [B, H, W, P]$ from a network. Given $z$ the $D = HW$ pixels are independent; $p$ is to be chosen. The
# data are grey levels $k \in \{0, \dots, L - 1\}$, stored as $k / (L - 1)$. All else is the same below: images (the
# first 5,000 of MNIST), two hidden layers of 64, batches, steps, Adam at 1e-3, seed 0.
#
# ## A density and a mass
# A mass $P(k)$ sums to one over the levels. A density integrates to one, may exceed one, and depends on the unit of
# $x$: for $y = 255\, x$, $\log p(y) = \log p(x) - D \log 255$. With each level spread over its bin, $x = (k + u) / L$,
# $u \sim U[0, 1)$, a density bounds a mass (Theis, van den Oord, Bethge 2016, arXiv 1511.01844). For one pixel
#
# $$\log P(k) = \log \int_{k/L}^{(k+1)/L} p(x)\, dx = \log E_u\, p\big(\tfrac{k + u}L\big) - \log L
# \ge E_u \log p\big(\tfrac{k + u}L\big) - \log L$$
#
# In bits per dimension, $-\log P(x) / (D \log 2)$, which no pixel scale changes, this adds $\log_2 L$ to a density.

# %%
k, u = round(0.2 * (LEVELS - 1)), np.random.default_rng(0).random(100_000)
pixel = stats.norm(0.25, 0.1)
mass = np.log(pixel.cdf((k + 1) / LEVELS) - pixel.cdf(k / LEVELS))
bound = pixel.logpdf((k + u) / LEVELS).mean() - np.log(LEVELS)
moved = stats.norm(255 * 0.25, 255 * 0.1).logpdf(255 * 0.3) - pixel.logpdf(0.3)
print(f"one pixel: log P(k) {mass:.4f} nats, dequantised {bound:.4f}; density in units of 0..255: {moved:+.4f}")

# %% [markdown]
# ## All of them on the same images
# A density is trained and scored on $(k + u) / L$, a mass of levels on $k / (L - 1)$, one of counts on $k$; encoders
# see [0, 1]. Beside the bits: those of a black pixel and of another, at the mean code.

# %%
BATCH, EPOCHS = (100, 1 if SMOKE else 12) if DATA == "mnist" else (50, 1 if SMOKE else 20)  # 600 steps of each
spread = (np.rint(x_train * (LEVELS - 1)) + np.random.default_rng(0).random(x_train.shape)).astype("float32") / LEVELS


def train(likelihood, x, peak=1.0):
    """A VAE with this likelihood, fitted to x in [0, peak]."""
    keras.utils.set_random_seed(0)
    encoder = vae_tf.networks.mlp_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(8), hidden=(64, 64))
    encoder = keras.Sequential([keras.layers.InputLayer(SHAPE), keras.layers.Rescaling(1 / peak), *encoder.layers])
    decoder = vae_tf.networks.mlp_decoder(8, likelihood, hidden=(64, 64))
    vae = vae_tf.VAE(encoder, decoder, vae_tf.priors.StandardNormal(8))
    vae.compile(keras.optimizers.Adam(1e-3, jit_compile=False), run_eagerly=SMOKE)
    vae.fit(x, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return vae


cut = {"quantised": True, "levels": LEVELS}
families = {
    "Gaussian, sigma = 1": likelihoods.Gaussian(SHAPE, scale=1.0),
    "Gaussian, sigma learned": likelihoods.Gaussian(SHAPE, scale="learned"),
    "Gaussian, sigma optimal": likelihoods.Gaussian(SHAPE),
    "Gaussian, sigma per pixel": likelihoods.Gaussian(SHAPE, scale="per_pixel"),
    "Gaussian, sigma optimal, quantised": likelihoods.Gaussian(SHAPE, **cut),
    "Gaussian, sigma per pixel, quantised": likelihoods.Gaussian(SHAPE, scale="per_pixel", **cut),
    "Laplace": likelihoods.Laplace(SHAPE),
    "Student t, 5 degrees": likelihoods.StudentT(SHAPE, df=5),
    "continuous Bernoulli": likelihoods.ContinuousBernoulli(SHAPE),
    "discretised logistic": likelihoods.DiscretizedLogistic(SHAPE, levels=LEVELS),
    "mixture of 3 logistics": likelihoods.MixtureOfLogistics(SHAPE, components=3, levels=LEVELS),
    "categorical": likelihoods.Categorical(SHAPE, levels=LEVELS),
    "Poisson": likelihoods.Poisson(SHAPE),
    "negative binomial": likelihoods.NegativeBinomial(SHAPE),
}
if SMOKE:
    families = {name: families[name] for name in ("Gaussian, sigma optimal", "discretised logistic", "Poisson")}
models, bits, pixels, black = {}, {}, {}, x_test == 0
middle = ((np.rint(x_test * (LEVELS - 1)) + 0.5) / LEVELS).astype(np.float32)  # of each bin
for name, likelihood in families.items():
    density, peak = likelihood.measure == "density", LEVELS - 1 if likelihood.support == "counts" else 1
    train_set, test_set = (np.rint(x * peak) if peak > 1 else x for x in (x_train, x_test))
    models[name] = train(likelihood, spread if density else train_set, peak)
    bits[name] = evaluation.bits_per_dim(models[name], test_set, 20, levels=LEVELS, progress=False)
    scored = tf.constant(middle if density else test_set)
    parameters = likelihood.parameters_of(models[name].decoder(models[name].encode(scored)))
    each = -likelihood.pointwise_log_prob(scored, parameters).numpy() / np.log(2) + density * np.log2(LEVELS)
    pixels[name] = each[black].mean(), each[~black].mean()
bits = dict(sorted(bits.items(), key=lambda row: row[1].mean))
print(f"share of black pixels {black.mean():.3f}; bits per dimension     black other")
for name, value in bits.items():
    print(f"{name:37s} {value.measure:8s} {value.mean:6.3f} +- {value.standard_error:.3f}", *np.round(pixels[name], 2))

# %% tags=["cover"]
fig, ax = plt.subplots(figsize=(7.8, 3.6), layout="constrained")
for measure, color, hatch in (("mass", "C0", ""), ("density", "C1", "//")):
    rows = {i: value.mean for i, value in enumerate(bits.values()) if value.measure == measure}
    drawn = np.minimum(list(rows.values()), 1.5 * np.log2(LEVELS))  # the worst would dwarf the others
    bars = ax.barh(list(rows), drawn, color=color, hatch=hatch, alpha=0.8, label=f"a {measure}")
    ax.bar_label(bars, [f"{value:.2f}" for value in rows.values()], padding=3, fontsize=9)
ax.axvline(np.log2(LEVELS), color="k", linestyle=":", label="uniform over the levels")
ax.set_yticks(range(len(bits)), [name.replace("sigma", r"$\sigma$") for name in bits], fontsize=9)
ax.set(xlabel="bits per dimension of test images (lower is better)", xmargin=0.12, ylim=(len(bits) - 0.4, -0.6))
_ = ax.set_title("Likelihoods of grey levels lead: the same network and steps for all"), ax.legend(loc="upper right")

# %% [markdown]
# Many pixels are exactly black. A mass can say so in few bits: a quantised Gaussian moves its location below 0, where
# the lowest bin is open. A symmetric density whose $\sigma$ spans many bins pays $\log_2(\sigma L \sqrt{2 \pi})$ bits
# there, one of them for the half below 0. Counts have not the variance of images: a Poisson's is its mean.
#
# ## A density without a ceiling
# A density may grow wherever a value recurs: $\log \mathcal N(0; 0, \sigma^2) = -\log \sigma - \frac12 \log 2 \pi$. On
# the levels themselves a $\sigma$ per pixel falls towards its floor, `min_scale`, on which the result depends. On
# $(k + u) / L$ a density has at least the bits of its mass: above 0.
#
# ## Samples
# The same four draws of $z$ for all: above the means $E[x \mid z]$, below draws of $x$.

# %%
floors = {}
for floor in (0.1, 0.01):
    vae = train(likelihoods.Gaussian(SHAPE, scale="per_pixel", min_scale=floor), x_train)
    floors[floor] = evaluation.elbo(vae, x_test, progress=False)
    print(f"sigma per pixel, at least {floor:.2f}, on the levels: ELBO {floors[floor].mean:.0f} nats per image")
chosen = [name for name in models if not any(word in name for word in ("learned", "quant", "Lap", "neg"))]
fig, axes = plt.subplots(len(chosen) // 3, 3, figsize=(8, 0.55 * len(chosen)), layout="constrained")
for ax, name in zip(axes.flat, chosen, strict=True):
    images = [models[name].sample(4, seed=0, observation_noise=noise) for noise in (False, True)]
    peak = LEVELS - 1 if name == "Poisson" else 1
    vae_tf.plotting.image_grid(ax, np.concatenate(images) / peak, columns=4)
    ax.set_title(name.replace("sigma", r"$\sigma$"), fontsize=9, pad=2)

# %% [markdown]
# ## Bernoulli and grey levels
# Binary cross-entropy, $\mathrm{BCE} = \mathrm{softplus}(\ell) - x\, \ell$, is $-\log p$ of a Bernoulli for
# $x \in \{0, 1\}$. At grey $x$ it is no likelihood:
# $\int_0^1 e^{-\mathrm{BCE}} dx = \tanh(\ell / 2) / \ell \le \frac12$, and $\sum_k e^{-\mathrm{BCE}(k / (L - 1))} > 1$.
# Its least value is not 0 but the entropy $H(x) = -x \log x - (1 - x) \log(1 - x)$. With the missing constant it is the
# continuous Bernoulli (arXiv 1907.06845), of a mean nearer to $\frac12$ than $\lambda = 1 / (1 + e^{-\ell})$, so that a
# decoder trained on BCE has another mean if read as one:
# $E[x] = \lambda / (2 \lambda - 1) + 1 / (2 \tanh^{-1}(1 - 2 \lambda))$.
#
# `compare` refuses such a column, as it refuses nats of a density beside nats of a mass. Binarised images are other
# data, of three kinds: drawn once with the grey level as probability (static), anew in each pass (dynamic), and cut at
# 0.5. Their numbers compare neither with each other nor with those above.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    models["Bernoulli (BCE)"] = grey = train(likelihoods.Bernoulli(SHAPE), x_train)
print(f"fit warns: {caught[0].message}\n")
for quantity, other in (("bits_per_dim", "Bernoulli (BCE)"), ("log_likelihood", "Gaussian, sigma optimal")):
    try:
        evaluation.compare({name: models[name] for name in (other, "discretised logistic")}, x_test, quantity=quantity)
    except ValueError as error:
        print(f"compare refuses: {error}\n")
logit = np.array([[0.5], [2.0], [8.0]])
grid, steps = np.linspace(0, 1, 10_001), np.arange(LEVELS) / (LEVELS - 1)
integral = np.trapezoid(np.exp(grid * logit - np.logaddexp(0, logit)), grid)
total = np.exp(steps * logit - np.logaddexp(0, logit)).sum(axis=1)
print("exp(-BCE): integral over [0, 1]", np.round(integral, 3), "sum over the levels", np.round(total, 3))
entropy = (special.entr(x_test) + special.entr(1 - x_test)).sum(axis=(1, 2, 3))
bce = -grey.decoder(grey.encode(x_test)).log_prob(x_test).numpy()
print(f"BCE {bce.mean():.2f} nats per image, of which {entropy.mean():.2f} are the entropy of the targets")
continuous = likelihoods.ContinuousBernoulli((3,)).parameters(tf.constant(logit.T, tf.float32))["mean"].numpy()[0]
draw, binarised = np.random.default_rng(1), {}
for name, binary in (("static", lambda x: draw.random(x.shape) < x), ("cut at 0.5", lambda x: x > 0.5)):
    train_set, test_set = (binary(x).astype(np.float32) for x in (x_train, x_test))
    binarised[name] = evaluation.elbo(train(likelihoods.Bernoulli(SHAPE), train_set), test_set, 20, progress=False)
    print(f"Bernoulli, {name:10s}: ELBO {binarised[name]}")

# %% [markdown]
# ## What to look at
# | data | likelihood |
# |---|---|
# | real numbers | `Gaussian(scale="optimal")`; with outliers `StudentT` or `Laplace` |
# | grey levels, many of them at the ends | `DiscretizedLogistic`, `MixtureOfLogistics`; few levels: `Categorical` |
# | real numbers in [0, 1] | `ContinuousBernoulli` |
# | 0 and 1 | `Bernoulli` |
# | counts of events | `Poisson`; more variable than that `NegativeBinomial` |
#
# In the bars four masses of levels lead. In the table black pixels are where the kinds part. In the strips a mean that
# looks well says nothing of the noise around it, which is what bits are about.
#
# ## Limits
# - One seed, small networks, few steps: they set families apart, not neighbours. No family is at its best.
# - The bits are upper bounds, from 20 draws ([trusting the number](07_trusting_the_number.ipynb)). Left out are
#   `scale="per_dimension"`, a quantised Laplace and dynamic binarisation.
#
# ## Exercises
# **1.** A density gets 2 bits on $(k + u) / L$. What does it get on $255 (k + u) / L$, in bits and in nats?
#
# <details><summary>Answer</summary>
#
# 2 bits: $p$ falls by the factor 255 for each pixel, the bins grow by it. $\log p(x)$ falls by $D \log 255$ nats.
#
# </details>
#
# **2.** Which models of the table are worse than a uniform density on [0, 1], and how can that be?
#
# <details><summary>Answer</summary>
#
# `[name for name, value in bits.items() if value.mean > np.log2(LEVELS)]`: fixed or learned, too large a $\sigma$ lays
# mass far beyond [0, 1]. On MNIST the Poisson as well: its variance is its mean, and cannot be chosen.
#
# </details>
#
# ## The claims of this page, checked

# %%
share = special.expit(logit[:, 0])
mean = share / (2 * share - 1) + 1 / (2 * np.arctanh(1 - 2 * share))
dear = np.log2(LEVELS) - stats.norm(0.5 / LEVELS, 0.1).logpdf(u / LEVELS).mean() / np.log(2)
assert abs(dear - np.log2(0.1 * LEVELS * np.sqrt(2 * np.pi))) < 0.03, "bits of a black pixel, sigma = 0.1"
assert bound <= mass < bound + 0.02, "a bound, within 0.02 nats for so wide a pixel"
assert abs(moved + np.log(255)) < 1e-9, "nats of a density depend on the unit"
assert np.allclose(integral, np.tanh(logit[:, 0] / 2) / logit[:, 0], atol=1e-6), "the integral of exp(-BCE), 1e-6"
assert integral.max() < 0.5 < 1 < total.min(), "too little as a density, too much as a mass"
assert np.allclose(continuous, mean, atol=1e-5), "the mean of the continuous Bernoulli, 1e-5"
assert np.all((mean > 0.5) & (mean < share)), "nearer to 1/2 than lambda"
assert np.all(bce >= entropy - 1e-3), "the entropy is a floor of the BCE of each image"
assert min(value.mean for value in bits.values()) > 0, "bits are above 0, those of densities too"
if not SMOKE:
    best = next(name for name, value in bits.items() if value.measure == "density")
    assert bits[list(bits)[3]].mean < bits[best].mean - 5 * bits[best].standard_error, "four masses lead, by 5 errors"
    assert pixels["discretised logistic"][0] < pixels["Gaussian, sigma optimal"][0] - 1, "1 bit and more"
    assert pixels["Poisson"][0] > pixels["negative binomial"][0], "at black pixels, too"
    worse = {name for name, value in bits.items() if value.mean > np.log2(LEVELS)}
    assert worse == {"Gaussian, sigma = 1", "Gaussian, sigma learned"} | ({"Poisson"} if DATA == "mnist" else set())
    assert floors[0.01].mean > floors[0.1].mean + 10, "a lower floor, 10 nats and more"
    assert abs(binarised["static"].mean - binarised["cut at 0.5"].mean) > 1, "binarisations differ by nats"
print("Checked: bound, units, exp(-BCE) and its floor, the continuous mean, the table, the floors, binarisation.")
