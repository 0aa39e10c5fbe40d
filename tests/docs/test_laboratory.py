"""The laboratory: its noise is torch's, its plans are the schedulers', its predictions the law's, and its pictures those of `singdiffusion sample`.

What draws in a browser is slow: the networks are exported first, and onnxruntime-web comes from npm, or from `docs/_build/npm`.
"""

import numpy as np
import pytest
import torch

from docs.laboratory.build import FILE, build
from docs.laboratory.choices import DIM, GUIDANCE, MODELS, SAMPLERS, STEPS, numbers, plan, prompts, scheduler_of
from docs.laboratory.contents import parts
from docs.laboratory.law import predicted
from docs.laboratory.page import FOLDER
from docs.vendored import NpmError, write_parts
from singdiffusion.base import matches_flow, scheduler_class
from singdiffusion.evaluation import load_pipeline, load_start, sample
from singdiffusion.response import kept, mended_kept, respond
from singdiffusion.start import first_step, initial_latents
from singtheory import Discrete
from singtheory.grid import leading
from singtheory.response import spread_kept
from tests.docs.browser import DESK, PHONE, Tab, colours_of, contrast, needs_browser
from tests.docs.conftest import SITE

LEVELS = 2
"""How far a pixel may be from the command's, of 255."""
SEEDS = (0, 1, 7, 2**31, 2**32 - 1)
OWN = [(model, name) for model, (_, names) in MODELS.items() for name in names]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with its parts."""
    pytest.importorskip("onnx", reason="no onnx; it is in the extra [docs]")
    folder = tmp_path_factory.mktemp("laboratory")
    try:
        write_parts(folder / "parts", parts())
    except NpmError as error:
        pytest.skip(str(error))
    return build(folder)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The page alone, as where there was no npm."""
    return build(tmp_path_factory.mktemp("bare"))


class Laboratory(Tab):
    """The page in a tab."""

    def choose(self, label, words):
        self.tab.get_by_label(label, exact=True).select_option(label=words)

    def draw(self):
        """Press the button, and wait for the last picture."""
        self.tab.get_by_role("button", name="Draw").click()
        self.tab.wait_for_selector("#laboratory button:not([disabled])", timeout=600_000)
        return self.tab.inner_text(".told")

    def pictures(self, start):
        """By seed, shape (32, 32, 3)."""
        actual = self.tab.eval_on_selector_all(
            f'figure[data-start="{start}"] canvas',
            "all => all.map(one => [Number(one.dataset.seed), [...one.getContext('2d').getImageData(0, 0, 32, 32).data]])",
        )
        return {seed: np.array(data, dtype=int).reshape(32, 32, 4)[..., :3] for seed, data in actual}


@needs_browser
def test_the_noise_is_that_of_torch(browser):
    tab = browser.new_page()
    tab.add_script_tag(content=(FOLDER / "noise.js").read_text("utf-8") + "globalThis.TorchNoise = TorchNoise;")
    for seed in SEEDS:
        drawn = tab.evaluate(
            "seed => { const made = new TorchNoise(seed); return [0, 0].map(() => [...made.normal(3072)]); }", seed
        )
        generator = torch.Generator().manual_seed(seed)
        for one in drawn:
            expected = torch.randn(1, 3, 32, 32, generator=generator).flatten()
            assert np.abs(np.array(one) - expected.numpy()).max() < 3e-6
    tab.close()


@pytest.mark.parametrize(("model", "name"), OWN)
def test_a_plan_is_the_scheduler(model, name):
    """A network that is not linear, stepped by the scheduler itself and by the factors; the noise of its steps comes from the same generator."""
    steps, shape = 4, (1, 3, 4, 4)
    generator = torch.Generator().manual_seed(3)
    noise, mean = torch.randn(shape, generator=generator), torch.full(shape, 0.25)
    for start in ("noise", "mean"):
        scheduler = scheduler_class(name).from_config(scheduler_of(model).config)
        scheduler.set_timesteps(steps)
        stepping = torch.Generator().manual_seed(5)
        arguments = {"generator": stepping} if "Ancestral" in name else {}
        x = noise * scheduler.init_noise_sigma
        if start == "mean" and not matches_flow(scheduler):
            x = initial_latents(mean, noise, scheduler) * scheduler.init_noise_sigma
        for k, t in enumerate(scheduler.timesteps):
            output = network(scheduler.scale_model_input(x, t), float(t))
            if start == "mean" and matches_flow(scheduler) and k == 0:
                x = first_step(x, output, scheduler, mean=mean)
            else:
                x = scheduler.step(output, t, x, **arguments).prev_sample
        assert ended(plan(model, name, steps, start), mean, noise, 5) == pytest.approx(x.numpy(), abs=2e-4)


def network(x, t):
    return torch.tanh(x + t / 1000) - 0.3 * x


def ended(one, mean, noise, seed):
    """The end of a plan, in double precision."""
    drawn = torch.Generator().manual_seed(seed)
    draws = len(one.rows[0]) - 1 - len(one.timesteps)
    noises = [torch.randn(noise.shape, generator=drawn).double() for _ in range(draws)]
    x = one.mean * mean.double() + one.noise * noise.double()
    vectors = [x, *[torch.zeros_like(x)] * len(one.timesteps), *noises]
    for k, (t, scale, row) in enumerate(zip(one.timesteps, one.scales, one.rows, strict=True)):
        vectors[1 + k] = network(scale * x, t)
        x = sum(factor * vector for factor, vector in zip(row, vectors, strict=True))
    return x.numpy()


@pytest.mark.parametrize(("model", "name"), OWN)
def test_the_prediction_is_what_the_scheduler_keeps(model, name):
    steps, std = 10, 60.0
    lam = torch.tensor([DIM * (std / 127.5) ** 2], dtype=torch.float64)
    scheduler = scheduler_class(name).from_config(scheduler_of(model).config)
    plain = float(respond(scheduler, lam, steps).kept)
    if matches_flow(scheduler):
        scheduler.set_timesteps(steps)
        mended = float(kept(scheduler, lam, matched=True).end)
    else:
        mended = float(mended_kept(scheduler, lam, steps, torch.tensor([True])))
    for start, share in (("noise", plain), ("matched", mended)):
        law = predicted(plan(model, name, steps, start), start, 130.0, std, DIM)
        assert law.std / std == pytest.approx(share, abs=2e-4)
        assert law.mean == pytest.approx(130.0, abs=0.05 if start == "matched" else 4)


def test_the_prediction_of_ddim_is_the_cosine_law():
    schedule = Discrete.from_config(scheduler_of("diffusion").config)
    times = [*leading(schedule, 25).tolist()]
    for start in ("noise", "mean", "matched"):
        for std in (10.0, 60.0):
            lam = DIM * (std / 127.5) ** 2
            law = predicted(plan("diffusion", "DDIMScheduler", 25, start), start, 100.0, std, DIM)
            assert law.std / std == pytest.approx(float(spread_kept(schedule, times, [lam], start=start)), abs=2e-4)


def test_each_choice_has_a_prediction():
    shown = numbers()
    assert [one["name"] for one in shown["prompts"]] == list(prompts())
    for model in shown["models"].values():
        assert (STEPS[model["steps"]], GUIDANCE[model["guidance"]]) in {(25, 1.5), (4, 1.5)}
        for law in np.array(model["law"]).reshape(-1, 2):
            assert 0 <= law[0] <= 255 and 0 <= law[1] < 128


@needs_browser
def test_without_its_parts_it_says_why(browser, bare):
    with Laboratory(browser, bare) as page:
        assert "made without npm" in page.draw()
        assert page.tab.get_by_role("button", name="Draw").is_enabled()
        assert all(address.startswith("file:") for address in page.asked)


@needs_browser
def test_a_seed_that_is_none_is_refused(browser, bare):
    with Laboratory(browser, bare) as page:
        for wrong in ("", "-1", "1.5", "4294967296"):
            page.tab.get_by_label("Seed of the first").fill(wrong)
            assert "The seed is a whole number" in page.draw()
        assert page.asked == [bare.as_uri()]


@needs_browser
def test_every_control_has_a_name_and_is_reached_by_keys(browser, bare):
    with Laboratory(browser, bare) as page:
        controls = page.tab.locator("#laboratory :is(select, input, button)").all()
        for control in controls:
            name = control.evaluate("one => (one.labels?.[0] ?? one).textContent.trim()")
            assert len(name) > 3
        page.tab.locator("body").click(position={"x": 1, "y": 1})
        for control in controls:
            page.tab.keyboard.press("Tab")
            assert control.evaluate("one => one === document.activeElement")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone(browser, bare, scheme):
    with Laboratory(browser, bare, PHONE, scheme) as page:
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for selector in ("label", "legend", "select", "input[type=number]", "button", "p", "li", "svg text"):
            for ink, paper in colours_of(page.tab, f"#laboratory {selector}"):
                assert contrast(ink, paper) >= 4.5, selector


CASES = [
    ("diffusion", "logo", "DDIM", 10, 1.5),
    ("diffusion", "solid black background", "UniPC", 4, 7.5),
    ("diffusion", "cat", "Euler ancestral", 4, 1.0),
    ("diffusion", "house", "DPM-Solver++", 10, 3.0),
    ("diffusion", "red apple", "Euler", 4, 1.5),
    ("flow", "red apple", "UniPC", 4, 1.5),
    ("flow", "cat", "DPM-Solver++", 10, 1.0),
    ("diffusion", "logo", "DDIM", 50, 7.5),
    ("flow", "logo", "UniPC", 25, 1.5),
]


@pytest.mark.slow
@needs_browser
def test_its_pictures_are_those_of_the_command(browser, site):
    """Two seeds and the three starts of each case."""
    with Laboratory(browser, site) as page:
        page.tab.get_by_label("the mean").check()
        for model, prompt, sampler, steps, guidance in CASES:
            page.tab.get_by_label("Model").select_option(index=list(MODELS).index(model))
            page.choose("Prompt", prompt)
            page.choose("Sampler", sampler)
            page.choose("Steps", str(steps))
            page.choose("Guidance", f"{guidance:g}")
            page.choose("Pictures a start", "2")
            page.tab.get_by_label("Seed of the first").fill("11")
            assert "Brightness: " in page.draw()
            name = next(name for name, said in SAMPLERS.items() if said == sampler)
            for start, expected in commanded(model, name, prompt, steps, guidance, 11).items():
                actual = page.pictures(start)
                assert set(actual) == set(expected) == {11, 12}
                off = max(int(np.abs(actual[seed] - expected[seed]).max()) for seed in expected)
                print(f"\n{model}, {sampler}, {steps} steps, guidance {guidance}, from {start}: {off} levels off")
                assert off <= LEVELS
        assert page.complaints == []
        assert all(address.startswith(("file:", "blob:")) for address in page.asked)
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= DESK["width"]


def commanded(model, name, prompt, steps, guidance, seed):
    """What the command draws, by start and by seed."""
    own, results = MODELS[model][0], {}
    pipe = load_pipeline(str(own.PIPELINE), name, "cpu", torch.float32)
    for start in ("mean", "matched"):
        sing, _ = load_start(str(own.AVERAGE), start, torch.float32)
        drawn = list(sample(pipe, sing, [prompt], 2, steps, guidance, seed))
        results[start] = {one.seed: np.asarray(one.image, dtype=int) for one in drawn}
        results["noise"] = {one.seed: np.asarray(one.plain, dtype=int) for one in drawn}
    return results


@pytest.mark.slow
def test_what_a_first_picture_loads_is_at_most_25_megabytes(site):
    sizes = {path.stem: path.stat().st_size for path in (site.parent / "parts").glob("*.js")}
    for model in MODELS:
        others = {name for other in MODELS if other != model for name in (other, f"{other}-numbers")}
        assert sum(size for name, size in sizes.items() if name not in others) + site.stat().st_size <= 25e6


@pytest.mark.slow
@needs_browser
def test_it_draws_in_the_built_site(browser):
    file = SITE / "interactive" / FILE
    if not (SITE / "_parts" / "diffusion.js").exists():
        pytest.skip("no site with its parts; build it where npm can be reached with: make docs")
    with Laboratory(browser, file, PHONE) as page:
        page.choose("Steps", "4")
        assert "The first picture took" in page.draw()
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.complaints == [] and all(address.startswith(("file:", "blob:")) for address in page.asked)
