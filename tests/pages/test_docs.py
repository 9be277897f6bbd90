"""The documentation site: its code runs, its numbers are right, and nothing public is missing from it.

`mkdocs build --strict` itself, which follows every link, is a step of `.ci/run`.
"""

import ast
import contextlib
import importlib
import importlib.util
import io
import re
import tomllib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
import yaml
from paths import ROOT
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

import vae_tf
from vae_tf.equivalence import from_recipe

PAGES = ROOT / ".docs" / "pages"
MODULES = [
    *(f"vae_tf.{name}" for name in vae_tf.__all__ if name.islower() and name not in ("load", "negative_log_prob")),
    "vae_tf.testing",
    *(f"vae_tf_onnx.{name}" for name in ("runtime", "convert", "variants", "bench", "serve", "web", "families")),
]


def read(name):
    return (PAGES / name).read_text(encoding="utf-8")


def blocks(name):
    """The code that a page shows as ours; what it shows of others is marked otherwise."""
    return re.findall(r"^```python.*?\n(.*?)^```", read(name), re.DOTALL | re.MULTILINE)


def run(name):
    """Runs the code of a page from top to bottom; each `print(...)  # text` must print that text."""
    names, promised = {}, 0
    for block in blocks(name):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block, name, "exec"), names)
        expected = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
        for line, text in zip(output.getvalue().splitlines()[: len(expected)], expected, strict=True):
            assert same(line, text), (block, line, text)
        promised += len(expected)
    return promised


def same(line, text):
    """Equal as text or, for a number, to the digits that are shown."""
    if re.fullmatch(r"-?\d+\.\d+", text):
        return f"{float(line):.{len(text.partition('.')[2])}f}" == text
    return line == text


@pytest.mark.integration
def test_the_faq(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    promised = run("faq.md")
    assert promised >= 15


@pytest.mark.integration
def test_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("images.md") == 6


@pytest.mark.integration
def test_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("tables.md") == 7


@pytest.mark.integration
def test_coming_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    run("coming_from.md")
    assert len(blocks("coming_from.md")) == 5


@pytest.mark.integration
def test_the_page_on_counts():
    keras.utils.set_random_seed(0)
    assert run("counts.md") >= 5


def test_the_home_page_shows_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example, *_ = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert blocks("index.md") == [example]
    (install,) = re.findall(r"^```sh\n(.*?)^```", read("index.md"), re.DOTALL | re.MULTILINE)
    assert install in readme


def test_sigmas_of_the_table():
    rows = re.findall(r"^\| (.+) \| ([\d.]+) \| `(from_recipe\(.+\))` \|$", read("coming_from.md"), re.MULTILINE)
    assert len(rows) == 7
    for recipe, sigma, call in rows:
        assert f"{eval(call).sigma:.3g}" == sigma, recipe
    assert f"{from_recipe('mse', reduction='sum', dims=1, kl_weight=1e-6).sigma:.1g}" == "0.0007"  # the glossary's


# --- what other libraries minimise, written down from their sources ------------------------------------------------


@pytest.fixture(scope="module")
def batch():
    """Grey images, and a Bernoulli VAE that has not been trained, with its terms at one draw of z."""
    x, _ = vae_tf.data.load("digits")
    keras.utils.set_random_seed(0)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((8, 8, 1), vae_tf.posteriors.DiagonalNormal(2), hidden=(16,)),
        vae_tf.networks.mlp_decoder(2, vae_tf.likelihoods.Bernoulli((8, 8, 1)), hidden=(16,)),
        vae_tf.priors.StandardNormal(2),
    )
    return x[:32], vae


def numpy_kl(q):
    mean, log_var = q.mean().numpy(), np.log(q.variance().numpy())
    return (mean**2 + np.exp(log_var) - log_var - 1).sum(axis=1) / 2


def test_the_losses_of_keras_and_pytorch(batch):
    x, vae = batch
    with pytest.warns(UserWarning, match="grey levels"):
        terms = vae.terms(x)
    z = vae.encoder(x).mean()
    image = vae.decoder(z).mean()
    bernoulli = -vae.decoder(z).log_prob(x)
    keras_loss = tf.reduce_sum(keras.losses.binary_crossentropy(x, image), axis=(1, 2))
    np.testing.assert_allclose(bernoulli, keras_loss, rtol=1e-5)
    np.testing.assert_allclose(terms.rate, numpy_kl(vae.encoder(x)), rtol=1e-4)
    colour = (np.repeat(images, 3, axis=-1) for images in (x, image))
    summed = tf.reduce_sum(keras.losses.binary_crossentropy(*colour), axis=(1, 2))
    np.testing.assert_allclose(summed, keras_loss, rtol=1e-5)  # three channels count as one
    p = image.numpy().astype(np.float64)
    torch_bce = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum()
    np.testing.assert_allclose(np.sum(bernoulli), torch_bce, rtol=1e-5)


def test_cross_entropy_near_a_perfect_reconstruction_is_a_gaussian():
    x, e = np.array([0.1, 0.3, 0.5, 0.9]), 1e-3
    entropy, moved = (-x * np.log(p) - (1 - x) * np.log(1 - p) for p in (x, x + e))
    np.testing.assert_allclose(moved - entropy, e**2 / (2 * x * (1 - x)), rtol=0.02)
    assert np.sqrt(x * (1 - x)).max() == 0.5


def test_what_tfp_adds_for_the_kl():
    """Its regulariser twice the KL, its layer the batch size times the KL."""
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    parameters = tf.constant([[0.5, -1.0, 0.3, 0.2], [1.5, 0.0, -0.3, 1.0], [0.0, 0.0, 0.1, 0.2]])
    regulariser = tfpl.KLDivergenceRegularizer(prior, use_exact_kl=True)
    regularised = tfpl.IndependentNormal(2, activity_regularizer=regulariser)
    q = regularised(parameters)
    kl = tf.reduce_mean(tfd.kl_divergence(q, prior))
    np.testing.assert_allclose(sum(regularised.losses), 2 * kl, rtol=1e-5)
    added = tfpl.KLDivergenceAddLoss(prior, use_exact_kl=True)
    added(q)
    np.testing.assert_allclose(sum(added.losses), len(parameters) * kl, rtol=1e-5)


def test_the_squared_errors_of_pythae():
    x = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")
    z = tf.ones((4, 2))
    for half, sigma in ((0.5, 1.0), (1.0, np.sqrt(0.5))):
        likelihood = vae_tf.likelihoods.Gaussian((8, 8, 1), scale=float(sigma))
        p = vae_tf.networks.mlp_decoder(2, likelihood, hidden=(4,))(z)
        error = half * np.square(x - p.mean()).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(-p.log_prob(x) - likelihood.equivalence().constant, error, rtol=1e-4)


# --- the site ------------------------------------------------------------------------------------------------------


def settings():
    return yaml.safe_load((ROOT / ".docs" / "mkdocs.yml").read_text(encoding="utf-8"))


def nav():
    """The pages of the navigation, in order."""

    def pages(entry):
        if isinstance(entry, str):
            yield entry
        for inner in entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else ():
            yield from pages(inner)

    return list(pages(settings()["nav"]))


def made_by_the_hook():
    tree = ast.parse((ROOT / ".docs" / "hooks.py").read_text(encoding="utf-8"))
    (table,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    ]
    notebooks = (path.stem for path in (ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
    return {*ast.literal_eval(table).values(), "cli.md", *(f"tutorials/{name}.md" for name in notebooks)}


def test_the_repository_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert settings()["extra"]["repository"] == project["urls"]["Repository"]


def test_every_page_is_in_the_navigation_once():
    written = {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md")}
    assert sorted(nav()) == sorted(written | made_by_the_hook())


def test_every_public_name_is_in_the_reference():
    shown = []
    for page in (PAGES / "api").glob("*.md"):
        for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            shown += objects(path)
    for package in ("vae_tf", "vae_tf_onnx"):
        module = importlib.import_module(package)
        missing = [name for name in module.__all__ if not any(getattr(module, name) is one for one in shown)]
        assert set(missing) <= {name for name in module.__all__ if f"{package}.{name}" in MODULES}, missing
    for module in MODULES:
        assert any(importlib.import_module(module) is one for one in shown), module


def test_a_public_name_without_a_docstring_has_a_directive_of_its_own():
    """mkdocstrings leaves it out of its module."""
    griffe = pytest.importorskip("griffe", reason='the reference needs pip install -e ".[docs]"')
    directives = set().union(
        *(re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE) for page in (PAGES / "api").glob("*.md"))
    )
    for package, folder in (("vae_tf", ROOT), ("vae_tf_onnx", ROOT / "export")):
        tree = griffe.load(package, search_paths=[folder], allow_inspection=False)
        for module in (path for path in MODULES if path.startswith(f"{package}.")):
            for name in getattr(importlib.import_module(module), "__all__", ()):
                found = tree[f"{module.removeprefix(package + '.')}.{name}"]
                found = found.final_target if found.is_alias else found
                assert found.has_docstring or f"{module}.{name}" in directives, f"{module}.{name}"


def objects(path):
    """What a directive shows: a name, or a module and all that is public in it."""
    owner, _, name = path.rpartition(".")
    if importlib.util.find_spec(path) is None if owner in ("vae_tf", "vae_tf_onnx") else True:
        return [getattr(importlib.import_module(owner), name)]
    module = importlib.import_module(path)
    public = getattr(module, "__all__", [name for name in dir(module) if not name.startswith("_")])
    return [module, *(getattr(module, name) for name in public)]
