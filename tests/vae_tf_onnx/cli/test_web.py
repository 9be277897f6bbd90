"""The command `web`."""

import web_bundles


def test_web(run, tmp_path):
    bundle, runtime = web_bundles.gaussian(tmp_path / "bundle"), web_bundles.write_runtime(tmp_path / "package")
    out = tmp_path / "page"
    result = run("web", bundle, "--out", out, "--ort-web", runtime, "--single-file")
    assert result[0] == 0
    assert f"Written: {out / 'index.html'}, 0." in result[1]
