"""The public names: which there are, that they are found, and that TensorFlow comes with none that does not need it."""

import ast
import os
import subprocess
import sys

import pytest
from paths import ROOT

import vae_tf

HEAVY = ("tensorflow", "tf_keras", "keras", "tensorflow_probability", "matplotlib", "h5py", "sklearn", "torch")


def after(code):
    """What of `HEAVY` a new process has imported after this code, and what the code printed."""
    script = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": paths, "EAGER_IMPORT": ""}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    *printed, modules = done.stdout.splitlines()
    return ast.literal_eval(modules), printed


TENSORFLOW = {"tensorflow", "tf_keras", "keras", "tensorflow_probability"}


def test_the_package_alone_imports_nothing_heavy():
    assert after("import vae_tf; dir(vae_tf); vae_tf.__version__; vae_tf.__all__") == ([], [])


@pytest.mark.parametrize("name", ["equivalence", "ppca", "plotting", "data"])
@pytest.mark.parametrize("form", ["import vae_tf.{}", "import vae_tf; vae_tf.{}", "from vae_tf import {}"])
def test_no_tensorflow_with_what_does_not_need_it(name, form):
    modules, _ = after(form.format(name))
    assert not TENSORFLOW & set(modules)


def test_what_needs_tensorflow_brings_it_and_a_star_brings_every_public_name():
    """The tests above can fail."""
    modules, printed = after(
        "import vae_tf\n"
        "print(vae_tf.testing.check_likelihood.__name__)\n"
        "from vae_tf import *\n"
        "print(all(name in globals() for name in vae_tf.__all__))"
    )
    assert printed == ["check_likelihood", "True"]
    assert {"tensorflow", "tf_keras", "tensorflow_probability"} <= set(modules)


def test_dir_lists_every_public_name():
    assert set(vae_tf.__all__) <= set(dir(vae_tf))
    assert len(set(vae_tf.__all__)) == len(vae_tf.__all__)


@pytest.mark.parametrize("name", vae_tf.__all__)
def test_every_public_name_is_there_and_stays_the_same(name):
    assert getattr(vae_tf, name) is getattr(vae_tf, name)


def test_every_public_subpackage_and_module_is_a_public_name():
    """All but those that are reached by their classes or from the command line."""
    entries = [path for path in (ROOT / "vae_tf").iterdir() if not path.name.startswith(("_", "."))]
    modules = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    reached_otherwise = {"bound", "cli", "linear", "quiet", "runs", "saving", "storage", "training", "vae"}
    assert modules - reached_otherwise == {name for name in vae_tf.__all__ if name.islower()} - {
        "load",
        "negative_log_prob",
    }


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"vae_tf.*nothing_of_this_name"):
        _ = vae_tf.nothing_of_this_name
    with pytest.raises(ImportError, match="nothing_of_this_name"):
        exec("from vae_tf import nothing_of_this_name")
