"""The command `bench`."""

import click
from click.testing import CliRunner

from vae_tf_onnx.cli._bench import bench as command


def test_command(make_bundle):
    bundle = make_bundle()
    result = CliRunner().invoke(command, [str(bundle), "--batch", "2", "--graph", "encoder"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "ms at batch 2" in result.output
    assert "ms at batch 1 " not in result.output
    result = CliRunner().invoke(command, [str(bundle), "--graph", "prior"], standalone_mode=False)
    assert isinstance(result.exception, click.BadParameter)
