# %% [markdown]
# # From the log-likelihood to the mean squared error
#
# **The question.** Is the reconstruction error of a VAE just an idea, and is the actual formula the MSE?
#
# **Runs in** about 80 s on two CPU cores with the digits, 90 s with MNIST (`VAE_TF_DATA=mnist`); a GPU is used where
# TensorFlow sees one.
#
# **The short answer.** The formula is $-\log p(x|z)$. For a Gaussian of constant $\sigma$ it is the *summed* squared
# error times $1/(2\sigma^2)$, plus a constant. The constant may go. The factor may not: beside the KL it decides what
# is learned.

# %% [markdown]
# ## The model
# - Prior $z \sim N(0, I)$ and posterior $q(z|x) = N(m(x), \mathrm{diag}(s^2(x)))$, shape `[B, K]`: B images, K latents.
# - Likelihood $x \mid z \sim N(\mu(z), \sigma^2 I)$, shape `[B, H, W, 1]`: each of the $D = HW$ pixels has independent
#   noise of standard deviation $\sigma$ around the decoder's mean $\mu(z)$, in the units of the data.
#
# Minimised is $-\mathrm{ELBO}(x) = E_{q(z|x)}[-\log p(x|z)] + \mathrm{KL}(q(z|x)\,\|\,p(z))$, averaged over images, in
# nats per image. The first term, the *distortion*, is the "reconstruction error"; the second is the *rate*.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import integrate, stats
from tensorflow_probability import distributions as tfd

import vae_tf

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
x_train, x_test = x_train[: 100 if SMOKE else 10_000], x_test[: 100 if SMOKE else 1_000]
E, D = x_test.shape[1:], x_test[0].size
EPOCHS = 1 if SMOKE else 40 if DATA == "digits" else 6

# %% [markdown]
# ## From one pixel to an image
# $$p(x_i|z) = \frac{1}{\sigma\sqrt{2\pi}} \exp\left(-\frac12\left(\frac{x_i-\mu_i}{\sigma}\right)^2\right), \qquad
# -\log p(x_i|z) = \frac12\left(\frac{x_i-\mu_i}{\sigma}\right)^2 + \log\sigma + \frac12\log 2\pi$$
#
# Given $z$ the pixels are independent, so densities multiply and logarithms add:
# $$-\log p(x|z) = \frac{1}{2\sigma^2}\,\|x-\mu\|^2 + D\log\sigma + \frac D2\log 2\pi .$$
#
# The square is around the whole fraction. A common slip squares the numerator alone, $(x-\mu)^2/\sigma$. At
# $\sigma = 1$ the two agree, so the slip survives. Elsewhere the second is no density: its integral is $1/\sqrt\sigma$.

# %%
sigma, axes = 0.3, (1, 2, 3)
x = x_test[:4].astype(np.float64)  # [4, H, W, 1]
mu = np.random.default_rng(0).uniform(size=x.shape)  # any mean will do: this is an identity
sse = np.sum((x - mu) ** 2, axis=axes)  # summed squared error, [4]
nll = {
    "by hand": sse / (2 * sigma**2) + D * np.log(sigma) + D / 2 * np.log(2 * np.pi),
    "scipy": -stats.norm.logpdf(x, mu, sigma).sum(axis=axes),
    "TFP": -tfd.Independent(tfd.Normal(mu, np.float64(sigma)), 3).log_prob(x).numpy(),
    "vae_tf": -vae_tf.likelihoods.Gaussian(E, scale=sigma)(mu.astype(np.float32)).log_prob(x_test[:4]).numpy(),
}
for name, value in nll.items():
    print(f"-log p(x|z) {name:8}", *(f"{v:9.2f}" for v in value), "  nats, four images")
t, whole, numerator = np.linspace(-40, 40, 20001), {}, {}  # t = x - mu
for s in (0.1, 1.0, 4.0):
    whole[s] = integrate.trapezoid(np.exp(-((t / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi)), t)
    numerator[s] = integrate.trapezoid(np.exp(-(t**2) / s / 2) / (s * np.sqrt(2 * np.pi)), t)
    print(f"sigma = {s}: integral {whole[s]:.4f} with the whole fraction squared, {numerator[s]:.4f} without")

# %% [markdown]
# ## The gradient identity
# With $\sigma$ constant the last two terms depend on no network, and
# $$\frac{\partial(-\log p)}{\partial\mu} = \frac{1}{2\sigma^2}\,\frac{\partial\,\|x-\mu\|^2}{\partial\mu}
# = \frac{D}{2\sigma^2}\,\frac{\partial\,\mathrm{MSE}}{\partial\mu}, \qquad \mathrm{MSE} = \frac1D\|x-\mu\|^2 .$$
#
# The package calls $1/(2\sigma^2)$ the `mse_scale`. It belongs to the *sum* over pixels; the mean needs $D$ times as
# much. The minimisers are the same; the values are not, and only with its constant is the loss comparable with another
# likelihood's. Once $\sigma$ is trained as well, the constant is none. It gives the first term of
# $$\frac{\partial(-\log p)}{\partial\sigma} = \frac D\sigma - \frac{\|x-\mu\|^2}{\sigma^3}, \qquad
# \mathrm{zero\ at}\quad \sigma^2 = \frac1D\|x-\mu\|^2 .$$
#
# Without it the gradient is negative at every $\sigma$: training pushes $\sigma$ up for ever, and the loss falls to 0
# while the images get no better.

# %%
means, mse_scale = tf.Variable(mu), 1 / (2 * sigma**2)  # float64
with tf.GradientTape(persistent=True) as tape:
    exact = -tf.reduce_sum(tfd.Normal(means, np.float64(sigma)).log_prob(x))
    summed, mean = tf.reduce_sum((x - means) ** 2), tf.reduce_sum((x - means) ** 2) / D
d_nll, d_sse, d_mse = (tape.gradient(value, means).numpy() for value in (exact, summed, mean))
for name, g in {"-log p": d_nll, "mse_scale SSE": mse_scale * d_sse, "D mse_scale MSE": D * mse_scale * d_mse}.items():
    print(f"gradient of {name:15}", *(f"{v:8.4f}" for v in g[0, 3, :5, 0]), "  at five pixels")
residual, with_constant, without = np.sqrt(np.mean((x - mu) ** 2)), {}, {}
print("\nsigma/residual   d(-log p)/d sigma   without D log sigma   (nats per image and unit of sigma)")
for ratio in (0.5, 1.0, 2.0, 10.0):
    s = tf.Variable(ratio * residual)
    with tf.GradientTape(persistent=True) as tape:
        exact, bare = -tf.reduce_sum(tfd.Normal(mu, s).log_prob(x)) / 4, tf.reduce_sum((x - mu) ** 2) / (2 * s**2) / 4
    with_constant[ratio], without[ratio] = tape.gradient(exact, s).numpy(), tape.gradient(bare, s).numpy()
    print(f"{ratio:14}   {np.round(with_constant[ratio], 2) + 0.0:17.2f}   {without[ratio]:19.2f}")

# %% [markdown]
# ## What the mean over pixels does
# `loss = mse + kl` with Keras' `mse` averages over pixels: the factor is $1/D$. From $1/(2\sigma^2) = 1/D$ follows
# $\sigma = \sqrt{D/2}$, many times the range of a pixel. What can such a model learn? It may ignore $z$ and put out the
# mean image $\bar x$, at no KL. A KL must earn what it costs, and all there is to earn is the squared error of
# $\bar x$. At the optimum, for *any* network, therefore $\mathrm{KL} \le E\,\|x-\bar x\|^2/D$: the mean variance of a
# pixel, less than a tenth of a nat for a whole image.

# %%
beginner = vae_tf.equivalence.from_recipe("mse", reduction="mean", dims=D, kl_weight=1.0)
at_784 = vae_tf.equivalence.from_recipe("mse", reduction="mean", dims=784, kl_weight=1.0)
kl_bound = np.mean((x_train - x_train.mean(axis=0)) ** 2)
survive = vae_tf.collapse.linear_prediction(x_train, scale=beginner.sigma)
print(f"mean-MSE + KL: sigma = {beginner.sigma:.2f} on these {D} pixels, {at_784.sigma:.1f} on 28 x 28")
print(f"KL at the optimum <= {kl_bound:.3f} nats per image; with linear networks {survive}")

# %% [markdown]
# ## Other likelihoods are other losses
#
# | summed over pixels | distribution | factor | constant, nats per image |
# |---|---|---|---|
# | squared error | Gaussian, $\sigma$ | $1/(2\sigma^2)$ | $D\log\sigma + (D/2)\log 2\pi$ |
# | absolute error | Laplace, $b$ | $1/b$ | $D\log 2b$ |
# | cross-entropy from logits $l$: $\log(1+e^l) - x\,l$ | Bernoulli, $x = 0$ or $1$ | 1 | 0 |
#
# On grey levels the cross-entropy is **no** negative log-likelihood: with $\lambda = 1/(1+e^{-l})$ its "density" has
# $$\int_0^1 \lambda^x (1-\lambda)^{1-x}\,dx = \frac{2\lambda-1}{\log\lambda-\log(1-\lambda)} = 1/C(\lambda) < 1 .$$
# $C(\lambda)$ depends on what the network puts out, so leaving it out changes the gradient. With it the density is the
# continuous Bernoulli (Loaiza-Ganem, Cunningham 2019, arXiv 1907.06845; [likelihoods](06_choosing_a_likelihood.ipynb)).

# %%
binary, logits, b = np.round(x), 4 * mu - 2, 0.2
bce = np.sum(np.logaddexp(0, logits) - binary * logits, axis=axes)
bce_keras = D * keras.losses.binary_crossentropy(binary.reshape(4, D), logits.reshape(4, D), from_logits=True).numpy()
bce_tfp = -tfd.Independent(tfd.Bernoulli(logits=logits), 3).log_prob(binary).numpy()
laplace = np.sum(np.abs(x - mu), axis=axes) / b + D * np.log(2 * b)
leaves = tf.Variable(logits), tf.Variable(mu)
with tf.GradientTape() as tape:
    losses = tfd.Bernoulli(logits=leaves[0]).log_prob(binary), tfd.Laplace(leaves[1], np.float64(b)).log_prob(x)
d_logits, d_mean = (-d.numpy() for d in tape.gradient(losses, leaves))
laplace_tfp = -tfd.Independent(tfd.Laplace(mu, np.float64(b)), 3).log_prob(x).numpy()
print(f"cross-entropy {bce[0]:.3f}, TFP {bce_tfp[0]:.3f}; Laplace by hand {laplace[0]:.3f}, TFP {laplace_tfp[0]:.3f}")
lam, grey = np.array([0.01, 0.1, 0.3, 0.6, 0.9, 0.99]), np.linspace(0, 1, 501)
logit = np.log(lam / (1 - lam))
area = integrate.trapezoid(np.exp(grey[:, None] * logit - np.logaddexp(0, logit)), grey, axis=0)
cb = vae_tf.likelihoods.ContinuousBernoulli((1,))(logit[:, None].astype(np.float32))  # six values of lambda
cb_area = integrate.trapezoid(np.exp(cb.log_prob(np.tile(grey[:, None, None], (1, 6, 1)))), grey, axis=0)
for name, row in {"lambda": lam, "integral of exp(-BCE)": area, "continuous Bernoulli": cb_area}.items():
    print(f"{name:22}", *(f"{value:6.3f}" for value in row))

# %% [markdown]
# ## Why "just adjust the learning rate" fails
# A step of gradient descent on $a f$ is $\theta - \eta\nabla(a f) = \theta - (\eta a)\nabla f$: only the product
# $\eta a$ counts. That holds for the reconstruction term alone. Beside a KL, $a f + \mathrm{KL}$ has another minimum
# for each $a$, and no $\eta$ moves a minimum. Adam divides a gradient by its own running size, and $a$ cancels before
# $\eta$ comes in: alone, the factor does nothing; beside a KL, it still sets the balance. Below, $\sigma = 1$ against
# $\sigma = 1/8$: a factor of 64. Data, network, initial weights, noise, order and number of steps are the same (seed
# 0); under SGD the learning rate of $\sigma = 1/8$ is divided by 64.


# %%
def train(sigma, kl_weight, optimizer):
    """Test rmse by epoch, and the test KL at the end."""
    keras.utils.set_random_seed(0)
    encoder = vae_tf.networks.mlp_encoder(E, vae_tf.posteriors.DiagonalNormal(8), hidden=(128,))
    decoder = vae_tf.networks.mlp_decoder(8, vae_tf.likelihoods.Gaussian(E, scale=sigma), hidden=(128,))
    vae = vae_tf.VAE(encoder, decoder, vae_tf.priors.StandardNormal(8), vae_tf.objectives.ELBO(kl_weight=kl_weight))
    vae.compile(optimizer, run_eagerly=SMOKE)  # the short form is too short to be worth compiling
    log = vae.fit(x_train, batch_size=100, epochs=EPOCHS, validation_data=x_test, verbose=0).history
    loss = vae.likelihood.equivalence()  # -log p = scale_factor * SSE + constant, solved for the SSE:
    return np.sqrt((np.array(log["val_distortion"]) - loss.constant) / loss.scale_factor / D), log["val_rate"][-1]


sgd, adam, runs = keras.optimizers.SGD, keras.optimizers.Adam, {}
for s in (1.0, 0.125):
    runs["SGD, no KL", s] = train(s, 0.0, sgd(2e-2 * s**2))
    runs["SGD, KL", s] = train(s, 1.0, sgd(2e-2 * s**2))
    runs["Adam, no KL", s] = train(s, 0.0, adam(2e-3))
    runs["Adam, KL", s] = train(s, 1.0, adam(2e-3))
runs["Adam x 5, KL", 1.0] = train(1.0, 1.0, adam(1e-2))
print("               sigma   test rmse   KL (nats per image)")
for (name, s), (rmse, kl) in runs.items():
    print(f"{name:12}   {s:5}   {rmse[-1]:9.4f}   {'(not in the loss)' if 'no' in name else format(kl, '.2f')}")

# %% tags=["cover"]
fig, panels = plt.subplots(1, 3, figsize=(8, 3.3), sharey=True, layout="constrained")
for ax, title in zip(panels, ("SGD, no KL", "SGD, KL", "Adam"), strict=True):
    for (name, s), (rmse, _) in runs.items():
        if name.startswith(title) and "x" not in name:
            style = {"lw": 6, "alpha": 0.4} if s == 1 else {"lw": 2, "ls": ":" if "no" in name else "--"}
            label = rf"$\sigma={s:g}$, {name.split(', ')[1]}"
            ax.plot(range(1, EPOCHS + 1), rmse, "C1" if "no" in name else "C0", label=label, **style)
    ax.set(title=title, xlabel="epoch")
    ax.legend(frameon=False, fontsize=9)
panels[0].set(ylabel="test rmse (pixels in [0, 1])", ylim=(None, 1.25 * panels[0].get_ylim()[1]))
_ = fig.suptitle("A factor of 64 before the squared error: without a KL nothing, beside it everything")

# %% [markdown]
# ## What to look at
# Left: one curve upon the other; factor and learning rate cancel. Middle: the same two runs beside the KL. The product
# is still equal, but $\sigma = 1$ has less than a quarter of the KL and worse images. Right: Adam, *one* learning rate.
# Alone the factor does next to nothing; beside the KL it separates the runs, and five times the rate does not help.
#
# ## Limits
# One seed, one small network, few steps: the sizes of the gaps are those of these runs. The cancelling (under Adam up
# to its epsilon) and the bound are algebra. Gaussian noise of one size: see [what sigma is](03_what_is_sigma.ipynb).
#
# ## Exercises
# **1.** `mse + 0.00025 * kl`, set for 64 x 64 x 3 pixels, is used for 128 x 128 x 3. Which $\sigma$ was it, and is it?
# <details><summary>Answer</summary>
#
# $\sigma = \sqrt{0.00025\,D/2}$: 1.24, and 2.48 with four times the pixels. One weight is not one model at all sizes.
#
# </details>
#
# **2.** Would the two runs on the left still agree with momentum? An L2 penalty in the loss? A clipped gradient?
# <details><summary>Answer</summary>
#
# Momentum: yes, it is linear in the gradients. L2: no, it is a second term, as the KL is. Clipping: no, unless the
# threshold has the factor too.
#
# </details>
#
# ## The claims of this page, checked

# %%
close = np.testing.assert_allclose
close(list(nll.values()), [nll["by hand"]] * 4, rtol=1e-5)  # vae_tf computes in float32
close([list(whole.values()), list(numerator.values())], [[1, 1, 1], [0.1**-0.5, 1, 0.5]], rtol=1e-6)
close([mse_scale * d_sse, D * mse_scale * d_mse], [d_nll, d_nll], rtol=1e-9, atol=1e-12)
d_sigma = [D / (r * residual) - sse.mean() / (r * residual) ** 3 for r in with_constant]
close(list(with_constant.values()), d_sigma, atol=1e-9 * D / residual)  # zero at the residual
close([d_logits, d_mean], [1 / (1 + np.exp(-logits)) - binary, np.sign(mu - x) / b], atol=1e-9)
assert max(with_constant[0.5], *without.values()) < 0 < with_constant[2.0]  # without the constant always "up"
recipes = [vae_tf.equivalence.from_recipe("mse", reduction="mean", dims=n, kl_weight=2.5e-4) for n in (12288, 49152)]
close([recipe.sigma for recipe in (beginner, at_784, *recipes)], [np.sqrt(D / 2), 19.8, 1.24, 2.48], atol=0.01)
assert kl_bound < 0.1
assert survive.survivors == 0
close([laplace, bce, bce_keras], [laplace_tfp, bce_tfp, bce_tfp], rtol=1e-5)
close([area, cb_area], [(2 * lam - 1) / logit, np.ones(6)], atol=1e-4)  # 1 / C(lambda), and 1
assert 0.1 < np.ptp(area) < area.max() < 0.99  # C depends on lambda
close(runs["SGD, no KL", 1.0][0], runs["SGD, no KL", 0.125][0], rtol=1e-3)  # in every epoch
close(runs["Adam, no KL", 1.0][0], runs["Adam, no KL", 0.125][0], rtol=0.05)
for large, small in (("SGD, KL", "SGD, KL"), ("Adam, KL", "Adam, KL"), ("Adam x 5, KL", "Adam, KL")):
    assert SMOKE or runs[large, 1.0][0][-1] > 1.15 * runs[small, 0.125][0][-1], "worse images"
    assert SMOKE or runs[large, 1.0][1] < 0.25 * runs[small, 0.125][1], "less than a quarter of the KL"
print("Checked: -log p four times, the square, both gradients, sigma of the recipes, three losses, the runs.")
