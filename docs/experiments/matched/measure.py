"""`python -m docs.experiments.matched.measure --data openmoji.npz.xz --out DIR --minutes M`: reverse kernels on the demonstrator, measured on one GPU.

The network is the package's own ε demonstrator with an empty prompt and no guidance, its data all pictures. The parts, each noted as it comes:

    speed      samples a second of the network alone and with a product of its Jacobian
    profile    mse, covariance and skewness of network and data, at 28 noise levels (`profile`)
    spectra    whole Jacobians at some levels, by which path nats of every kernel follow on a processor (`nats`)
    cells      samples of every kernel at equal work of the network: Fréchet distance in 64 components, spread, how often C was not positive

Written again after each: `matched.json`, `matched-profile.npz`, `matched-spectra.npz`, and `matched-influence.npz` for intervals of differences.
"""

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from docs.experiments.data.captioned import Captioned, brightness_of, read
from docs.experiments.flow.draw import Moments
from docs.experiments.flow.metrics import Law, high_frequencies
from docs.experiments.matched.profile import Empirical, Scene, Scheduled, measured, spectrum
from docs.experiments.matched.ways import PASSES, WORKS, Known, plan, times_of, widening_of
from docs.experiments.model.denoiser import Denoiser
from docs.experiments.model.fit import say
from docs.experiments.script.arguments import add_data, add_out, add_seed, command, one_line_errors
from docs.experiments.script.device import add_device, allow_tf32
from docs.experiments.script.result import Result, origin, quiet
from singdiffusion.base import NetworkDenoiser
from singdiffusion.demonstrator import PIPELINE
from singtheory.errors import InputError
from singtheory.sampler import Matched, jacobian_product
from singtheory.start import Components, matched_start
from singtheory.system import chosen_device, read_json, write_bytes

COMPONENTS = 64
"""Principal components of the Fréchet distance, of the low-rank kernel and of the start; a quarter of the dimensions at most."""
LEVELS, SPECTRA = 28, 2
"""Noise levels of the profile, and every how many of them whole Jacobians are taken."""


def demonstrator(device: str) -> NetworkDenoiser:
    """The package's ε network with an empty prompt, without guidance."""
    model = Denoiser.load(PIPELINE)
    states = model.encoder([""], torch.device("cpu"), torch.float32).to(device)
    pipe: Any = model.pipeline()
    return NetworkDenoiser(model.unet.to(device).eval().requires_grad_(False), pipe.scheduler, states)


class Run:
    """A denoiser on a device, and what is measured of it.

    Args:
        denoiser: a network, or whatever has its schedule.
        data: the pictures.
        device: `cpu` or `cuda`.
        result: that every part is added to.
        deadline: on the clock of `time.perf_counter`.
        draws: of the profile, and samples of a cell.
        seed: of all of them.
    """

    def __init__(
        self,
        denoiser: Scheduled,
        data: Captioned,
        device: str,
        result: Result,
        deadline: float,
        draws: tuple[int, int],
        seed: int,
    ) -> None:
        self.data, self.device, self.result, self.deadline, self.seed = data, device, result, deadline, seed
        self.samples, self.denoiser, self.schedule = draws[1], denoiser, denoiser.schedule
        self.moments = Moments.of(data, device)
        kept = min(COMPONENTS, len(self.moments.var) // 4)
        self.basis, self.variances = self.moments.basis[:kept].double(), self.moments.var[:kept].double()
        points = data.x_0().to(device)
        self.law = Law.of(self._coordinates(points))
        self.deviation = float(data.brightness.std(correction=0))
        self.high = float(high_frequencies(points).mean())
        self.empirical = Empirical(points.flatten(1))
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(data), (draws[0],), generator=generator)
        x_0, size = data.x_0(rows), (draws[0], *data.size)
        noise, *probes = (torch.randn(size, generator=generator).to(device) for _ in range(3))
        self.scene = Scene(denoiser, self.empirical, x_0.to(device), noise, (probes[0], probes[1]), self.basis)
        self.steps = denoiser.train_steps

    def _coordinates(self, images: Tensor) -> Tensor:
        return (images - self.moments.mean.to(images)).flatten(1) @ self.basis.mT.to(images)

    def late(self, seconds: float = 0.0) -> bool:
        """Whether so many more would be too many."""
        return time.perf_counter() + seconds > self.deadline

    def nodes(self, count: int) -> list[float]:
        """Times of training steps, from noise to data, about even in log γ."""
        snr = np.geomspace(float(self.schedule.snr(1.0)), float(self.schedule.snr(1 / self.steps)), count)
        timesteps = (self.schedule.time_of_snr(torch.from_numpy(snr)) * self.steps).round().clamp(1, self.steps)
        return sorted({int(one) for one in timesteps.tolist()}, reverse=True)

    # --- the parts ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def speed(self) -> dict[str, float]:
        """Samples a second, the second time."""
        x, v, t = self.scene.x_0[: self.samples], self.scene.noise[: self.samples], 0.5
        speeds: dict[str, float] = {"samples": float(len(x))}
        for name, call in (
            ("evaluation", lambda: self.denoiser(x, t)),
            ("product", lambda: jacobian_product(self.denoiser, x, t, v)[1]),
        ):
            call()  # the first time kernels are chosen
            self._wait()
            since = time.perf_counter()
            call()
            self._wait()
            speeds[name] = len(x) / (time.perf_counter() - since)
        say("samples a second", speeds)
        return speeds

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def profile(self, levels: int) -> Known:
        """Every level, noted and kept."""
        rows, kept = [], []
        for node in self.nodes(levels):
            numbers, arrays = measured(self.scene, node / self.steps)
            rows.append(numbers)
            kept.append(arrays)
            say(f"profile, snr {numbers['snr']:.4g}: mse {numbers['mse']:.4g}, mmse {numbers['mmse']:.4g}")
        stacked = {name: np.stack([one[name] for one in kept]) for name in kept[0]}
        self.result.add("profile", rows)
        self._save("profile", stacked | {"eigenvalues": self.variances.cpu().numpy()})
        return Known.of(rows, stacked)

    def spectra(self, known: Known, every: int, draws: int) -> None:
        """Whole Jacobians, as far as the time reaches; few draws of all levels first."""
        records: list[dict[str, float]] = []
        arrays: dict[str, list[np.ndarray]] = {}
        times = [one["t"] for one in self.result.content["profile"]][::every]
        for row in range(draws):
            for t in times:
                if self.late():
                    return
                numbers, values = spectrum(self.scene, t, row)
                records.append(numbers | {"row": row})
                for name, one in values.items():
                    arrays.setdefault(name, []).append(one)
            self.result.add("spectra", records)
            self._save("spectra", {name: np.stack(rows) for name, rows in arrays.items()})
            say(f"spectra, draw {row + 1}")

    def cells(self, known: Known, planned: list[tuple[str, str, int]]) -> None:
        """Samples of every way, kind of grid and N, as far as the time reaches."""
        self.result.add("floor", self.judged(self.scene.x_0[: self.samples])[0])
        cells: list[dict[str, Any]] = []
        influences: dict[str, np.ndarray] = {}
        spent = 0.0  # seconds a pass
        for name, kind, steps in planned:
            passes = steps * PASSES.get(name, 1) + 1
            if self.late(1.1 * spent * passes):
                say(f"{name}, {kind}, {steps}: no time")
                continue
            since = time.perf_counter()
            try:
                images, work = self.drawn(name, kind, steps, known)
                numbers, influence = self.judged(images)
            except (InputError, RuntimeError) as error:  # one cell must not take the others with it
                self.result.add(
                    "failed", [*self.result.content.get("failed", []), [name, kind, steps, str(error)[:200]]]
                )
                say(name, kind, steps, "failed:", error)
                continue
            seconds = time.perf_counter() - since
            spent = max(0.7 * spent, seconds / passes)
            cell = {"way": name, "grid": kind, "steps": steps, "passes": passes, "seconds": round(seconds, 2)}
            cells.append(cell | work | numbers)
            influences[f"{name}, {kind}, {steps}"] = influence
            self.result.add("cells", cells)
            self._save("influence", influences)
            say(
                f"{name}, {kind}, {steps}: Frechet {numbers['frechet']:.2f} ± {numbers['frechet error']:.2f}, {seconds:.1f} s"
            )

    @torch.no_grad()
    def drawn(self, name: str, kind: str, steps: int, known: Known) -> tuple[Tensor, dict[str, float]]:
        """Images of a way, (n, channels, side, side) float32: the chain to the last level, then `x̂`; and its work a sample."""
        times = times_of(kind, name, self.schedule, steps, known)
        widening = widening_of(name, self.schedule, known, self.basis)
        first, last = float(times[0]), float(times[-1])
        generator = torch.Generator(self.device).manual_seed(self.seed + 1)
        x_1 = torch.randn((self.samples, *self.data.size), generator=generator, device=self.device, dtype=torch.float64)
        directions = self.basis.reshape(-1, *self.data.size)
        spread = Components(directions, self.variances.sqrt())
        alpha, sigma = float(self.schedule.alpha(first)), float(self.schedule.sigma(first))
        x = matched_start(x_1, self.moments.mean.double(), spread, alpha, sigma)
        x = Matched(self.schedule, widening).sample(self.denoiser, x, times, generator)
        images = self.denoiser(x, last).float()
        if not bool(torch.isfinite(images).all()):
            raise InputError("pictures: hold NaN or infinity")
        work = widening.work
        return images, {
            "evaluations": work.evaluations / self.samples + 1,
            "products": work.products / self.samples,
            "not positive": work.negative / max(1, work.draws),
        }

    def judged(self, images: Tensor) -> tuple[dict[str, float], np.ndarray]:
        """Fréchet distance with its standard error, spreads as ratios to the data's; and the influence of every image."""
        shown = images.clamp(-1, 1)
        coordinates = self._coordinates(shown.double())
        distance = self.law.distance(coordinates)
        levels = brightness_of(shown.cpu())
        error = float(distance.influence.std() / len(images) ** 0.5)
        return {
            "frechet": distance.value,
            "frechet error": error,
            "brightness": float(levels.mean() - self.data.brightness.mean()),
            "spread": float(levels.std(correction=0)) / self.deviation,
            "variance": float(coordinates.var(dim=0).sum()) / self.law.trace,
            "high frequencies": float(high_frequencies(shown).mean()) / self.high,
        }, distance.influence.cpu().numpy().astype(np.float32)

    def _save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # pyright: ignore[reportArgumentType]
        path = self.result.path
        write_bytes(path.with_name(f"{path.stem}-{name}.npz"), packed.getvalue())


def all_parts(arguments: argparse.Namespace, since: float) -> None:
    """All parts, in their order; cells as far as the minutes after `since` reach."""
    allow_tf32(False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = Result(
        arguments.out / "matched.json", origin("docs.experiments.matched.measure", arguments.device, arguments.seed)
    )
    deadline = since + 60 * arguments.minutes
    data = read(arguments.data)
    network = demonstrator(arguments.device)
    run = Run(network, data, arguments.device, result, deadline, (arguments.draws, arguments.samples), arguments.seed)
    result.add("amounts", {"pictures": len(data), "draws": arguments.draws, "samples": arguments.samples})
    result.add("speed", run.speed())
    known = run.profile(arguments.levels)
    run.spectra(known, SPECTRA, arguments.spectra)
    # of sampling, three digits of the network are enough: C enters by gC, beside the identity
    allow_tf32(True)
    result.add("speed of sampling", run.speed())
    drawn = read_json(arguments.after, "result")["cells"] if arguments.after else []
    earlier = {(cell["way"], cell["grid"], cell["steps"]) for cell in drawn}
    run.cells(known, [cell for cell in plan(tuple(arguments.works), arguments.most) if cell not in earlier])
    result.add("seconds", round(time.perf_counter() - since, 1))


def main() -> None:
    """With its arguments."""
    parser = command(__doc__)
    add_data(parser)
    add_out(parser)
    parser.add_argument("--minutes", type=float, default=7.2)
    add_device(parser)
    parser.add_argument("--draws", type=int, default=2048, help="a level of the profile")
    parser.add_argument("--samples", type=int, default=2048, help="a cell")
    parser.add_argument("--levels", type=int, default=LEVELS)
    parser.add_argument("--spectra", type=int, default=3, help="whole Jacobians a level; 0 for none")
    parser.add_argument("--works", type=int, nargs="+", default=WORKS, help="passes at which ways are compared")
    parser.add_argument("--most", type=int, default=200, help="steps of the longest chains")
    add_seed(parser)
    parser.add_argument("--after", type=Path, help="an earlier result of this seed; its cells are not drawn again")
    arguments, since = parser.parse_args(), time.perf_counter()
    quiet()
    with one_line_errors(parser):
        arguments.device = chosen_device(arguments.device)
        all_parts(arguments, since)


if __name__ == "__main__":
    main()
