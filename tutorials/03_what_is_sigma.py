# %% [markdown]
# # What is sigma?
#
# **The question.** What is the $\sigma$ of a VAE's decoder, and where does it enter?
#
# **Runs in** about 2 min on two CPU cores with the digits, 4 min with MNIST (`VAE_TF_DATA=mnist`); a GPU is used
# where TensorFlow sees one.

# %% [markdown]
# ## The model
# $z \sim N(0, I)$, shape `[B, K]`, and $x \mid z \sim N(\mu(z), \sigma^2 I)$, shape `[B, H, W, 1]`, with $D = HW$
# pixels: $\sigma$ is the standard deviation of the noise that the model puts around the decoder's image $\mu(z)$, in
# the units of the data. It is a parameter of $p(x|z)$, as $\mu$ is; assumed is one size for every pixel and image,
# unless said otherwise. It is not one of the standard deviations $s(x)$ of the posterior $q(z|x)$, which are `[B, K]`.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import tf_keras as keras

import vae_tf

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
x_train, x_test = x_train[: 100 if SMOKE else 10_000], x_test[: 100 if SMOKE else 2_000]
E, D, K = x_test.shape[1:], x_test[0].size, 16
BATCH, EPOCHS = (50, 1 if SMOKE else 40) if DATA == "digits" else (100, 1 if SMOKE else 12)  # 1,200 steps of each


def build(scale):
    """A VAE whose Gaussian has this sigma; the same initial weights each time."""
    keras.utils.set_random_seed(0)
    encoder = vae_tf.networks.mlp_encoder(E, vae_tf.posteriors.DiagonalNormal(K), hidden=(256,))
    decoder = vae_tf.networks.mlp_decoder(K, vae_tf.likelihoods.Gaussian(E, scale=scale), hidden=(256,))
    return vae_tf.VAE(encoder, decoder, vae_tf.priors.StandardNormal(K))


# %% [markdown]
# ## Where it enters
# $$x = \mu(z) + \sigma\varepsilon, \qquad \varepsilon \sim N(0, I) \qquad\qquad
# -\log p(x|z) = \frac{1}{2\sigma^2}\,\|x-\mu(z)\|^2 + D\log\sigma + \frac D2\log 2\pi$$
# $$\mathrm{KL}(q\,\|\,p) = \frac12\sum_k \left(m_k^2 + s_k^2 - 1 - \log s_k^2\right)$$
# In the noise of a sample, and in the loss, twice. It is **not** in the KL. One network, two values of $\sigma$:

# %%
terms, noise = {}, {}
for sigma in (1.0, 0.1):
    vae = build(sigma)  # untrained: the same weights both times
    terms[sigma] = vae.terms(x_test, seed=0)  # for each image: distortion -log p(x|z) and rate KL
    p = vae.decoder(np.zeros((100, K), np.float32))
    noise[sigma] = np.std(p.sample() - p.mean())
    distortion, kl = np.mean(terms[sigma].distortion), np.mean(terms[sigma].rate)
    print(f"sigma = {sigma}: noise of a sample {noise[sigma]:.2f}, -log p {distortion:8.2f} nats, KL {kl:.4f} nats")

# %% [markdown]
# ## And yet it decides the KL
# $1/(2\sigma^2)$ is the price of a squared error in nats of KL: the smaller $\sigma$, the more KL a better image is
# worth, and the minimum of the sum moves. Below only $\sigma$ differs: same network, data, 1,200 steps of Adam (1e-3),
# seed 0. $\sigma = \sqrt{D/2}$ is "mean-MSE + KL" ([why](02_from_log_likelihood_to_mse.ipynb)); words: below.

# %%
models, logs, warned = {}, {}, {}
SIGMAS = (1.0, 0.1) if SMOKE else (np.sqrt(D / 2), 1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
WAYS = ("optimal", "learned", "per_dimension", "per_pixel")
for scale in (*SIGMAS, *WAYS):
    models[scale] = vae = build(scale)
    vae.compile(keras.optimizers.Adam(1e-3), run_eagerly=SMOKE)  # the short form is too short to be worth compiling
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message="sigma = ")  # of the callback, shown below
        track = [vae_tf.callbacks.MSEEquivalence()]
        logs[scale] = vae.fit(x_train, None, BATCH, EPOCHS, validation_data=x_test, callbacks=track, verbose=0).history
    warned[scale] = [str(warning.message) for warning in caught]

residual = {scale: np.sqrt(np.mean((vae.reconstruct(x_test) - x_test) ** 2)) for scale, vae in models.items()}
active = {scale: vae_tf.collapse.active_units(vae, x_test).sum() for scale, vae in models.items()}
final = {scale: {name: values[-1] for name, values in log.items()} for scale, log in logs.items()}
print("               sigma   1/(2 sigma^2)       KL      -log p        ELBO   residual   active latents (test images)")
for scale, log in final.items():
    numbers = f"{log['sigma']:8.4f}   {log['mse_scale']:13.5g} {log['val_rate']:8.2f}   {log['val_distortion']:9.1f}"
    name = scale if isinstance(scale, str) else "fixed"
    print(f"{name:13}{numbers}   {log['val_elbo']:9.1f}   {residual[scale]:8.4f}   {active[scale]:3}")

# %% tags=["cover"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3), layout="constrained")
rate = {scale: log["val_rate"] for scale, log in final.items()}
for ax, value, label in ((left, rate, "KL (nats per image)"), (right, residual, "residual (test rmse)")):
    ax.plot(SIGMAS, [value[s] for s in SIGMAS], "o-", label=r"fixed $\sigma$")
    ax.plot(final["optimal"]["sigma"], value["optimal"], "C1*", ms=14, label=r"optimal $\sigma$")
    ax.set(xlabel=r"$\sigma$ (pixels in [0, 1])", ylabel=label, xscale="log")
right.plot(np.geomspace(0.05, 0.3), np.geomspace(0.05, 0.3), "k:", label=r"residual = $\sigma$")
right.legend(frameon=False, fontsize=9)
_ = fig.suptitle(r"$\sigma$ is not in the KL, and decides it")

# %% [markdown]
# ## The best sigma, in closed form
# For given means, set $\partial \log p/\partial\sigma = \|x-\mu\|^2/\sigma^3 - D/\sigma = 0$, on average over images
# (Rybkin, Daniilidis, Levine 2021, arXiv 2006.13202):
# $$\sigma_*^2 = \frac1D\,E\,\|x-\mu(z)\|^2, \qquad -E\log p(x|z) = \frac D2\left(\log 2\pi\sigma_*^2 + 1\right) .$$
# The best $\sigma$ **is** the residual: the noise of the model is what the decoder could not explain.

# %%
grid, best = np.geomspace(0.05, 2, 500), {}
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
for scale, style in (("optimal", "C1-"), (1.0, "C0--")):
    loss = models[scale].likelihood.equivalence()  # -log p = scale_factor * SSE + constant
    sse = np.mean((models[scale].terms(x_test, seed=0).distortion - loss.constant) / loss.scale_factor)
    log_p = -sse / (2 * grid**2) - D * np.log(grid) - D / 2 * np.log(2 * np.pi)
    best[scale] = np.sqrt(sse / D), -D / 2 * (np.log(2 * np.pi * sse / D) + 1), grid[log_p.argmax()], log_p.max()
    print("sigma = {}: residual {:.4f}, formula {:.1f}; curve's maximum at {:.4f}, {:.1f}".format(scale, *best[scale]))
    ax.plot(grid, log_p, style, label=f"means trained with sigma = {scale}")
    ax.plot(*best[scale][:2], style[:2] + "o")
ax.set(xscale="log", ylim=(log_p[-1], None), xlabel=r"$\sigma$ (pixels in [0, 1])", ylabel="log p(x|z) (nats)")
ax.set_title(r"Given the means, $\log p(x|z)$ has one maximum: at the residual (dots)", fontsize=11)
_ = ax.legend(frameon=False, fontsize=9)

# %% [markdown]
# ## Four ways beside a fixed number
#
# | `scale=` | $\sigma$ is |
# |---|---|
# | `"learned"` | one weight, $\log\sigma$, trained with the others from $\sigma = 1$ |
# | `"optimal"` | the residual of the last batches: the closed form, as a running average |
# | `"per_dimension"` | one trained $\log\sigma$ for each pixel, the same in all images |
# | `"per_pixel"` | an output of the network, for each pixel of each image |
#
# `callbacks.MSEEquivalence` logs $1/(2\sigma^2)$ (`mse_scale`), and `beta_equivalent`, $\sigma^2$ times the KL's
# weight: the $\beta$ with which a decoder of unit variance makes the same trade-off. Adam moves a weight by about its
# learning rate: $\log\sigma$ falls by at most about 0.001 a step, and from $\sigma = 1$ to a residual $r$ takes
# at least about $1000\log(1/r)$ steps. The closed form has no such delay.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.7), layout="constrained")
for scale, style in zip((*WAYS, 1.0), ("C1-", "C0--", "C2-.", "C3:", "k-"), strict=True):
    left.plot(range(1, EPOCHS + 1), logs[scale]["mse_scale"], style, label="fixed, 1" if scale == 1 else scale)
    right.plot(range(1, EPOCHS + 1), logs[scale]["val_elbo"], style)
left.set(xlabel="epoch", ylabel=r"$1/(2\sigma^2)$", yscale="log", title="The factor of the squared error")
right.set(xlabel="epoch", ylabel="test ELBO (nats per image)", title="The bound: higher is better")
fig.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)

speed = np.max(-np.diff(np.log([1.0, *logs["learned"]["sigma"]]))) * BATCH / len(x_train)
print(f"learned: log sigma fell by at most {speed:.5f} a step, averaged over an epoch")
for scale in ("optimal", "learned"):
    values = logs[scale]["sigma"][0], *(final[scale][name] for name in ("sigma", "rmse", "beta_equivalent"))
    print("{}: sigma {:.3f} after an epoch, {:.3f} at the end; residual {:.3f}, beta {:.4f}".format(scale, *values))
dark = models["per_pixel"].likelihood.scale.numpy()[x_train.max(axis=0) == 0]
print(f"per_pixel: sigma of the pixels that are black in all images {np.median(dark):.4f} (median)")
print(*(f"The callback on sigma = 1: {message}" for message in warned[1.0]))

# %% [markdown]
# In the table (means over pixels where $\sigma$ differs) `per_pixel` has the highest density and not the best images.
# Pixels that are always black let $\sigma$ fall far below the others, towards its floor `min_scale`, and each is then
# worth $\log(1/\sigma)$ nats more than at $\sigma = 1$. That is density, not images.
#
# ## A sample has the noise in it
# `vae.sample` draws $z$, then $x = \mu(z) + \sigma\varepsilon$. Pictures of samples mostly show $\mu(z)$. The second
# panel is the generative model that "0.5 SSE + KL" states.

# %%
fig, panels = plt.subplots(1, 4, figsize=(8, 2.5), layout="constrained")
draws = {(s, e): models[s].sample(16, seed=0, observation_noise=e) for s in (1.0, "optimal") for e in (False, True)}
for ax, ((scale, noisy), images) in zip(panels, draws.items(), strict=True):
    vae_tf.plotting.image_grid(ax, images)
    sigma = "optimal" if scale == "optimal" else r"$\sigma = 1$"
    ax.set_title(f"{'x ~ p(x|z)' if noisy else 'E[x|z]'}, {sigma}", fontsize=10)
_ = fig.suptitle(r"With $\sigma = 1$ a sample is static; with the optimal $\sigma$ an image with grain")

# %% [markdown]
# ## Which sigma does a recipe state?
# Divide $a\,\mathrm{SSE} + c\,\mathrm{KL}$ by $c$: $1/(2\sigma^2) = a/c$, so $\sigma = \sqrt{c/(2a)}$. Five forms seen:

# %%
recipes, implied = (
    {  # factor of the error, its reduction, dimensions, weight of the KL
        "mean-MSE + KL, 28 x 28": (1.0, "mean", 784, 1.0),
        "0.5 SSE + KL": (0.5, "sum", 784, 1.0),
        "SSE + KL": (1.0, "sum", 784, 1.0),
        "mean-MSE + 2.5e-4 KL, 64 x 64 x 3": (1.0, "mean", 12288, 2.5e-4),
        "SSE + 1e-6 KL": (1.0, "sum", 784, 1e-6),
    },
    {},
)
print(f"{'recipe':36}{'a':>9}{'c':>9}{'sigma':>10}{'1/(2 sigma^2)':>16}")
for name, (factor, reduction, dims, c) in recipes.items():
    implied[name] = vae_tf.equivalence.from_recipe("mse", reduction=reduction, dims=dims, kl_weight=c / factor)
    a = factor / dims if reduction == "mean" else factor
    print(f"{name:36}{a:9.3g}{c:9.3g}{implied[name].sigma:10.3g}{implied[name].scale_factor:16.3g}")

# %% [markdown]
# All are called "MSE + KL", and their factors span more than eight orders of magnitude.
#
# **Which sigma, then?** Take `scale="optimal"`. Take a number if the noise is known, or if you want another balance
# than the likelihood's, and say so. Take `"per_dimension"` for columns with different units, `"per_pixel"` where the
# noise itself is of interest; do not rank models by a density that a pixel can drive to the floor.
#
# ## What to look at
# The first table: $\sigma$ falls and the KL rises, though no $\sigma$ is in its formula. Of the fixed ones the ELBO is
# highest within a factor of 2 of its residual. In the tracks "optimal" follows the residual at once; "learned" is late.
#
# ## Limits
# One seed, a small network, 1,200 steps: the numbers are those of these runs. "Optimal" fits the current means on
# training images; the residual of test images is larger. One $\sigma$ for all pixels is a poor model of edges and
# backgrounds: see [choosing a likelihood](06_choosing_a_likelihood.ipynb).
#
# ## Exercises
# **1.** Images come as 0 to 255, not 0 to 1; the loss is still `0.5 * sse + kl`. Its $\sigma$? The optimal $\sigma$?
# <details><summary>Answer</summary>
#
# On the old scale $\sigma = 1/255$: the squared error weighs $255^2$ times as much. The optimal $\sigma$ becomes 255
# times larger; the best model and its KL stay, and the ELBO falls by $D\log 255$.
#
# </details>
#
# **2.** `ELBO(kl_weight=4)` beside `scale=0.1`: which fixed $\sigma$ is that? And beside `"optimal"`?
# <details><summary>Answer</summary>
#
# $\sigma^2 = 4 \cdot 0.1^2$, so 0.2: the losses differ by a factor, which Adam cancels, and a constant. Beside
# "optimal" no number says it beforehand: $\sigma$ is the residual at a balance of four times the KL, and grows.
#
# </details>
#
# ## The claims of this page, checked

# %%
close = np.testing.assert_allclose
close(terms[1.0].rate, terms[0.1].rate, rtol=1e-4)  # no sigma in the KL
assert np.mean(terms[0.1].distortion) > 2 * np.mean(terms[1.0].distortion)
close([noise[1.0], noise[0.1]], [1.0, 0.1], rtol=0.05)  # 100 D draws
for at_residual, closed_form, at_maximum, maximum in best.values():
    close([at_maximum, maximum], [at_residual, closed_form], rtol=0.01)  # the grid's step
close([row.sigma for row in implied.values()], [19.8, 1, 0.7071, 1.239, 7.071e-4], rtol=1e-3)
assert implied["SSE + 1e-6 KL"].scale_factor / implied["mean-MSE + KL, 28 x 28"].scale_factor > 1e8
assert speed < 1.1e-3
close([final[scale]["beta_equivalent"] for scale in SIGMAS], np.square(SIGMAS), rtol=1e-4)
if not SMOKE:
    elbos = [final[s]["val_elbo"] for s in SIGMAS]
    assert all(np.diff([rate[s] for s in SIGMAS]) > 0), "the smaller sigma, the larger the KL"
    assert abs(np.log2(SIGMAS[np.argmax(elbos)] / residual[SIGMAS[np.argmax(elbos)]])) < 1, "within a factor of 2"
    assert max(*elbos, final["learned"]["val_elbo"]) < final["optimal"]["val_elbo"] < final["per_pixel"]["val_elbo"]
    assert residual["per_pixel"] > 1.1 * residual["optimal"]
    assert np.median(dark) < 0.2 * final["optimal"]["sigma"]
    assert logs["optimal"]["sigma"][0] < 0.6 * logs["learned"]["sigma"][0]
    assert final["learned"]["sigma"] > 1.2 * final["learned"]["rmse"]  # still on its way
    assert best["optimal"][0] > final["optimal"]["sigma"]
    assert len(warned[1.0]) == 1
print("Checked: where sigma enters, the sweep, the closed form, the speed of a learned sigma, the five recipes.")
