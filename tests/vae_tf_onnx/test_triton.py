"""A bundle as a Triton model repository and as a service of KServe: the files, read by the parsers of others."""

import importlib.util
import json
import subprocess
import sys

import onnx
import pytest
from bundle_changes import add_scorer, fix_batch

from vae_tf_onnx import BundleError, triton, verify
from vae_tf_onnx.bundle import GRAPHS, open_bundle, write_manifest

PARSE = """
import json, sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2  # in a process of its own: see below
messages = [text_format.Parse(open(path).read(), model_config_pb2.ModelConfig()) for path in sys.argv[1:]]
json.dump([json_format.MessageToDict(message, preserving_proto_field_name=True) for message in messages], sys.stdout)
"""


@pytest.fixture
def parse():
    """graph -> its configuration, read by protobuf with Triton's own messages; whole numbers of 64 bits are text.

    tritonclient's messages cannot be in one process with those of kserve, which other tests import.
    """
    if importlib.util.find_spec("tritonclient") is None:
        pytest.skip('tritonclient is not installed: pip install "tritonclient[grpc]"')

    def parse(folder):
        paths = sorted(folder.glob("*/config.pbtxt"))
        result = subprocess.run([sys.executable, "-c", PARSE, *paths], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return {config["name"]: config for config in json.loads(result.stdout)}

    return parse


def test_a_batched_graph(make_bundle, parse):
    folder = make_bundle()
    triton.write(folder)
    warm = {"data_type": "TYPE_FP32", "dims": ["3"], "zero_data": True}
    assert parse(folder)["decoder"] == {
        "name": "decoder",
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": 256,
        "input": [{"name": "z", "data_type": "TYPE_FP32", "dims": ["3"]}],
        "output": [{"name": n, "data_type": "TYPE_FP32", "dims": ["4", "2", "1"]} for n in ("mean", "scale")],
        "dynamic_batching": {},  # a delay of zero is the default value
        "instance_group": [{"kind": "KIND_CPU", "count": 2}],
        "parameters": {"intra_op_thread_count": {"string_value": "1"}},
        "model_warmup": [{"name": f"batch {n}", "batch_size": n, "inputs": {"z": warm}} for n in (1, 256)],
    }


def test_a_scalar_per_example_keeps_its_shape(make_bundle, parse):
    folder = add_scorer(make_bundle())
    triton.write(folder)
    config = parse(folder)["scorer"]
    assert config.get("max_batch_size", 0) == 0
    assert "dynamic_batching" not in config
    assert [tensor["dims"] for tensor in config["input"]] == [["-1", "4", "2", "1"], ["-1", "3"]]
    assert [tensor["dims"] for tensor in config["output"]] == [["-1"]] * 3
    assert [sample["batch_size"] for sample in config["model_warmup"]] == [1, 1]
    assert [sample["inputs"]["noise"]["dims"] for sample in config["model_warmup"]] == [["1", "3"], ["256", "3"]]


def test_a_fixed_batch(make_bundle, parse):
    folder = fix_batch(make_bundle(), 4)
    triton.write(folder)
    config = parse(folder)["encoder"]
    assert config.get("max_batch_size", 0) == 0
    assert "dynamic_batching" not in config
    assert config["input"][0]["dims"] == ["4", "4", "2", "1"]
    assert [tensor["dims"] for tensor in config["output"]] == [["4", "3"]] * 2
    assert [sample["inputs"]["x"]["dims"] for sample in config["model_warmup"]] == [["4", "4", "2", "1"]]


def test_gpu(make_bundle, parse):
    folder = make_bundle()
    triton.write(folder, gpu=True)
    config = parse(folder)["decoder"]
    assert config["instance_group"] == [{"kind": "KIND_GPU", "count": 1}]
    (accelerator,) = config["optimization"]["execution_accelerators"]["gpu_execution_accelerator"]
    assert accelerator["name"] == "tensorrt"
    assert accelerator["parameters"]["precision_mode"] == "FP32"
    assert "parameters" not in config, "the number of threads is for a CPU"


def test_names_are_quoted(make_bundle, parse):
    folder = make_bundle()
    name = 'scale" } ] backend: "other'
    path = folder / GRAPHS["encoder"]
    model = onnx.load(path)
    model.graph.node[-1].output[0] = model.graph.output[1].name = name
    onnx.save(model, path)
    write_manifest(folder, open_bundle(folder).manifest)
    triton.write(folder)
    config = parse(folder)["encoder"]
    assert config["backend"] == "onnxruntime"
    assert [tensor["name"] for tensor in config["output"]] == ["loc", name]


def service(folder):
    return pytest.importorskip("yaml", reason="pyyaml is not installed: pip install pyyaml").safe_load(
        (folder / "inference_service.yaml").read_text()
    )


def check_fields(model, value):
    """Every field of a YAML object is one of KServe's or Kubernetes' class of this name, down to the leaves."""
    models = [importlib.import_module(name) for name in ("kserve.models", "kubernetes.client.models")]
    found = next((getattr(module, model) for module in models if hasattr(module, model)), None)
    if found is None:
        return
    fields = {field: found.openapi_types[name] for name, field in found.attribute_map.items()}
    assert set(value) <= set(fields), model
    for field, inner in value.items():
        check_fields(fields[field], inner)


@pytest.mark.parametrize("gpu", [False, True])
def test_inference_service(make_bundle, gpu):
    pytest.importorskip("kserve", reason='kserve is not installed: pip install "vae-tf-onnx[serve]"')
    folder = make_bundle()
    triton.write(folder, gpu=gpu, kserve="s3://bucket/digits")
    content = service(folder)
    check_fields("V1beta1InferenceService", content)
    assert (content["apiVersion"], content["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    model = content["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"}
    assert model["protocolVersion"] == "v2"
    assert model["storageUri"] == "s3://bucket/digits"
    assert model["resources"]["limits"].get("nvidia.com/gpu") == ("1" if gpu else None)


def test_that_a_field_kserve_does_not_know_is_found():
    pytest.importorskip("kserve", reason='kserve is not installed: pip install "vae-tf-onnx[serve]"')
    with pytest.raises(AssertionError, match="V1beta1ModelSpec"):
        check_fields("V1beta1InferenceService", {"spec": {"predictor": {"model": {"uri": "s3://bucket"}}}})


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://bucket/digits", "digits"),
        ("pvc://claim/My_Model.v2/", "my-model-v2"),
        ("gs://bucket/models/2", "vae-2"),
        ("s3://bucket/" + "a" * 80, "a" * 50),
        ("s3://bucket/'\"{}:#", "vae"),
    ],
)
def test_the_name_of_a_service_is_one_of_kubernetes(make_bundle, uri, name):
    folder = make_bundle()
    triton.write(folder, kserve=uri)
    content = service(folder)
    assert content["metadata"]["name"] == name
    assert content["spec"]["predictor"]["model"]["storageUri"] == uri


@pytest.mark.parametrize("uri", ["", "folder", "/mnt/models", "s3://", "s3://a b", "s3://a\nkind: Secret", 3])
def test_a_storage_that_is_no_uri(make_bundle, uri):
    folder = make_bundle()
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match=r"kserve: expected the URI .* received .*\. Pass one such as s3://"):
        triton.write(folder, kserve=uri)
    assert sorted(folder.rglob("*")) == before


def test_the_bundle_stays_whole(make_bundle):
    folder = make_bundle()
    triton.write(folder, kserve="s3://bucket/model")
    triton.write(folder, gpu=True)
    verify(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(open_bundle(folder).manifest["files"]) == files - {"manifest.json"}
    assert {"decoder/config.pbtxt", "encoder/config.pbtxt", "inference_service.yaml"} < files


def test_a_damaged_bundle_is_not_given_new_checksums(make_bundle):
    folder = make_bundle()
    (folder / GRAPHS["encoder"]).write_bytes(b"changed")
    with pytest.raises(BundleError, match="expected sha256"):
        triton.write(folder)
    assert not (folder / "decoder/config.pbtxt").exists()


def test_a_tensor_that_is_not_float32(make_bundle):
    folder = make_bundle()
    path = folder / GRAPHS["encoder"]
    model = onnx.load(path)
    model.graph.node.add(op_type="Cast", input=["loc"], output=["double"]).attribute.add(
        name="to", type=onnx.AttributeProto.INT, i=onnx.TensorProto.DOUBLE
    )
    model.graph.output.add(name="double").type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, path)
    write_manifest(folder, open_bundle(folder).manifest)
    with pytest.raises(BundleError, match=r"expected float32 tensors, received double of tensor\(double\)"):
        triton.write(folder)


def test_without_jinja2(make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r'pip install "vae-tf-onnx\[convert\]"'):
        triton.write(make_bundle())
