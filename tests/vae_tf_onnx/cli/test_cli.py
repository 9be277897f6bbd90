"""The command line: errors are one line and exit code 2."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere"], "expected a file, received nothing there"),
        (["check"], "Missing argument 'BUNDLE'"),
        (["sample", "nowhere"], "Missing option '--out'"),
        (["sample", "nowhere", "--out", "x.gif"], "expected a .npz, .npy, .png or .csv file"),
        (["sample", "nowhere", "--out", "x.npy", "--num-samples", "many"], "'many' is not a valid integer"),
        (["export", "model.keras"], "No such command 'export'"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("vae-tf-onnx: error: ")
    assert err.count("\n") == 1
    assert message in err
