"""The command `singdiffusion diagnose`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from singdiffusion.commands.shared import CONFIG, check_output, one_line_errors
from singdiffusion.system import say


def diagnose(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_ID",
            help="Folder or hub id of a pipeline, a checkpoint of one file, or a scheduler_config.json.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="What the model makes: digits, fashion-mnist, FILE.npy, FILE.npz or a FOLDER of images of any size."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the sampler.")] = 50,
    spacing: Annotated[
        str | None, typer.Option(help="leading, trailing or linspace; the scheduler's own if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 2, help="Of the noise with which the network is asked.")] = 0,
    config: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help=CONFIG)] = None,
    device: Annotated[str, typer.Option(help="Of the networks: auto, cpu, cuda or mps.")] = "cpu",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the findings.")] = None,
) -> None:
    """What is wrong with a pipeline's start, what arrives of the data's spread, and the line that mends it; exit 2 on bad input.

    Two-dimensional arrays given with --data are taken for points in the model's own space, such as flattened latents; images are
    encoded by the pipeline's VAE if it is there.
    """
    with one_line_errors():
        say(f"singdiffusion diagnose: {source} (loading)")
        from singdiffusion import evaluation
        from singdiffusion.base import Checkpoint
        from singdiffusion.commands import console
        from singdiffusion.evaluation import load, read, verdict
        from singtheory.system import chosen_device, command_line, provenance, write_json

        check_output(json_file, source, data)
        where = chosen_device(device)
        checkpoint = Checkpoint.find(source, config)
        # bad settings are refused before anything large is read
        diagnosis = evaluation.diagnose(checkpoint, steps, spacing, seed=seed)
        loaded = None if data is None else load(data, checkpoint)
        for line in () if loaded is None else loaded.notes:
            say(line)
        with console.doing("reading the networks"):
            networks = checkpoint.autoencoder(), checkpoint.network("unet")
            vae, unet = (None if network is None else network.to(where) for network in networks)
        if loaded is not None:
            evaluation.check_encodes(checkpoint, vae, loaded)
        reading = None if loaded is None else read(loaded, vae, partial(console.tracked, what="encoding"))
        with console.doing("measuring"):
            diagnosis = evaluation.diagnose(checkpoint, steps, spacing, reading, vae, unet, seed)
        findings = verdict(diagnosis)
        if json_file is not None:
            record = {
                "data": data,
                "findings": [{"sentence": finding.sentence, "remedy": finding.code} for finding in findings],
            }
            write_json(json_file, provenance(command_line("singdiffusion"), seed, where) | diagnosis.to_json() | record)
        # files first: what cannot be printed must not lose them; then the verdict, and the tables on which it rests
        console.show(console.findings(findings))
        if diagnosis.options:
            console.show("", console.diagnosis_table(diagnosis))
        if diagnosis.expected is not None and diagnosis.expected.arrivals:
            console.show("", console.remedies_table(diagnosis.expected))
            if diagnosis.expected.bands:
                console.show("", console.remedies_in_bands_table(diagnosis.expected))
        if diagnosis.flows is not None:
            console.show("", console.flow_table(diagnosis, diagnosis.flows))
        if diagnosis.expected is not None and diagnosis.expected.remedies:
            console.show("", "How each change is made", console.remedies_code(diagnosis.expected))
        if json_file is not None:
            say(f"written to {json_file}")
