"""The ladder: average brightness on digits, Fashion-MNIST, OpenMoji and Stable Diffusion."""
