"""What the page says of latents follows what is planted in its results."""

import dataclasses

import pytest
import torch

from docs.experiments.flow.latent.judge import RECONSTRUCTED
from docs.experiments.flow.latent.space import Space
from docs.experiments.flow.page import latent as page
from docs.experiments.flow.page import ranks, resolution
from docs.experiments.flow.page.results import MAIN, NETWORK, Results, plain_of
from docs.experiments.flow.page.verdicts import agreement, best_again_text, differences

METRICS = (*MAIN, RECONSTRUCTED)
PROMPTS = {"solid black background": "fixed", "cat": "open"}


@pytest.fixture(scope="module")
def small():
    return Results.read()


def cell(way, guidance, budget, value):
    """All distances alike."""
    prompts = {
        "solid black background": {"bias": 1.5, "ratio": None},
        "cat": {"bias": -3.0, "ratio": round(value / 100, 2)},
    }
    return {"way": way, "guidance": guidance, "budget": budget, "prompts": prompts} | dict.fromkeys(METRICS, value)


def planted(gains, mine=page.OURS, rival="UniPC"):
    """Cells at guidance 1 by number of evaluations: distances without and with what is ours; standard errors of 1."""
    cells, pairs = {}, {}
    for budget, (before, after) in gains.items():
        for way, value in ((rival, before), (mine, after)):
            cells[way, 1.0, budget] = cell(way, 1.0, budget, value)
        errors = {metric: [[1.0]] for metric in METRICS}
        pairs[1.0, budget] = {"guidance": 1.0, "budget": budget, "ours": [mine], "rivals": [rival], "errors": errors}
    origin = {"command": "python -m docs.experiments.flow.latent.measure --out DIR", "seed": 0, "device": "a card", "versions": {"torch": "2"}}  # fmt: skip
    floor = {name: dict.fromkeys(METRICS, value) for name, value in (("pictures", 1.25), ("reconstructions", 4.75))}
    floor["prompts"] = {prompt: {"bias": 0.5, "ratio": 0.98 if kind == "open" else None} for prompt, kind in PROMPTS.items()}  # fmt: skip
    row = {"steps": 4, "shift": 3.0, "network": [0.5, 0.6], "law": [0.4, 0.5], "brightness": 0.55, "brightness by the law": 0.45}  # fmt: skip
    prediction = {"eigenvalues": [900.0, 100.0], "network": [row], "exact": [{"steps": 4, "shift": 3.0, "exact": [0.4], "brightness": 0.42}]}  # fmt: skip
    content = origin | {"kinds": PROMPTS, "floor": floor, "prediction": prediction}
    content |= {"amounts": {"no prompt": 8, "captions": 16}}
    return Results(content, cells, pairs, 2.0)


def made(lam=(900.0, 100.0), share=(0.9, 0.05)):
    trained = {"steps": 10, "batch": 4, "seconds": 3.0}
    return {
        "command": "python -m docs.experiments.flow.latent.train --out DIR",
        "seed": 0,
        "device": "a card",
        "versions": {"torch": "2"},
        "autoencoder": trained | {"parameters": 3.2e6, "scaling factor": 0.9},
        "reconstructions": {
            "PSNR": 30.0,
            "PSNR of the worst hundredth": 22.0,
            "brightness error": 0.4,
            "brightness ratio": 1.0,
            "black error": 0.1,
            "white error": -0.2,
        },
        "flow": trained,
        "epsilon": trained,
        "eigenvalues": list(lam),
        "brightness shares": list(share),
        "expected": [{"steps": 4, "shift": 3.0, "kept": [0.4], "brightness": 0.5}],
    }


def test_by_the_law_of_one_component_the_border_is_that_of_the_other_page(small):
    """Brightness along one component four times as wide as at 32×32 is F6 at twice the side."""
    four = made([4 * small.content["prediction"]["eigenvalues"][0]], [1.0])
    for steps in (4, 8, 10):
        assert page.predicted_border(four, small, steps) == resolution.predicted_border(small, steps)
    same = made([small.content["prediction"]["eigenvalues"][0]], [1.0])
    assert page.predicted_border(same, small, 8) == 8


def test_brightness_that_is_spread_over_components_is_kept_better():
    wide, shared = (page.law_brightness(made(share=share), 6, 3.0) for share in ((1.0, 0.0), (0.5, 0.5)))
    assert 0 < wide < shared < 1


def test_the_border_is_judged_on_what_was_drawn():
    def verdict(said: int, now: int) -> str:
        return page.verdict(page.Border(3, said, now, [4, 6, 10, 20]))

    assert verdict(12, 10) == "as predicted"
    assert verdict(12, 6) == "earlier than predicted"
    assert verdict(12, 20) == "later than predicted"
    assert verdict(30, 20) == verdict(20, 20) == "beyond what was drawn, which agrees with that but is no test of it"
    assert verdict(30, 10) == "earlier than predicted"
    assert verdict(3, 0) == "as predicted"


def test_where_the_gain_ends_is_read_from_the_cells(small):
    results = planted({4: (90.0, 40.0), 6: (60.0, 30.0), 10: (20.0, 19.0), 20: (9.0, 4.0)})
    _, _, now, drawn = page.border_of(results, small, made())
    assert (now, drawn) == (6, [4, 6, 10, 20])
    assert "up to 6;" in page.border_text(results, small, made())
    assert "90 without and 40 with it at 4" in page.first_sentence(results, small, made())


def test_the_target_is_decided_only_where_the_gain_ends(small):
    predicted = page.border_of(planted({4: (90.0, 40.0)}), small, made()).said
    drawn = sorted({4, predicted, predicted + 4})
    gains = {n: (90.0, 40.0) if n <= predicted else (20.0, 19.9) for n in drawn}
    assert page.target(planted(gains), small, made()).met is True
    assert page.target(planted(dict.fromkeys(drawn, (90.0, 40.0))), small, made()).met is False
    assert page.target(planted({4: (90.0, 40.0)}), small, made()).met is None
    assert f"predicted {predicted}," in page.target(planted(gains), small, made()).outcome
    again = page.target(planted(gains), small, made(), planted(dict.fromkeys(drawn, (20.0, 19.9))))
    assert again.met is False and "with another seed of samples up to 0, of 4" in again.outcome
    assert page.target(planted(gains), small, made(), planted(gains)).met is True


def test_changes_are_counted_beyond_the_interval():
    results = planted({4: (90.0, 40.0), 6: (60.0, 61.0), 10: (20.0, 29.0)})
    content = page.changes_text(results, (page.OURS,))
    assert "better in 2, undecided in 2, worse in 2 of 6" in content and "| 60.0 → 61.0 ±2.0 | undecided |" in content


def test_the_section_tells_the_floor_and_f6(small):
    results = planted({4: (90.0, 40.0)})
    content = page.section(results, small, made())
    assert (
        f"| {MAIN[0]} | 1.25 | 4.75 |" in content
        and "30.0 dB" in content
        and "d = 4,096" in content
        and "their first 64 principal" in content
    )
    assert "| 3, 4 | 0.500 | 0.420 | 0.550 | 0.400 | 0.500 |" in content and "within 15% in 1 of 1" in content
    assert "| 4 | 1.10 to 1.10 | 0.84 to 0.84 |" in content
    assert "| the autoencoder's own | 0.98 to 0.98 | 0.5 |" in content
    assert f"| 4, UniPC | {' | '.join(['90.0'] * 3)} | 0.90 | +1.5 |" in content


def test_a_second_run_is_told_where_there_is_one(small, tmp_path):
    results = planted({4: (90.0, 40.0)})
    assert page.again_text(results, None, small, made()) == "" and page.read_second(tmp_path) is None
    turned = dataclasses.replace(planted({4: (40.0, 90.0)}), content=results.content | {"seed": 7})
    content = page.again_text(results, turned, small, made())
    assert (
        "another seed of samples (7)" in content and "0 are so in both" in content and "up to 0 evaluations" in content
    )
    assert content in page.section(results, small, made(), turned)


def of_ranks():
    """UniPC and Euler matched along 1, 16 and 64 directions, and around two means, at 4 evaluations and guidance 1."""
    ways = [ranks.way_of(solver, rank) for rank in ranks.RANKS for solver in ranks.SOLVERS]
    ways.append(next(iter(ranks.UNGUIDED)))
    rivals = ["UniPC", "Euler, shift 3"]
    values = {way: 80.0 - 10 * (k // 3) for k, way in enumerate(ways)} | {"UniPC": 90.0, "Euler, shift 3": 95.0}
    results = planted({4: (90.0, 40.0)})
    cells = {(way, 1.0, 4): cell(way, 1.0, 4, value) for way, value in values.items()}
    errors = {metric: [[1.0] * len(rivals)] * len(ways) for metric in METRICS}
    return dataclasses.replace(results, cells=cells, pairs={(1.0, 4): {"guidance": 1.0, "budget": 4, "ours": ways, "rivals": rivals, "errors": errors}})  # fmt: skip


def test_ranks_are_told_where_all_were_drawn():
    results = of_ranks()
    content = ranks.ranks_text(results)
    assert "UniPC alone is at 90 in 64 components" in content and "80 (better), 70 (better) and 60 (better)" in content
    assert "gains 33% of what 64 gain, 16 gain 67%" in content
    assert f"| 1, 4, {ranks.SOLVERS[1]} | 80.0; 0.80 to 0.80 | 70.0; 0.70 to 0.70 | 60.0; 0.60 to 0.60 |" in content
    assert "80 (undecided)" in ranks.ranks_text(dataclasses.replace(results, z=15.0))
    assert ranks.ranks_text(planted({4: (90.0, 40.0)})) == ranks.unguided_text(planted({4: (90.0, 40.0)})) == ""


def test_the_mean_without_guidance_is_told_beside_the_guided_one():
    content = ranks.unguided_text(of_ranks())
    assert "| 1, 4, UniPC | 90.0 → 60.0 ±2.0, better | 90.0 → 50.0 ±2.0, better |" in content


def test_every_change_is_told_and_those_compared_are_counted():
    content = page.changes_text(of_ranks(), (page.OURS,))
    assert content.count("\n- ") == 0 and content.startswith(f"- Guidance 1, {page.OURS} beside UniPC: better in 2,")
    assert content.count("| better |") == 10 * len(METRICS)


def test_the_twin_is_told_beside_noise():
    results = planted({5: (90.0, 40.0)}, page.TWIN[0], "DDIM from noise")
    content = page.twin_section(results, made())
    assert "5 steps: DDIM from noise 90.0, matched 40.0 ± 2.0 in 64 components, **better**" in content
    wide = dataclasses.replace(results, z=60.0)
    assert "**undecided**" in page.twin_section(wide, made())


def test_the_twins_brightness_is_told_where_all_starts_were_drawn():
    results = planted({5: (90.0, 40.0)}, page.TWIN[0], page.NOISE)
    assert page.twin_brightness(results) == ""
    cells = results.cells | {(page.MEAN, 1.0, 5): cell(page.MEAN, 1.0, 5, 60.0)}
    cells[page.NOISE, 1.0, 5]["prompts"]["solid black background"]["bias"] = -70.0
    content = page.twin_brightness(dataclasses.replace(results, cells=cells))
    assert (
        f"| 5, {page.NOISE} | 0.90 to 0.90 | -70.0 |" in content
        and "is -70 levels off from noise, +1.5 from the mean and +1.5" in content
    )


def test_the_plain_way_of_each_is_the_same_solver_without_it():
    assert plain_of(page.OURS) == "UniPC" and plain_of(page.CORRECTED) == "Euler, shift 3"
    assert [plain_of(way) for way in page.TWIN] == ["DDIM from the mean"] * 2 + ["DPM++ 2M from the mean", "UniPC from the mean"]  # fmt: skip


# --- the committed results --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return page.read(), page.trained()


def test_what_was_said_before_is_the_law_of_the_eigenvalues(committed, small):
    """The training wrote it down; the measurement's own copy, and the products made anew, are the same."""
    results, trained = committed
    assert page.said(trained) == pytest.approx(page.said(results.content), rel=1e-3)
    for (steps, shift), kept in page.said(trained).items():
        # shares are kept to five decimals, and those of the fine components are smaller
        assert page.law_brightness(trained, steps, shift) == pytest.approx(kept, rel=1e-2)
    assert page.predicted_border(trained, small, 6) == 7


def test_the_committed_cells_say_that_the_first_step_keeps_the_spread(committed):
    results, _ = committed
    for budget in (4, 6):
        for guidance in (1.0, 3.0):
            plain = results.of_prompts("Euler, shift 3", guidance, budget, "open", "ratio")
            mine = results.of_prompts(page.OURS, guidance, budget, "open", "ratio")
            assert all(0.85 < b < 1.2 and a < b for a, b in zip(plain, mine, strict=True))


def test_another_seed_of_samples_gives_the_same_verdicts(committed, small):
    """Of the best of ours beside the best rival, of the border, and of every difference that both decide."""
    results, record = committed
    second = page.read_second()
    assert second is not None and second.content["seed"] != results.content["seed"]
    assert set(second.cells) <= set(results.cells)
    assert best_again_text(results, second).endswith("has the same verdict in 12 of 12.")
    either, both, opposite = agreement(*(differences(run, page.metrics_of(run)) for run in (results, second)))
    assert opposite == 0 and both > 0.9 * either
    target = page.target(results, small, record, second)
    assert target.met == all(page.border_of(run, small, record).agrees for run in (results, second))
    one, other = (run.value(page.OURS, 1.0, 4, MAIN[0]) for run in (results, second))
    assert one != other  # drawn anew, not copied


def test_the_committed_mean_without_guidance_is_nearer_than_the_guided_one(committed):
    results, _ = committed
    for unguided, guided in ranks.UNGUIDED.items():
        assert results.value(unguided, 3.0, 4, MAIN[0]) < results.value(guided, 3.0, 4, MAIN[0])


def test_the_committed_autoencoder_keeps_black_white_and_lines():
    images = torch.zeros(3, 3, 128, 128, dtype=torch.uint8)
    images[1] = 255
    images[2, :, 60:64] = 255
    space = Space.load(page.VAE, "cpu")
    latents = space.encode(images)
    assert latents.shape == (3, 4, 32, 32) and page._dimension() == latents[0].numel()
    levels = (space.decode(latents).clamp(-1, 1) + 1) * 127.5
    assert float(levels[0].mean()) < 0.5 and float(levels[1].mean()) > 254.5
    assert float((levels[2] - images[2]).abs().mean()) < 2


def test_the_guide_has_what_latents_say(committed, small):
    results, record = committed
    _, predicted, now, _ = page.border_of(results, small, record)
    content = " ".join(
        (page.FOLDER.parents[2] / "guides" / "mend-my-flow-model.md").read_text(encoding="utf-8").split()
    )
    assert f"ends after {now} steps; {predicted} were predicted" in content
    mended = ("UniPC matched, unguided mean", NETWORK), next(iter(ranks.UNGUIDED.items()))
    own, far = (
        [run.value(way, 3.0, 4, MAIN[0]) for way in (*ways, "UniPC")]
        for run, ways in zip((small, results), mended, strict=True)
    )
    assert (
        f"{own[0]:.1f} beside {own[1]:.1f} in 64 principal components on the package's own flow (without the step {own[2]:.1f}), and {far[0]:.0f} beside {far[1]:.0f} in latents of 128×128 ({far[2]:.0f})"
        in content
    )
    twin, black = page.read(page.LATENT / "epsilon"), "solid black background"
    wide, mean = (twin.cells[way, 1.0, 10]["prompts"][black]["bias"] for way in (page.TWIN[0], page.MEAN))
    assert (
        f"“{black}” {wide:.1f} levels too bright in 10 steps, and from the average image alone {mean:.1f}." in content
    )
