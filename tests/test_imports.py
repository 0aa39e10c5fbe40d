"""What is loaded with the package: nothing that only some of its users need."""

import subprocess
import sys

RARE = {"scipy", "sympy", "matplotlib", "flint", "diffusers", "transformers", "accelerate", "sklearn"}


def test_the_package_loads_no_library_that_few_functions_need():
    code = f"import sys\nfrom singtheory import *\nprint(*sorted({RARE} & set(sys.modules)))"  # all names: each comes when it is used
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_names_and_folders_come_when_they_are_used():
    code = (
        "import sys, singtheory, singtheory.errors\n"
        "assert 'torch' not in sys.modules\n"
        "assert {*singtheory.__all__} <= {*dir(singtheory)}\n"
        "from singtheory import *\n"
        "assert {name for name in singtheory.__all__ if name not in globals()} == set()\n"
        "assert singtheory.Cosine is Cosine and singtheory.InputError is singtheory.errors.InputError\n"
        "assert singtheory.engine.__name__ == 'singtheory.engine' and singtheory.law.Atoms is Atoms\n"
        "assert not hasattr(singtheory, 'nothing') and not hasattr(singtheory, '_HOME')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
