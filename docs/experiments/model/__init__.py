"""Small text-to-image models: their networks, training, sampling, average images and cards."""
