"""`python -m proofs_checks`: the command `singtheory` where it is not installed."""

from proofs_checks.cli import app

if __name__ == "__main__":
    app(prog_name="python -m proofs_checks")
