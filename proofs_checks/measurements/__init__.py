"""What claims are compared with: divergences of steps on toy laws and on the data, certificates, costs of grids."""
