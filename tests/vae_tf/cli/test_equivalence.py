"""`vae-tf equivalence`: the sigma that a recipe hides."""


def test_equivalence(run):
    code, out, _ = run("equivalence", "--loss", "mse", "--reduction", "mean", "--kl-weight", 1, "--dims", 784)
    assert code == 0
    assert "sigma = 19.8" in out
    assert "66 to 198 times" in out
    assert "from 2.55e-05 (sigma = 0.1) to 0.00023 (sigma = 0.3)" in out
    assert 'scale="optimal"' in out


def test_equivalence_of_mae(run):
    _, out, _ = run("equivalence", "--loss", "mae", "--reduction", "sum", "--dims", 784)
    assert "b = 1 " in out
    assert "standard deviation = sqrt(2) b = 1.41" in out
