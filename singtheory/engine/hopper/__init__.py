"""Products of 8-bit whole numbers on Hopper cards (H100, H200) in CUDA C++, for `launch`, which takes Triton's kernels elsewhere.

products      what `launch` asks for: sizes, tiles and parts
compiled      kernels compiled at their first use by NVIDIA's own compiler, which comes with builds of torch for CUDA from 2.10 on, and launched
source_text   the files that follow, as one source
hopper.cuh    the card's own instructions
stationary.cuh, weigh.cu, screen.cu    queries pass by atoms that stay beside the processor
product.cu    sums over the atoms
"""

from singtheory.engine.hopper.products import TILE, add_product, adds, holds, screen, weigh

__all__ = ["TILE", "add_product", "adds", "holds", "screen", "weigh"]
