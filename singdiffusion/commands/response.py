"""The command `singdiffusion response`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, check_output, one_line_errors
from singdiffusion.system import say


def response(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_ID",
            help="Folder or hub id of a pipeline, a checkpoint of one file, or a scheduler_config.json.",
        ),
    ],
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler; 50 unless --sigmas says it.")] = None,
    sigmas: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Noise levels of the steps, for schedulers that take them.")
    ] = None,
    spacing: Annotated[
        str | None, typer.Option(help="leading, trailing or linspace; the scheduler's own if not given.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="What the model makes: digits, fashion-mnist, FILE.npy, FILE.npz or a FOLDER of images."),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_ID", help="A stored average image with a spread, whose variances are the eigenvalues."
        ),
    ] = None,
    eigenvalues: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Eigenvalues of the covariance of what the network models.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the results.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the curve and the data.")] = None,
) -> None:
    """What the scheduler keeps of the data's spread along each eigenvalue: start, steps and end apart (F10); exit 2 on bad input.

    The scheduler itself runs, on the denoiser of Gaussian data; no network is needed. Data are read as by `diagnose`.
    """
    with one_line_errors():
        say(f"singdiffusion response: {source} (loading)")
        from singdiffusion import evaluation
        from singdiffusion.commands import console
        from singdiffusion.evaluation import Request
        from singtheory.system import check_distinct, command_line, provenance, write_bytes, write_json

        for file in (json_file, picture):
            check_output(file, source, data, module)
        check_distinct([("--json", json_file), ("--picture", picture)], [])
        request = Request(source, steps, sigmas, spacing, data, eigenvalues, module, config)
        result = evaluation.run(request, partial(console.tracked, what="encoding"))
        result = provenance(command_line("singdiffusion"), 0, "cpu") | result
        if json_file is not None:
            write_json(json_file, result)
        if picture is not None:
            from singdiffusion.response import draw

            write_bytes(picture, draw(result))
        console.show(console.response_table(result))
        if result["bands"]:
            console.show(console.bands_table(result))
        say(evaluation.sentence(result))
        for file in (json_file, picture):
            if file is not None:
                say(f"written to {file}")
