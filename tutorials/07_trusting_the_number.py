# %% [markdown]
# # Trusting the number
#
# **The question.** How much of the printed ELBO can be trusted, and what does it hide?
#
# **Runs in** about 90 s on two CPU cores with the digits, 3 min with MNIST (`VAE_TF_DATA=mnist`); a GPU is used where
# TensorFlow sees one.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras as keras
from scipy.special import logsumexp

import vae_tf
from vae_tf import collapse, evaluation

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
x_train, x_test = x_train[:1500], x_test[: 40 if SMOKE else 200]  # as many of either data set
few, SHAPE, LATENTS = x_test[:100], x_train.shape[1:], 8

# %% [markdown]
# ## The model
# $$z \sim \mathcal N(0, I), \; z: [B, d], \qquad x \mid z \sim \mathcal N(\mu(z), \sigma^2 I), \; x: [B, H, W, 1]$$
# and $q(z \mid x) = \mathcal N(m(x), \mathrm{diag}(s^2(x)))$, with $d = 8$ latents and $\sigma^2$ the mean squared
# residual. In `LinearVAE`, $\mu(z) = Wz + \mu_0$, and $\log p(x)$, the ELBO and the posterior are exact ([its own
# page](04_linear_vae_and_ppca.ipynb), arXiv 1911.02469). A deep model follows.
#
# ## The ELBO is too low by exactly one KL
# $$\log p(x) = \mathrm{ELBO} + \mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$$
#
# Four linear models have one $p(x)$, as turned latents have the same $WW^\top$. In the first $W^\top W$ is diagonal,
# and $q$ is the posterior. Two have standard deviations $s = \sqrt 2$ and $\frac12$ times these: a KL of
# $\frac d2 (s^2 - 1 - \log s^2)$. The last has the best diagonal $q$ for a correlated posterior.

# %%
rows = x_train.reshape(len(x_train), -1)
trained = vae_tf.LinearVAE(LATENTS, SHAPE, scale="optimal")
trained.compile("adam")
_ = trained.fit_covariance(np.cov(rows.T, ddof=0), rows.mean(axis=0), n=len(rows), steps=300 if SMOKE else 2000)
turn = np.linalg.qr(np.random.default_rng(0).standard_normal((LATENTS, LATENTS)))[0]  # a rotation of the latents
models = {name: vae_tf.LinearVAE(LATENTS, SHAPE) for name in ("exact q", "too wide", "too narrow", "rotated")}
for (name, vae), factor in zip(models.items(), (1, 2**0.5, 0.5, 1), strict=True):
    vae.set_weights(trained.get_weights())
    if name == "rotated":
        vae.decoder.layers[0].kernel.assign(turn @ vae.decoder.layers[0].kernel.numpy())  # W^T, [d, H W]
    scale = factor * np.sqrt(vae.optimal_encoder(assign=True)[1]) - vae.posterior.min_scale
    vae.encoder.layers[0].raw_scale.assign(scale + np.log(-np.expm1(-scale)))  # the inverse of softplus
exact = trained.log_prob(x_test)  # log p(x) in nats, [n]
parts = {name: (vae.elbo(x_test).mean(), vae.gap(x_test).mean()) for name, vae in models.items()}
for name, (elbo, gap) in parts.items():
    print(f"{name:10s}  ELBO {elbo:8.3f} + KL {gap:.3f} = {elbo + gap:8.3f}; log p(x) {exact.mean():8.3f} nats")

# %% [markdown]
# ## Two errors that are not the same
# Elsewhere $E_q$ is a mean over draws of $z$, whose error falls with the draws. That over images does not: it says how
# far other test images would move the number. Two models on the same images share most of it: take the error of the
# *differences*, image by image. No number of draws removes the KL above.

# %%
for draws in (1, 10, 100):
    wide = evaluation.elbo(models["too wide"], x_test, draws, progress=False)
    noise = np.sqrt(np.sum(wide.standard_errors**2)) / len(x_test)  # nan for one draw: it cannot tell
    print(f"{draws:3d} draws: ELBO {wide.mean:.2f}, error of draws {noise:.3f}, of images {wide.standard_error:.3f}")
difference = evaluation.elbo(models["exact q"], x_test, 100, progress=False).values - wide.values
difference_error = difference.std(ddof=1) / len(difference) ** 0.5
print(f"exact q - too wide, image by image: {difference.mean():.3f} +- {difference_error:.3f} nats")

# %% [markdown]
# ## The importance-weighted bound
# $$L_K = E\Big[\log \frac1K \sum_{k=1}^K w_k\Big], \quad w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)},
# \quad z_k \sim q(z \mid x), \qquad \mathrm{ELBO} = L_1 \le L_K \le \log p(x)$$
#
# (Burda, Grosse, Salakhutdinov 2016, arXiv 1509.00519; $K$ draws.) As $E\,w = p(x)$, the mean comes to $p(x)$ as $K$
# grows, whatever $q$ is. How soon depends on $q$: where $w$ has a variance,
# $\log p(x) - L_K \approx \mathrm{Var}(w) / (2 K p(x)^2)$. With the true posterior $w = p(x)$ for every $z$: one draw
# is exact. A $q$ that is too wide needs some draws, one that is too narrow very many: it hardly ever draws where $w$ is
# large. With standard deviations $s$ times the right ones
#
# $$E\,w^2 / p(x)^2 = \big(s^2 / \sqrt{2 s^2 - 1}\big)^d \; \text{for } s^2 > \tfrac12, \quad \infty \text{ otherwise}$$
#
# so that for $s^2 = 2$ the gap is known, and falls as $1/K$; for $s^2 = \frac14$, without a variance, more slowly.

# %% tags=["cover"]
counts, gaps = np.array([1, 2, 5, 10, 20, 50, 100]), {}
for name, vae in models.items():
    q, blocks = vae.encoder(x_test), []
    for seed in range(4 if SMOKE else 50):
        z = q.sample(100, seed=seed)  # [100, n, d]
        log_p = vae.decoder(tf.reshape(z, (-1, LATENTS))).log_prob(np.tile(x_test, (100, 1, 1, 1)))
        blocks.append((tf.reshape(log_p, (100, -1)) + vae.prior.log_prob(z) - q.log_prob(z)).numpy())  # log w
    log_w = np.concatenate(blocks).astype(np.float64)
    means = [(logsumexp(log_w.reshape(-1, k, len(x_test)), axis=1) - np.log(k)).mean() for k in counts]
    gaps[name] = exact.mean() - means
predicted = ((2 / 3**0.5) ** LATENTS - 1) / (2 * counts)
slopes = {name: np.polyfit(np.log(counts[2:]), np.log(gaps[name][2:]), 1)[0] for name in ("too wide", "too narrow")}
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
for (name, values), style in zip(gaps.items(), ("C0o-", "C1s--", "C2^:", "C3d-."), strict=True):
    left.semilogx(counts, -values, style, label=name)
    if name in slopes:
        right.loglog(counts, values, style, label=f"{name}, slope {slopes[name]:.2f}")
left.axhline(0, color="black", linewidth=1)
left.set(xlabel="draws K", ylabel=r"$L_K - \log p(x)$ (nats per image)", title="One model, four encoders")
right.loglog(counts, predicted, "k-", linewidth=1, label="Var(w) / (2 K p(x)²), too wide")
right.set(xlabel="draws K", ylabel=r"$\log p(x) - L_K$ (nats per image)", title="1/K needs weights with a variance")
_ = left.legend(loc="lower right"), right.legend(loc="lower left", fontsize=9)

# %% [markdown]
# ## Which number stands in a table?
# `evaluation.log_likelihood` is $L_K$; its error per image is honest only where $w$ has a variance. The rows are one
# model: bad encoders make it look bad, by the ELBO more than by $L_K$.
#
# ## Two reasons for the gap
# $$\log p(x) - \mathrm{ELBO}(q) = \big(\log p(x) - \max_r \mathrm{ELBO}(r)\big)
# + \big(\max_r \mathrm{ELBO}(r) - \mathrm{ELBO}(q)\big)$$
#
# The approximation gap is the price of the family, the amortisation gap that of one encoder for all images (Cremer, Li,
# Duvenaud 2018, arXiv 1801.03558), measured by refining $q$ for each. The first part of a linear VAE is
# $\frac12 (\sum_i \log M_{ii} - \log |M|)$, $M = W^\top W + \sigma^2 I$.

# %%
many, table = 500 if SMOKE else 5000, {}
print(f"nats per image  ELBO(1)  ELBO(100)    L_100  {f'L_{many}':>7s}    exact")
for name in list(models)[1:3] if SMOKE else models:
    elbos = [evaluation.elbo(models[name], few, draws, progress=False) for draws in (1, 100)]
    bounds = [evaluation.log_likelihood(models[name], few, draws, progress=False) for draws in (100, many)]
    table[name] = [*(value.mean for value in elbos + bounds), models[name].log_prob(few).mean()]
    print("{:14s}  {:7.2f}  {:9.2f}  {:7.2f}  {:7.2f}  {:7.2f}".format(name, *table[name]))
split, steps = {}, 50 if SMOKE else 200
for name in ("too wide", "rotated"):
    refined = collapse.amortisation_gap(models[name], few, steps=steps)
    split[name] = refined.gap.mean(), collapse.approximation_gap(models[name].log_prob(few), refined).mean()
    print("{:8s}  amortisation {:.3f}  approximation {:.3f} nats".format(name, *split[name]))

# %% [markdown]
# ## Training images flatter
# Networks can learn their training images. The number is of test images; epochs and widths are chosen on a third set.
# Of a deep model $\log p(x)$ is not known. $L_K$ still rises at the largest $K$; for many images a refined $q$ has an
# ELBO above it. So it is not $\log p(x)$, and gives no approximation gap.

# %%
keras.utils.set_random_seed(0)
deep = vae_tf.VAE(
    vae_tf.networks.mlp_encoder(SHAPE, vae_tf.posteriors.DiagonalNormal(LATENTS), hidden=(256, 256)),
    vae_tf.networks.mlp_decoder(LATENTS, vae_tf.likelihoods.Gaussian(SHAPE), hidden=(256, 256)),
    vae_tf.priors.StandardNormal(LATENTS),
)
deep.compile(keras.optimizers.Adam(1e-3, jit_compile=False), steps_per_execution=10)
history = deep.fit(x_train, validation_data=x_test, batch_size=50, epochs=4 if SMOKE else 100, verbose=0).history
train_elbo, test_elbo = (evaluation.elbo(deep, x[: len(x_test)], 100, progress=False) for x in (x_train, x_test))
print(f"ELBO, training images {train_elbo}\nELBO, test images     {test_elbo}")
fig, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
ax.plot(history["elbo"], "C0-", label="training images")
ax.plot(history["val_elbo"], "C1--", label="test images")
ax.set(xlabel="epoch, from 0", ylabel="ELBO (nats per image)", title="Training images flatter")
_ = ax.set_ylim(bottom=np.quantile(history["val_elbo"], 0.1)), ax.legend(loc="lower right")
rungs = [evaluation.log_likelihood(deep, few, k, progress=False) for k in ((1, 100) if SMOKE else (1, 100, 5000))]
print("\n".join(f"L_{value.num_samples:<4d} {value}" for value in rungs))
refined = collapse.amortisation_gap(deep, few, steps=steps)
approximation = collapse.approximation_gap(rungs[-1].values, refined)
print(f"amortisation gap {refined.gap.mean():.2f} nats; L < refined ELBO: {np.mean(approximation < 0):.0%} of images")

# %% [markdown]
# ## What the ELBO hides
# Two models with one ELBO may use their latents or not ([posterior collapse](05_posterior_collapse.ipynb)). The mean
# rate is $I_q(x; z) + \mathrm{KL}(q(z) \,\|\, p(z))$ (Hoffman and Johnson 2016): what codes tell, at most $\log n$ by
# $n$ images, which is met here, and how far they are from those of samples. A unit is active if the variance of its
# posterior mean is above 0.01 (arXiv 1509.00519).
#
# ## The same number tomorrow, and one that was never right
# Every image has its own stream of noise: a value depends on no chunk size, and on the seed by the error of draws. A
# trap: `KLDivergenceRegularizer` as `activity_regularizer` of a layer of TensorFlow Probability adds the KL twice, as
# Keras regularises both outputs of such a layer (its issue 1215). That trains $\beta = 2$.

# %%
report = collapse.diagnose(deep, x_test)
print(f"{report}\nlog n = {np.log(len(x_test)):.4g}")
again = evaluation.log_likelihood(deep, few, 100, chunk_size=500, progress=False).mean
other = evaluation.log_likelihood(deep, few, 100, seed=1, progress=False)
seed_error = np.sqrt(2 * np.sum(other.standard_errors**2)) / len(few)
print(f"L_100 again {again:.2f}, another seed {other.mean:.2f}, standard error of the difference {seed_error:.2f}")
tfd, tfpl = tfp.distributions, tfp.layers
standard = tfd.Independent(tfd.Normal(tf.zeros(LATENTS), 1.0), 1)
head = tfpl.IndependentNormal(LATENTS, activity_regularizer=tfpl.KLDivergenceRegularizer(standard, use_exact_kl=True))
encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2 * LATENTS), head])
rate, added = float(tf.reduce_mean(tfd.kl_divergence(encoder(few), standard))), float(sum(encoder.losses))
print(f"KL {rate:.3f} nats, {added:.3f} added to the loss")

# %% [markdown]
# ## What to look at
# 1. Test images; epochs and widths chosen on others; more than one training seed.
# 2. Density or mass, which data, which units, dequantised or not: [which likelihood](06_choosing_a_likelihood.ipynb).
# 3. Binarised once, in each pass, or cut at 0.5: three data sets. Cross-entropy of grey levels is no likelihood.
# 4. All constants ([from log-likelihood to MSE](02_from_log_likelihood_to_mse.ipynb)); the KL once, with weight 1.
# 5. ELBO or $L_K$, with $K$, the same for a whole table; the error over images or differences; active units.
#
# ## Limits
# The closed forms are of linear Gaussian models. One training seed; 1,500 images are soon overfitted. A likelihood
# judges neither samples nor codes (Theis, van den Oord, Bethge 2016, arXiv 1511.01844).
#
# ## Exercises
# **1.** Derive the condition $s^2 > \frac12$ for one latent. What does it say about taking the prior as $q$?
#
# <details><summary>Answer</summary>
#
# In units of the posterior, $\mathcal N(0, 1)$, with $q = \mathcal N(0, s^2)$:
# $E_q w^2 \propto \int p^2 / q \propto \int \exp(-z^2 (1 - \frac{1}{2 s^2}))\, dz$. The prior is no narrower: a
# variance, but a huge one.
#
# </details>
#
# **2.** Give the deep model a family of correlated posteriors. Which gap shrinks, and must the ELBO rise?
#
# <details><summary>Answer</summary>
#
# `posteriors.FullCovarianceNormal(LATENTS)`: the approximation gap. No: the other gap and overfitting may grow.
#
# </details>
#
# ## The claims of this page, checked

# %%
for name, (elbo, gap) in parts.items():
    assert abs(elbo + gap - exact.mean()) < 1e-2, f"{name}: the identity and one p(x), 0.01 nats (float32 weights)"
for name, s2 in (("too wide", 2), ("too narrow", 0.25)):
    assert abs(parts[name][1] - LATENTS / 2 * (s2 - 1 - np.log(s2))) < 0.01, "d/2 (s^2 - 1 - log s^2)"
assert max(noise, difference_error) < 0.2 * wide.standard_error, "errors of draws and differences are the smaller"
assert abs(gaps["exact q"]).max() < 0.05, "with the posterior one draw is exact, 0.05 nats"
assert min(np.diff(-values).min() for values in gaps.values()) > -0.02, "L_K rises with K, 0.02 nats of noise"
assert table["too narrow"][3] < table["too wide"][3] < table["too wide"][4] + 0.1, "too narrow is worse; a bound"
assert np.allclose(split["too wide"], (parts["too wide"][1], 0), atol=0.1), "all amortisation, 0.1 nats"
assert np.allclose(split["rotated"], (0, models["rotated"].gap()), atol=0.1), "all approximation, 0.1 nats"
assert np.diff([value.mean for value in rungs]).min() > 0, "deep: L_K rises"
assert abs(again - rungs[1].mean) < 0.01, "chunks do not matter, 0.01 nats"
assert abs(other.mean - again) < 5 * seed_error, "a seed moves it by the error of the draws"
assert abs(added / rate - 2) < 1e-3, "the regulariser adds the KL twice"
if not SMOKE:
    assert -1.2 < slopes["too wide"] < -0.8 < slopes["too narrow"] < -0.1, "slope -1, and a slower one"
    assert np.allclose(gaps["too wide"][2:], predicted[2:], rtol=0.3), "Var(w) / (2 K p(x)^2), 30 %"
    assert train_elbo.mean > test_elbo.mean + 3 * test_elbo.standard_error, "training images flatter"
    assert abs(report.information.mutual_information - np.log(len(x_test))) < 0.1, "at its limit log n, 0.1 nats"
    assert np.mean(approximation < 0) > 0.2, "L_5000 of the encoder's q is below a refined ELBO for many images"
print("Checked: identity, errors, L_K and its rate, both gaps, overfitting, stability, double KL.")
