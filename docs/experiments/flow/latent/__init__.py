"""Flow and ε twin in the latents of a trained autoencoder: 128×128 pictures, read and judged after decoding."""
