"""The command `singdiffusion`: pictures with the singular step, and what is wrong with a pipeline's start.

Each command is in the file of its name; nothing heavy is imported before one runs.
"""

import typer

from singdiffusion import cli_evaluate
from singdiffusion.cli_convert import convert
from singdiffusion.cli_diagnose import diagnose
from singdiffusion.cli_sample import sample
from singdiffusion.cli_train import cache, train

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Pictures with true black and true white, and what is wrong with a pipeline's start."""


for _command in (convert, sample, diagnose, cache, train):
    app.command()(_command)
app.add_typer(cli_evaluate.app, name="evaluate")

if __name__ == "__main__":
    app()
