# %% [markdown]
# # Posterior collapse
#
# **The question.** Why do some latents carry nothing, and what decides how many?
#
# **Runs in** about 2 min on two CPU cores (digits), 6 min with MNIST (`VAE_TF_DATA=mnist`), or on a GPU as it is.

# %% [markdown]
# ## The model
# $$z \sim N(0, I_K), \quad [B, K] \qquad x \mid z \sim N(f(z), \sigma^2 I), \quad [B, H, W, 1] \qquad
# q(z \mid x) = N(m(x), \mathrm{diag}(s^2(x)))$$
# with one $\sigma$ for all pixels, and $f$, $m$, $s$ either linear ([solved exactly](04_linear_vae_and_ppca.ipynb)) or
# networks of one hidden layer. Latent $i$ has *collapsed* where its posterior is the prior, whatever the image is.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tf_keras as keras

import vae_tf
from vae_tf import collapse
from vae_tf.objectives import ELBO, FreeBits, linear

DATA = os.environ.get("VAE_TF_DATA", "digits")  # "mnist" for the larger set
SMOKE = os.environ.get("VAE_TF_SMOKE") == "1"  # the short form that the tests run
keras.utils.set_random_seed(0)
x_train, x_test = vae_tf.data.load(DATA)  # [n, H, W, 1] float32 in [0, 1]
K, HIDDEN, EPOCHS, RATE, LEVELS, MIDDLE = 16, 64, 60, 5e-3, (1.0, 0.5, 0.2, 0.05, 0.01), 0.2
if DATA == "mnist":
    x_train, x_test = x_train[:5000], x_test[:1000]
    K, HIDDEN, EPOCHS, RATE, LEVELS, MIDDLE = 20, 256, 40, 2e-3, (10.0, 3.0, 1.0, 0.5, 0.1), 1.0
EPOCHS, LEVELS = (2, (MIDDLE,)) if SMOKE else (EPOCHS, LEVELS)
shape, d = x_train.shape[1:], int(np.prod(x_train.shape[1:]))
print(f"{DATA}: {len(x_train)} training and {len(x_test)} test images of {d} pixels; {K} latents")

# %% [markdown]
# ## What collapse is, in numbers
# The KL of the ELBO is a sum over latents, so each has its own, in nats per image:
# $$\mathrm{KL}_i(x) = \frac{1}{2}\left(m_i(x)^2 + s_i(x)^2 - 1\right) - \log s_i(x)$$
# Latent $i$ is an *active unit* if $\mathrm{Var}_x(m_i(x)) > 0.01$ (Burda et al. 2016, arXiv 1509.00519). It is
# $(\epsilon, \delta)$-*collapsed* if $P_x[\mathrm{KL}_i(x) < \epsilon] \ge 1 - \delta$ (Lucas et al., arXiv
# 1911.02469). Every network below is trained alike: same first weights (seed 0), data, architecture, batches of 100,
# steps, Adam. `CollapseMonitor` counts every other epoch, and warns at the end if latents have collapsed.


# %%
def network(scale, objective):
    keras.utils.set_random_seed(0)
    encoder = vae_tf.networks.mlp_encoder(shape, vae_tf.posteriors.DiagonalNormal(K), hidden=(HIDDEN,))
    decoder = vae_tf.networks.mlp_decoder(K, vae_tf.likelihoods.Gaussian(shape, scale=scale), hidden=(HIDDEN,))
    return vae_tf.VAE(encoder, decoder, vae_tf.priors.StandardNormal(K), objective)


def train(scale, objective):
    """The VAE, its history, and five measures."""
    vae = network(scale, objective)
    vae.compile(keras.optimizers.Adam(RATE, jit_compile=False), steps_per_execution=5)
    with warnings.catch_warnings(record=True):  # the advice; see the diagnosis below
        warnings.simplefilter("always", UserWarning)
        monitor = vae_tf.callbacks.CollapseMonitor(x_test[:500], every=2)
        history = vae.fit(x_train, epochs=EPOCHS, batch_size=100, verbose=0, callbacks=[monitor]).history
    info = collapse.information(vae, x_train[:2000])  # of n images I(x; z) is at most log n
    rmse = np.sqrt(np.mean((x_test - vae.decoder(vae.encoder(x_test).mean()).mean()) ** 2))
    elbo = vae_tf.evaluation.elbo(vae, x_test, num_samples=10, progress=False).mean
    measures = collapse.active_units(vae, x_test).sum(), info.rate, info.mutual_information, rmse, elbo
    return vae, history, measures


# %% [markdown]
# ## σ² decides: the sweep
# For the linear VAE there is a theorem: at a fixed $\sigma^2$ the optimum keeps $\min(K, \#\{\lambda_j > \sigma^2\})$
# latents, where $\lambda_j$ are the eigenvalues of the data covariance. A latent costs KL and buys a smaller squared
# error at the price $1/(2 \sigma^2)$; for the axis $u_j$ it pays exactly if $\lambda_j > \sigma^2$.
# `collapse.linear_prediction` counts them. The linear VAEs are trained on the exact ELBO, the networks by draws of
# $z$.

# %%
rows = x_train.reshape(len(x_train), -1).astype(np.float64)
mean, S, STEPS = rows.mean(axis=0), np.cov(rows.T, ddof=0), 50 if SMOKE else 1500
nets, sweep = {}, []
print(f"of {K} latents active:              | of the network, on the test images")
print("sigma^2  predicted  linear  network |   ELBO (nats per image)")
for level in (*LEVELS, "optimal"):
    scale = level if level == "optimal" else float(np.sqrt(level))
    nets[level] = train(scale, ELBO())
    sigma2 = float(nets[level][0].likelihood.scale) ** 2
    predicted = collapse.linear_prediction(x_train, np.sqrt(sigma2), latent_dim=K).survivors
    keras.utils.set_random_seed(0)
    flat = vae_tf.LinearVAE(K, shape, scale=float(np.sqrt(sigma2)))
    flat.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, STEPS), jit_compile=False))
    flat.fit_covariance(S, mean, len(rows), STEPS)
    sweep.append((sigma2, predicted, collapse.active_units(flat, x_test).sum(), nets[level][2][0], nets[level][2][4]))
    print("{:7.3f} {:10d} {:7d} {:8d} | {:9.2f}".format(*sweep[-1]), "  optimal sigma" * (level == "optimal"))

# %% tags=["cover"]
levels, predicted, in_line, deep, elbos = (np.array(column) for column in zip(*sweep, strict=True))
grid, lam = np.geomspace(levels.min() / 1.5, levels.max() * 1.5, 400), collapse.covariance_eigenvalues(x_train)
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
ax.step(grid, [min(K, np.sum(lam > level)) for level in grid], "k-", where="mid", label="eigenvalues above $\\sigma^2$")
ax.plot(levels, in_line, "C0o", markersize=9, fillstyle="none", label="linear VAE, trained")
ax.plot(levels[:-1], deep[:-1], "C1s", markersize=5, label="network, trained")
ax.plot(levels[-1], deep[-1], "C2*", markersize=12, label="network, optimal $\\sigma$")
ax.set(
    xscale="log", xlabel="$\\sigma^2$ (pixels in [0, 1], squared)", ylabel=f"active of {K}", yticks=range(0, K + 1, 4)
)
ax.set_title("Linear: one latent for each eigenvalue above $\\sigma^2$. Networks: roughly")
_ = ax.legend(frameon=False)

# %% [markdown]
# ## How sharp is the count?
# The share of $(\epsilon, \delta)$-collapsed latents as a function of $\epsilon$, at $\delta = 0.01$. Where a curve is
# flat the count does not hang on the threshold. A gradual rise means latents that carry a little: trained on, they may
# go either way.

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, style in zip((LEVELS[0], MIDDLE, "optimal"), ("C0-", "C1--", "C2-."), strict=True):
    share = collapse.collapse_curve(nets[name][0], x_test)
    label = f"$\\sigma^2$ = {name:g}" if name != "optimal" else "optimal $\\sigma$"
    ax.step(collapse.EPS_GRID, share, style, where="post", label=label)
ax.set(xscale="log", xlabel="$\\epsilon$ (nats)", ylabel="share of latents", title="Latents collapsed at a threshold")
_ = ax.legend(frameon=False)

# %% [markdown]
# ## Warm-up and free bits
# Both leave σ as it is, here at the σ² in the middle of the sweep. *Warm-up* raises the weight of the KL from 0 to 1
# during the first quarter of the training (Bowman et al. 2016, arXiv 1511.06349). *Free bits* does not charge the
# first nats of each latent (Kingma et al. 2016, arXiv 1606.04934):
# $$\mathrm{distortion} + \beta_t \sum_i \mathrm{KL}_i \qquad\qquad
# \mathrm{distortion} + \sum_i \max(c, \overline{\mathrm{KL}}_i), \quad c = 0.25$$
# After its warm-up the first **is** the plain objective, with the same optimum. A start is all that it can change.

# %%
sigma = float(np.sqrt(MIDDLE))
warm_up, free_bits = train(sigma, ELBO(linear(EPOCHS / 4, "epochs"))), train(sigma, FreeBits(0.25))
runs = {"plain": nets[MIDDLE], "warm-up": warm_up, "free bits": free_bits, "optimal sigma": nets["optimal"]}
table = {name: run[2] for name, run in runs.items()}
print("                active     KL  I(x; z)   rmse  test ELBO (the true one, nats per image)")
for name, measures in table.items():
    print("{:<15} {:6d} {:7.2f} {:7.2f} {:7.4f} {:9.2f}".format(name, *measures))

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for (name, run), style in zip(list(runs.items())[:3], ("C0-", "C1--", "C2-."), strict=True):
    axes[0].plot(np.arange(1, EPOCHS + 1), run[1]["active_units"], style, label=name)
    axes[1].plot(np.arange(1, EPOCHS + 1), run[1]["rate"], style)
axes[0].set(xlabel="epoch", ylabel="active units", title="Units fall idle after the warm-up")
axes[1].set(xlabel="epoch", ylabel="KL (nats per image)", title="The KL returns to the plain one", yscale="log")
axes[0].axvline(EPOCHS / 4, color="0.5", linestyle=":", label="end of the warm-up")
_ = fig.legend(frameon=False, loc="outside lower center", ncols=4)

# %% [markdown]
# Warm-up delays the fall, and leaves units of little KL: KL and true ELBO end near the plain run's. Free bits holds
# every KL up, so all units count as active, and the true ELBO pays. $I(x; z)$ says how much of a KL is about the image,
# up to $\log n$, where the last row is: there it measures nothing. Only σ removes the cause: the optimal $\sigma^2$ is
# the squared residual that is left, so that an error is dear and more latents are worth their KL.
#
# ## β is a scaled σ
# A β-VAE with noise $\sigma_0$ minimises $\|x - f\|^2 / (2 \sigma_0^2) + \beta\,\mathrm{KL}$. Divided by $\beta$ it is
# the ELBO with $\sigma^2 = \beta \sigma_0^2$, constants aside. So $\beta$ decides collapse as σ does. Two readings:
# $$\tfrac{1}{2}\|x - f\|^2 + \beta\,\mathrm{KL}: \ \ \sigma = \sqrt{\beta} \qquad\qquad
# \|x - f\|^2 + \beta\,\mathrm{KL}: \ \ \sigma = \sqrt{\beta / 2}$$
# The gradients differ by the factor $\beta$, and gradient descent with learning rates in the ratio $\beta$ takes the
# same path. Adam divides the factor out, up to its small constant. β = 1/4, 20 steps on one batch, the same noise:

# %%
BETA, batch = 0.25, tf.constant(x_train[:100])
noise = tf.random.stateless_normal((2 if SMOKE else 20, 100, K), seed=(0, 0))


def steps(scale, kl_weight, optimizer):
    """The first loss, without the constant of the Gaussian, and the weights after the steps."""
    vae, losses, constant = network(scale, ELBO()), [], d * np.log(scale * np.sqrt(2 * np.pi))
    for draw in noise:
        with tf.GradientTape() as tape:
            q = vae.encoder(batch)
            distortion = -vae.decoder(q.mean() + q.stddev() * draw).log_prob(batch) - constant
            losses.append(tf.reduce_mean(distortion + kl_weight * vae.prior.closed_form(q)))
        optimizer.minimize(losses[-1], vae.trainable_variables, tape)
    return float(losses[0]), np.concatenate([weight.numpy().ravel() for weight in vae.trainable_variables])


start = np.concatenate([weight.numpy().ravel() for weight in network(1.0, ELBO()).trainable_variables])
kinds, paths = keras.optimizers, {}
for name, kind, ratio in (("SGD, rates in the ratio beta", kinds.SGD, BETA), ("Adam, the same rate", kinds.Adam, 1)):
    loss_beta, one = steps(1.0, BETA, kind(1e-3, jit_compile=False))
    loss_sigma, two = steps(BETA**0.5, 1.0, kind(1e-3 * ratio, jit_compile=False))
    paths[name] = loss_beta / loss_sigma, np.linalg.norm(one - two) / np.linalg.norm(one - start)
    print("{:<28}: losses in the ratio {:.6f}, weights apart by {:.4f} of the way".format(name, *paths[name]))
recipe, sigmas = vae_tf.equivalence.from_recipe, {}
for beta in (BETA, 1.0, 4.0):
    sigmas[beta] = [recipe("mse", reduction="sum", dims=d, kl_weight=weight).scale for weight in (2 * beta, beta)]
    print("beta = {:.2f}: sigma = {:.4f} beside half the squared error, {:.4f} beside all".format(beta, *sigmas[beta]))
# A diagnosis of the plain run; the last line is what CollapseMonitor warns of, too, on its images:
print(collapse.diagnose(runs["plain"][0], x_test))

# %% [markdown]
# ## What to look at
# - The linear VAEs sit on the line. Networks lose their latents over the same range, not at the same σ² nor in order.
# - After the warm-up the units fall idle one after the other. The optimal σ has the best ELBO of all.
#
# ## Limits
# For networks the linear count is a guide; the table shows how far off it is here. Training length matters: collapse
# is slow, and units may still fall idle after the last epoch. One seed and one architecture are shown; at another seed
# the count may differ. A decoder that models $x$ without $z$ (an autoregressive one) is another cause of collapse.
#
# ## Exercises
# **1.** Divide the images by 10. How many latents does a linear VAE keep at $\sigma = 0.1$, and at $\sigma = 1$ before?
# <details><summary>Answer</summary>
#
# As many: all eigenvalues shrink by 100 as σ² does. `collapse.linear_prediction(x_train / 10, 0.1)` and
# `collapse.linear_prediction(x_train, 1.0)` agree. A σ means nothing without the scale of the data.
#
# </details>
#
# **2.** A recipe reads `mse_mean + kl_mean`, means over pixels and over latents. Which σ is that here?
# <details><summary>Answer</summary>
#
# $a = 1/d$, $c = 1/K$, so $\sigma = \sqrt{d / (2 K)}$, above every eigenvalue's root: all latents collapse.
# `vae_tf.equivalence.from_recipe("mse", reduction="mean", dims=d, kl_reduction="mean", latent_dim=K).scale`
#
# </details>
#
# ## The claims of this page, checked

# %%
for (ratio, apart), tolerance in zip(paths.values(), (1e-3, 0.1), strict=True):  # SGD, Adam
    assert max(abs(ratio / BETA - 1) / 1e-4, apart / tolerance) < 1
for beta, (half, whole) in sigmas.items():
    np.testing.assert_allclose([half, whole], [np.sqrt(beta), np.sqrt(beta / 2)], rtol=1e-12)
tenth = [collapse.linear_prediction(x_train / 10, 0.1 * np.sqrt(level), latent_dim=K).survivors for level in levels]
assert tenth == list(predicted)  # exercise 1
implied = recipe("mse", reduction="mean", dims=d, kl_reduction="mean", latent_dim=K).scale
assert abs(implied - np.sqrt(d / (2 * K))) < 1e-12 < lam[0] < implied**2  # exercise 2
if not SMOKE:
    assert np.abs(predicted - in_line).max() <= 1  # the linear VAE keeps what the theorem says
    assert all([deep[0] == 0, deep[-2] >= K - 2, *(np.diff(deep[:-1]) >= -3)])  # networks follow, up to 3 latents
    assert elbos[-1] >= max(*elbos, *(measures[4] for measures in table.values()))  # optimal sigma: the best
    warm, rates, plain = runs["warm-up"][1]["active_units"], runs["warm-up"][1]["rate"], runs["plain"][1]["rate"][-1]
    assert K == max(warm) >= warm[EPOCHS // 4 - 1] > warm[-1]  # all are active once; fewer than after the warm-up stay
    assert max(rates) > 3 * plain > 2 * rates[-1] > plain  # the KL returns to within a factor 1.5 of the plain one
    assert table["free bits"][0] == K > 0.1 < runs["free bits"][1]["kl_min"][-1]  # held up
    assert table["free bits"][4] < table["plain"][4], "free bits are paid for"
    assert abs(table["plain"][4] - table["warm-up"][4]) < 1, "nats: warm-up changes little"
    assert max(measures[2] for measures in table.values()) < np.log(2000) + 0.1, "I(x; z) is at most log n"
print("Checked: the linear count, the sweep, optimal sigma, warm-up, free bits, both conventions of beta.")
