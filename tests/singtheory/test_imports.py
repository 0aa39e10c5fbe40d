"""What is loaded with the package: nothing that only some of its users need."""

import subprocess
import sys

RARE = {"scipy.stats", "sympy", "matplotlib", "flint", "diffusers", "transformers", "accelerate", "sklearn"}


def test_the_package_loads_no_library_that_few_functions_need():
    code = f"import sys, singtheory; print(*sorted({RARE} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
