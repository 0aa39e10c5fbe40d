"""What is loaded with the package: nothing that only some of its users need."""

import subprocess
import sys


def test_the_package_loads_no_library_that_few_functions_need():
    code = "import sys, singtheory; print(*sorted({'scipy.stats', 'sympy', 'matplotlib', 'flint'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
