"""`vae-tf ppca`: against scikit-learn, against the bits of a linear VAE, and without TensorFlow."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
import tf_keras as keras
from PIL import Image
from scipy import stats
from sklearn.decomposition import PCA

import vae_tf
from vae_tf.cli._ppca import bits_per_dim
from vae_tf.ppca import PPCA

SHAPE, LEVELS = (8, 8, 1), 17


def number(out, name):
    """The number on the line that begins with `name`, as it is printed."""
    return float(re.search(rf"^{re.escape(name)} +(\S+) ", out, re.MULTILINE)[1])


def test_the_numbers_are_those_of_scikit_learn(run, tmp_path, digits):
    """Whose covariance has n - 1 in the denominator."""
    code, out, err = run("ppca", "--latent-dim", 10, "--output", tmp_path / "deep" / "spectrum.png")
    assert (code, err) == (0, "")
    train, test = (x.reshape(len(x), -1).astype(np.float64) for x in digits)
    sklearn, ddof = PCA(10).fit(train), 1 - 1 / len(train)
    model = stats.multivariate_normal(train.mean(axis=0), sklearn.get_covariance() * ddof, allow_singular=False)
    sigma2 = sklearn.noise_variance_ * ddof
    assert number(out, "sigma^2_MLE") == pytest.approx(sigma2, rel=1e-5)
    assert f"sigma_MLE = {math.sqrt(sigma2):.4g}\n" in out
    assert number(out, "train log-likelihood") == pytest.approx(model.logpdf(train).mean(), abs=1e-4)
    assert number(out, "test log-likelihood") == pytest.approx(model.logpdf(test).mean(), abs=1e-4)
    assert f"+- {stats.sem(model.logpdf(test)):.4f} nats per image" in out
    above = np.count_nonzero(PCA().fit(train).explained_variance_ * ddof > sigma2)
    assert re.search(r"latents at sigma = 1 +0 of 10 ", out)
    assert re.search(rf"latents at sigma_MLE +10 of 10 .* {above} eigenvalues", out)
    assert f"Spectrum: {tmp_path / 'deep' / 'spectrum.png'}" in out
    with Image.open(tmp_path / "deep" / "spectrum.png") as picture:
        image = np.asarray(picture.convert("L"))
    assert image.shape[1] > 500
    assert image.std() > 10, "not blank"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["spectrum.png"]


def test_bits_are_the_average_over_the_dequantised_images(digits):
    """4,000 draws of u for each of 5 images: within 5 standard errors each, which 1 seed in 350,000 fails."""
    model, x = PPCA(10).fit(digits[0]), digits[1][:5].reshape(5, -1)
    rng = np.random.default_rng(0)
    for image, bits in zip(x, bits_per_dim(model, x, LEVELS), strict=True):
        spread = (np.rint(image * (LEVELS - 1)) + rng.random((4_000, 64))) / LEVELS
        nats = -model.log_prob(spread) - 64 * math.log(1 / LEVELS)
        assert abs(bits * 64 * math.log(2) - nats.mean()) < 5 * stats.sem(nats) < 1.0


def linear_vae(model):
    """p(x|z) = N(W z + mean, sigma^2) of a pPCA, and its exact posterior."""
    q, linear = model.latent_dim, {"hidden": ()}
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(SHAPE, vae_tf.posteriors.FullCovarianceNormal(q), **linear),
        vae_tf.networks.mlp_decoder(q, vae_tf.likelihoods.Gaussian(SHAPE, math.sqrt(model.sigma2_)), **linear),
        vae_tf.priors.StandardNormal(q),
    )
    m = model.loadings_.T @ model.loadings_ + model.sigma2_ * np.eye(q)
    weights = np.linalg.solve(m, model.loadings_.T)
    tril = np.linalg.cholesky(model.sigma2_ * np.linalg.inv(m))
    tril[np.diag_indices(q)] = np.log(np.expm1(np.diag(tril) - 1e-5))  # softplus and a floor turn it back
    outputs = tril[np.tril_indices(q)]
    kernel = np.concatenate([weights.T, np.zeros((64, len(outputs)))], axis=1)
    vae.encoder.set_weights([kernel, np.concatenate([-weights @ model.mean_, outputs])])
    (dense,) = (layer for layer in vae.decoder.layers if isinstance(layer, keras.layers.Dense))
    dense.set_weights([model.loadings_.T, model.mean_])
    return vae


def test_bits_stand_beside_those_of_evaluate(digits):
    """A linear VAE with the exact posterior has log p(x) from one draw; its u are drawn: 1 seed in 15,000 fails."""
    model = PPCA(4).fit(digits[0])
    drawn = vae_tf.evaluation.bits_per_dim(linear_vae(model), digits[1], 1, levels=LEVELS, progress=False).values
    difference = bits_per_dim(model, digits[1], LEVELS) - drawn
    assert abs(difference.mean()) < 4 * stats.sem(difference) < 0.01


def test_real_valued_images_have_no_bits(run, tmp_path, digits):
    np.save(tmp_path / "x.npy", np.sqrt(digits[0][:300]))
    code, out, err = run("ppca", "--data", tmp_path / "x.npy", "--output", tmp_path / "x.svg")
    assert (code, err) == (0, "")
    assert re.search(r"bits per dimension +none +Grey levels: expected at most 256", out)
    assert "<svg" in (tmp_path / "x.svg").read_text()


def test_fewer_images_than_dimensions(run, tmp_path, digits):
    np.savez(tmp_path / "x.npz", x_train=digits[0][:30], x_test=digits[1][:1])
    code, out, err = run("ppca", "--data", tmp_path / "x.npz", "--output", tmp_path / "spectrum.png")
    assert (code, err) == (0, "")
    train = digits[0][:30].reshape(30, -1).astype(np.float64)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(train.T, ddof=0)))
    assert number(out, "sigma^2_MLE") == pytest.approx(eigenvalues[:-8].mean(), rel=1e-5)
    assert "test log-likelihood" in out
    assert "+-" not in out, "one test image has no standard error"
    with Image.open(tmp_path / "spectrum.png") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latent-dim", "64"], "latent_dim"),
        (["--latent-dim", "0"], "latent_dim: expected a whole number of at least 1"),
        (["--latent-dim", "few"], "'few' is not a valid integer"),
        (["--data", "{tmp}/few.npy", "--latent-dim", "9"], "latent_dim"),
        (["--data", "{tmp}/constant.npy", "--latent-dim", "2"], "sigma^2_MLE"),
        (["--data", "nowhere"], "expected one of 'digits'"),
        (["--output", "{tmp}"], "is a directory"),
        (["--output", "{tmp}/few.npy/x.png"], "few.npy"),
        (["--output", "{tmp}/x.txt"], "expected a name that ends in .png, .pdf, .svg, .jpg"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(run, tmp_path, digits, arguments, message):
    np.save(tmp_path / "few.npy", digits[0][:10])  # 9 to fit, 1 to test
    np.save(tmp_path / "constant.npy", np.ones((100, 8, 8), np.float32))
    if "--output" not in arguments:
        arguments = [*arguments, "--output", "{tmp}/x.png"]
    code, _, err = run("ppca", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 2
    assert err.startswith("vae-tf: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["constant.npy", "few.npy"]


BLOCKED = "import sys\nsys.modules.update(dict.fromkeys(('tensorflow', 'tf_keras', 'tensorflow_probability')))\n"
COMMAND = f"{BLOCKED}from vae_tf.cli import main\nmain(['ppca', '--output', sys.argv[1]])"


def test_it_needs_no_tensorflow(tmp_path):
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").is_file()


def test_that_test_can_fail():
    command = [sys.executable, "-c", f"{BLOCKED}import vae_tf.collapse"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: import of tensorflow halted" in done.stderr
