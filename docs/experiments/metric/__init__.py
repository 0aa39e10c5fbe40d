"""What is measured of pictures and of denoisers: distances, adherence to a prompt, loss curves."""
