"""The interactive figures in a real browser, from their files: no errors, no network, sliders that work, readable everywhere.

`python -m tests.docs.test_interactive` draws the thumbnails of their first state anew; look at them before you commit them.
"""

import base64
import io
import os
import pickle
import re
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from docs.interactive import kernel, steps
from docs.interactive.build import NUMBERS, build
from docs.interactive.figure import Figure, packed
from docs.interactive.laws import offered
from singtheory import Cosine, RectifiedFlow, ReverseKernel
from singtheory.response import spread_kept
from tests.docs.browser import DESK, PHONE, Tab, chromium, contrast, needs_browser
from tests.docs.conftest import DOCS, SITE
from tests.docs.test_figures import THUMBNAILS, TOLERANCE, difference

SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the pages, and their numbers by name: a minute of work, done by the first of pytest's processes that needs it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "figures"
    numbers = folder / "numbers.pickle"
    with FileLock(folder.with_suffix(".lock")):
        if not numbers.is_file():
            numbers.write_bytes(pickle.dumps({figure.name: figure.numbers for figure in build(folder)}))
    return folder, pickle.loads(numbers.read_bytes())


@pytest.fixture
def folder(built):
    return built[0]


@pytest.fixture
def numbers(built):
    return built[1]


class Page(Tab):
    """A figure in a tab."""

    def __init__(self, browser, file, viewport=DESK, scheme="light"):
        super().__init__(browser, file, viewport, scheme)
        self.tab.wait_for_selector(".interactive svg :is(.line, circle)", state="attached")

    def picture(self):
        return self.tab.inner_html(".interactive svg")

    def words(self):
        return self.tab.inner_text(".told")

    def sliders(self):
        return self.tab.locator("input[type=range]").all()

    def texts(self):
        return self.tab.eval_on_selector_all(
            ".interactive text, .interactive label, .interactive p, .interactive li",
            """found => found.map(one => {
                const box = one.getBoundingClientRect(), style = getComputedStyle(one);
                const svg = one.closest("svg");
                const scale = svg ? svg.clientWidth / svg.viewBox.baseVal.width : 1;
                return {left: box.left, right: box.right, size: parseFloat(style.fontSize) * scale,
                        colour: svg ? style.fill : style.color};
            })""",
        )

    def thumbnail(self):
        """The chart at half its size, without its words: the fonts differ from machine to machine, and words are compared as words."""
        self.tab.add_style_tag(content="svg text { visibility: hidden; }")
        image = Image.open(io.BytesIO(self.tab.locator(".interactive svg").screenshot())).convert("RGB")
        return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)

    def background(self):
        pixels = np.asarray(Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB"))
        return pixels[-3, -3]


def test_contrast_knows_its_ends():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@needs_browser
@pytest.mark.parametrize("name", NUMBERS)
def test_it_loads_from_its_file_alone_without_a_complaint(browser, folder, name):
    with Page(browser, folder / f"{name}.html") as page:
        assert page.words()
        assert page.complaints == []
        assert page.asked == [(folder / f"{name}.html").as_uri()]


@needs_browser
@pytest.mark.parametrize("name", NUMBERS)
def test_every_slider_changes_the_picture(browser, folder, name):
    with Page(browser, folder / f"{name}.html") as page:
        for slider in page.sliders():
            before, label = page.picture(), slider.get_attribute("aria-valuetext")
            slider.press("ArrowRight" if slider.input_value() != slider.get_attribute("max") else "ArrowLeft")
            assert page.picture() != before and slider.get_attribute("aria-valuetext") != label
        assert page.complaints == []


@needs_browser
@pytest.mark.parametrize("name", NUMBERS)
def test_every_position_of_every_slider_draws_numbers(browser, folder, name):
    with Page(browser, folder / f"{name}.html") as page:
        for slider in page.sliders():
            for value in range(int(slider.get_attribute("max")) + 1):
                slider.fill(str(value))
                assert not re.search("NaN|undefined|Infinity", page.picture() + page.words())
        assert page.complaints == []


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NUMBERS)
def test_it_is_readable_on_a_phone(browser, folder, name, scheme):
    with Page(browser, folder / f"{name}.html", PHONE, scheme) as page:
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        background, texts = page.background(), page.texts()
        assert (background.mean() < 128) == (scheme == "dark")
        assert len(texts) > 8
        for text in texts:
            assert text["size"] >= 12 and text["left"] >= 0 and text["right"] <= PHONE["width"]
            colour = [int(part) for part in re.findall(r"\d+", text["colour"])[:3]]
            assert contrast(colour, background) >= 4.5


@needs_browser
@pytest.mark.parametrize(("scheme", "theme"), [("light", "dark"), ("dark", "light")])
def test_the_choice_of_the_site_goes_over_that_of_the_system(browser, folder, scheme, theme):
    with (
        Page(browser, folder / "kernel.html", scheme=scheme) as page,
        Page(browser, folder / "kernel.html", scheme=theme) as other,
    ):
        before = page.texts()[0]["colour"]
        page.tab.evaluate("theme => { document.body.dataset.theme = theme; }", theme)
        assert page.texts()[0]["colour"] == other.texts()[0]["colour"] != before


def thumbnails(browser, folder) -> Iterator[tuple[str, Image.Image]]:
    """What each figure shows first, by name."""
    for name in NUMBERS:
        for scheme in SCHEMES:
            with Page(browser, folder / f"{name}.html", scheme=scheme) as page:
                yield f"{name}-{scheme}.png", page.thumbnail()


@needs_browser
def test_figures_regenerate(browser, folder):
    results = dict(thumbnails(browser, folder))
    assert set(results) == {path.name for path in (THUMBNAILS / "interactive").glob("*.png")}
    for name, image in results.items():
        assert difference(image, Image.open(THUMBNAILS / "interactive" / name)) < TOLERANCE, name


def moved(name, numbers):
    """The numbers of a figure with one curve of its first state moved by a hundredth of the chart."""
    numbers = deepcopy(numbers)
    if name == "kernel":  # the plug-in Gaussian, down
        law, state = numbers["laws"][2], 6 * len(kernel.GAPS) + 7
        densities = unpacked(law["densities"]).reshape(-1, 3, kernel.NODES).copy()
        densities[state, 1] -= 0.0105
        law["densities"] = packed(torch.tensor(densities).clamp(min=0), 1.0)
    elif name == "ladder":  # B3, up; the axis has three decades
        curves = numbers["laws"][2]["curves"]
        curves["kl_trace_bound"] = [value * 10**0.03 for value in curves["kl_trace_bound"]]
    elif name == "steps":  # what the whole sampler keeps, down; the chart is 514 pixels high, its curve 230 for 1.1
        state = numbers["states"][2 * len(steps.SHIFTS) * len(steps.ETAS)]
        kept = unpacked(state["kept"]) * numbers["scale"]
        state["kept"] = packed(torch.tensor(kept - 0.025).clamp(min=0), numbers["scale"])
    else:  # the samples from noise, to the right
        cell = numbers["prompts"][4]["cells"][0]["noise"][0]
        cell["mean"] += 2.55
        cell["levels"] = packed(torch.tensor(unpacked(cell["levels"]) * 255 + 2.55), 255.0)
    return numbers


@needs_browser
@pytest.mark.parametrize("name", NUMBERS)
def test_a_moved_curve_is_seen(browser, numbers, tmp_path, name):
    Figure(name, moved(name, numbers[name])).page(tmp_path / "moved.html")
    for scheme in SCHEMES:
        with Page(browser, tmp_path / "moved.html", scheme=scheme) as page:
            assert (
                difference(page.thumbnail(), Image.open(THUMBNAILS / "interactive" / f"{name}-{scheme}.png"))
                > TOLERANCE
            )


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NUMBERS)
def test_it_works_in_the_built_site(browser, name, scheme):
    file = SITE / "interactive" / f"{name}.html"
    if not file.exists():
        pytest.skip("no site; build it with: make docs")
    with Page(browser, file, PHONE, scheme) as page:
        before = page.picture()
        page.sliders()[0].press("ArrowLeft")
        assert page.picture() != before
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.complaints == [] and all(address.startswith("file:") for address in page.asked)


@pytest.mark.slow
@needs_browser
def test_the_built_site_is_searched_and_copied_without_a_server(browser):
    if not SITE.exists():
        pytest.skip("no site; build it with: make docs")
    tab, complaints = browser.new_page(viewport={"width": 1280, "height": 900}), []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto((SITE / "index.html").as_uri())
    tab.fill("input[name=q] >> visible=true", "guidance")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results li >> text=9. Why is guidance normalised")  # they appear one by one
    assert "9. Why is guidance normalised" in tab.inner_text("#search-results")
    tab.goto((SITE / "guides" / "mend-my-checkpoint.html").as_uri())
    tab.wait_for_selector("button.copybtn", state="attached")
    blocks = len(re.findall("^```[a-z]", (DOCS / "guides" / "mend-my-checkpoint.md").read_text("utf-8"), re.MULTILINE))
    assert tab.locator("button.copybtn").count() == blocks > 3
    assert complaints == []
    tab.close()


@needs_browser
def test_it_is_drawn_again_when_the_page_gets_narrower(browser, folder):
    with Page(browser, folder / "kernel.html") as page:
        before = page.tab.locator("svg").get_attribute("viewBox")
        page.tab.set_viewport_size(PHONE)
        page.tab.wait_for_function(
            "before => document.querySelector('svg').getAttribute('viewBox') !== before", arg=before
        )
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@needs_browser
def test_the_words_of_a_step_are_those_of_singtheory(browser, folder):
    law, schedule = offered()[2], Cosine()
    t, gap = kernel.TIMES[6], kernel.GAPS[9]
    s = float(schedule.time_of_snr(schedule.snr(t) + gap))
    step = ReverseKernel(law.law, schedule, t, s).at([float(schedule.alpha(t)) * law.place])
    with Page(browser, folder / "kernel.html") as page:
        for slider, value in zip(page.sliders(), (2, 6, 9), strict=True):
            slider.fill(str(value))
        assert f"KL to the plug-in {float(step.kl()):.3g} nats" in page.words()
        assert f"B10 {float(step.bounds()['kl_family_bound']):.3g}" in page.words()


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), dtype="<u2") / 65535


def test_packed_numbers_come_back():
    values = torch.tensor([[0.0, 0.25], [1.0, 2.0]], dtype=torch.float64)
    assert unpacked(packed(values, 2.0)) * 2 == pytest.approx(values.flatten().numpy(), abs=2 / 65535)


def test_densities_are_those_of_the_kernel(numbers):
    shown = numbers["kernel"]
    law, state = offered()[0].law, 3 * len(kernel.GAPS) + 5
    seen = unpacked(shown["laws"][0]["densities"]).reshape(-1, 3, kernel.NODES)[state]
    entry, schedule = shown["laws"][0]["states"][state], Cosine()
    step = ReverseKernel(law, schedule, kernel.TIMES[3], entry["s"]).at([float(schedule.alpha(kernel.TIMES[3])) * 0.1])
    x = torch.linspace(entry["low"], entry["high"], kernel.NODES, dtype=torch.float64)
    exact, plug_in = step.log_prob(x[None, :, None])[0].exp(), step.plug_in()[0].log_prob(x[:, None]).exp()
    peak = max(float(exact.max()), float(plug_in.max()))
    assert seen[0] == pytest.approx((exact / peak).numpy(), abs=1e-4)
    assert seen[1] == pytest.approx((plug_in / peak).numpy(), abs=1e-4)


def test_the_page_says_of_small_times_what_the_figure_shows(numbers):
    """The exact density itself, on a grid of its own, decides how many humps there are."""
    page = " ".join((DOCS / "interactive" / "kernel.md").read_text("utf-8").split())
    count = len(kernel.GAPS)
    chosen, undecided = (numbers["kernel"]["laws"][k]["states"][:count] for k in (0, 2))
    (most,) = re.findall(r"two points of equal weight at t = 0.1 no gap here costs more than ([\d.]+) nats", page)
    assert float(f"{max(state['kl'] for state in chosen):.2g}") == float(most)
    assert {state["humps"] for state in chosen} == {1}
    ((seen, cost),) = re.findall(
        r"three points at t = 0.1 have (\d) humps at the largest gap, and the step costs ([\d.]+)", page
    )
    assert float(f"{undecided[-1]['kl']:.3g}") == float(cost)
    schedule, law = Cosine(), offered()[2]
    t = kernel.TIMES[0]
    s = float(schedule.time_of_snr(schedule.snr(t) + kernel.GAPS[-1]))
    step = ReverseKernel(law.law, schedule, t, s).at([float(schedule.alpha(t)) * law.place])
    x = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    density = step.log_prob(x[None, :, None])[0].exp()
    maxima = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:]) & (density[1:-1] > density.max() / 50)
    assert int(maxima.sum()) == int(seen) == undecided[-1]["humps"]


def test_humps_are_counted():
    x = torch.linspace(-4, 4, kernel.NODES, dtype=torch.float64)
    one, two = torch.exp(-(x**2)), torch.exp(-4 * (x - 2) ** 2) + 0.3 * torch.exp(-4 * (x + 2) ** 2)
    assert (kernel.humps(one), kernel.humps(two), kernel.humps(one + 0.01 * two)) == (1, 2, 1)


def test_upper_bounds_lie_above_the_truth_and_lower_ones_below(numbers):
    shown = numbers["ladder"]
    for law in shown["laws"]:
        for name, bound in shown["bounds"].items():
            for value, truth in zip(law["curves"][name], law["curves"][bound["quantity"]], strict=True):
                if value is None or bound["side"] == "leading":
                    continue
                assert value >= truth * (1 - 1e-6) if bound["side"] == "upper" else value <= truth * (1 + 1e-6), name


def test_starts_are_the_committed_samples(numbers):
    shown = numbers["starts"]
    assert [prompt["name"] for prompt in shown["prompts"]][4] == "logo"
    noise = shown["prompts"][4]["cells"][0]["noise"][0]
    levels = unpacked(noise["levels"]) * 255
    assert len(levels) == 256 and (np.diff(levels) >= 0).all()
    assert levels.mean() == pytest.approx(noise["mean"], abs=0.02)
    assert levels.std() == pytest.approx(noise["std"], abs=0.02)


def test_numbers_cannot_end_the_script():
    assert "</script><b>" not in Figure("kernel", {"name": "</script><b>"})._repr_html_()


def test_the_steps_of_the_figure_are_the_law(numbers):
    shown = numbers["steps"]
    for k, (count, shift, eta) in enumerate(product(steps.STEPS, steps.SHIFTS, steps.ETAS)):
        times = steps.shifted(count, shift)
        kept = spread_kept(RectifiedFlow(), times, steps.EIGENVALUES, eta=eta)
        assert unpacked(shown["states"][k]["kept"]) * shown["scale"] == pytest.approx(kept.numpy(), abs=2e-5)
        theta = unpacked(shown["grids"][k // len(steps.ETAS)]["theta"]).reshape(len(steps.EIGENVALUES), count + 1)
        assert theta[:, 0] == pytest.approx(0) and theta[:, -1] == pytest.approx(1)
        if eta == 0:
            cosines = np.cos(np.diff(theta) * np.pi / 2).prod(axis=1)
            assert cosines == pytest.approx(kept.numpy(), abs=5e-4)


def test_the_pictures_spread_as_the_page_says(numbers):
    """Below the curve at the brightness of the pictures for few steps, above it for many."""
    shown = numbers["steps"]
    drawn = {n: shown["states"][k * len(steps.SHIFTS) * len(steps.ETAS)]["drawn"] for k, n in enumerate(steps.STEPS)}
    law = {n: float(spread_kept(RectifiedFlow(), steps.shifted(n, 1.0), [shown["brightness"]])) for n in steps.STEPS}
    assert drawn[4] < law[4] and drawn[10] < law[10]
    assert drawn[50] > law[50]
    assert all(len(state["pictures"]) == steps.SHOWN for state in shown["states"])


if __name__ == "__main__":
    with chromium() as opened, tempfile.TemporaryDirectory() as built_in:
        build(Path(built_in))
        for file, image in thumbnails(opened, Path(built_in)):
            image.save(THUMBNAILS / "interactive" / file, optimize=True)
            print(file)
