"""What an import may load."""

import subprocess
import sys


def test_singtheory_loads_no_diffusion_library_and_no_plotting():
    program = (
        "import sys, singtheory\n"
        "print([n for n in ('diffusers', 'transformers', 'accelerate', 'sklearn', 'matplotlib') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
