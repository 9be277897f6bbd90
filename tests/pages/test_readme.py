"""The README's example runs as it is printed."""

import doctest
import re
import tomllib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from paths import ROOT

import vae_tf

README = ROOT / "README.md"


@pytest.mark.integration
def test_the_public_example(tmp_path, monkeypatch):
    example, loop = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "MSEEquivalence" in example
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    vae = names["vae"]
    assert vae.history.history["val_loss"][-1] < -20
    assert {"sigma", "mse_scale", "rmse"} <= set(vae.history.history)
    assert names["images"].shape == (16, 8, 8, 1)
    assert names["p"].log_prob(names["x_test"][:4]).shape == (4,)
    runtime = names["Decoder"]("bundle").sample(16, seed=0)
    np.testing.assert_allclose(runtime, names["images"], rtol=1e-4, atol=1e-5)
    names |= {"tf": tf, "x": names["x_train"][:100]}
    before = float(vae.likelihood.running_mse)
    exec(compile(loop, "README.md", "exec"), names)
    assert float(vae.likelihood.running_mse) != before


def test_the_linear_example():
    """It prints what the README says."""
    (example,) = re.findall(r"```pycon\n(>>> import numpy.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    keras.utils.set_random_seed(0)
    test = doctest.DocTestParser().get_doctest(example, {"np": np, "vae_tf": vae_tf}, "README", "README.md", 0)
    assert len([part for part in test.examples if part.want]) == 3
    assert doctest.DocTestRunner().run(test).failed == 0


def test_its_pictures_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    assert len(pictures) == 3
    for picture in pictures:
        assert (README.parent / picture).is_file()


def test_it_names_the_python_version_that_the_packages_claim():
    (minor,) = re.search(r"\(Python 3\.(\d+), on which all tests run", README.read_text(encoding="utf-8")).groups()
    for path in (ROOT / "pyproject.toml", ROOT / "export" / "pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        claimed = [name for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]
        assert claimed == [f"Programming Language :: Python :: 3.{minor}"]


def test_public_names():
    assert set(vae_tf.__all__) <= set(dir(vae_tf))
    for name in vae_tf.__all__:
        assert getattr(vae_tf, name) is not None
