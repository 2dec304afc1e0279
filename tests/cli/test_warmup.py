"""`striate warmup`."""

from typer.testing import CliRunner

from striate.cli import app


def test_every_kernel_is_named() -> None:
    result = CliRunner().invoke(app, ["warmup"])
    assert result.exit_code == 0
    assert "depthwise convolution, float32: ready" in result.output
    assert "depthwise convolution, float64: ready" in result.output
