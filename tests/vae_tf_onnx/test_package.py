"""The package as a whole: its names, the example of its README, and that the edge needs no TensorFlow."""

import re
import subprocess
import sys

import pytest
from handmade import EVENT_SHAPE
from paths import ROOT


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


HEAVY = """
import sys
heavy = {"tensorflow", "tf_keras", "vae_tf", "onnx", "tf2onnx"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""


def test_the_edge_never_imports_tensorflow(make_bundle):
    folder = make_bundle()
    use = f"import vae_tf_onnx as v, vae_tf_onnx.cli; v.Decoder({str(folder)!r}).sample(2); v.verify({str(folder)!r})"
    result = run_python(use + HEAVY)
    assert result.returncode == 0, result.stderr


def test_that_test_can_fail():
    result = run_python("import sys; sys.modules['tensorflow'] = sys; " + HEAVY)
    assert result.returncode == 1
    assert "tensorflow" in result.stderr


def test_public_names():
    import vae_tf_onnx

    assert set(vae_tf_onnx.__all__) <= set(dir(vae_tf_onnx))
    for name in set(vae_tf_onnx.__all__) - {"export", "export_keras"}:
        assert callable(getattr(vae_tf_onnx, name))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vae_tf_onnx.nothing


def test_the_example_of_the_readme(make_bundle, monkeypatch):
    text = (ROOT / "export" / "README.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    monkeypatch.chdir(make_bundle().parent)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["images"].shape == names["means"].shape == (16, *EVENT_SHAPE)
    assert names["nats"].shape == (16,)
