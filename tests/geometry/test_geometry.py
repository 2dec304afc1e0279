import subprocess
import sys

from striate import geometry


def test_geometry_needs_no_torch() -> None:
    script = "import sys, striate.geometry; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_public_names_are_those_of_the_package() -> None:
    assert all(getattr(geometry, name).__module__.startswith("striate.geometry.") for name in geometry.__all__)
    assert geometry.__all__ == sorted(geometry.__all__)
