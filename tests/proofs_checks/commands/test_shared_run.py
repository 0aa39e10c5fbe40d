"""Claims and parts of a report that two processes share come back in order, as one process finds them, and whatever becomes of the second one."""

import multiprocessing
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from proofs_checks.commands import second_process, shared_run
from proofs_checks.commands.unit import units_of
from proofs_checks.harness.harness import load_claims, run_claim, select, steps
from proofs_checks.harness.part import Part
from proofs_checks.harness.record import describe_claim

CHEAP = "A2,A5,C9,F7,F9"


@pytest.fixture
def two_processes(monkeypatch):
    """Also for few checks, and on one core."""
    monkeypatch.setattr(shared_run, "_LEAST_STEPS", 1)
    monkeypatch.setattr(shared_run, "_cores", lambda: 2)


def described(results):
    return [{**describe_claim(result), "seconds": None} for result in results]


def chosen():
    return select(load_claims().values(), CHEAP)


def drawn(context, step):
    step("picture")
    return float(torch.rand((), generator=context.within("a picture").generator()))


def failing(context, step):
    step("picture")
    raise RuntimeError("no such font")


class UnsendableError(Exception):
    """Pickled by its message, of which it is not made."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


def unsendable(context, step):
    step("picture")
    raise UnsendableError("font", "not found")


PARTS = [Part("drawn", drawn, steps=1, work=3), Part("failing", failing, steps=1, work=2)]


def test_two_processes_find_what_one_does(context, two_processes):
    names: list[str] = []
    claims = chosen()
    results, _ = shared_run.run_shared(claims, context, names.append)
    assert described(results) == described(run_claim(claim, context) for claim in claims)
    assert len(names) == sum(map(steps, claims))
    assert all(result.claim is claim for result, claim in zip(results, claims, strict=True))


def test_a_second_process_does_its_part(context, monkeypatch):
    """Where this one takes nothing, all groups come from the other."""
    monkeypatch.setattr(shared_run, "_run_waiting", lambda *_: None)
    claims, done = chosen(), {}
    with second_process.spawned() as connection:
        waiting = shared_run._Waiting(units_of(claims, PARTS))
        shared_run._Feeder(connection, context, waiting, done, lambda _: None).run()
    assert [done[claim.id].verdict for claim in claims] == ["proved"] * len(claims)
    assert done["drawn"] == drawn(context, lambda _: None)
    assert str(done["failing"]) == "no such font" and "in failing" in done["failing"].__notes__[0]


def test_an_exception_that_cannot_be_sent_is_told_in_words(context):
    """It ended the run, and all claims were lost."""
    done, parts = {}, [Part("unsendable", unsendable, steps=1, work=1), *PARTS]
    with second_process.spawned() as connection:
        feeder = shared_run._Feeder(connection, context, shared_run._Waiting(units_of([], parts)), done, lambda _: None)
        feeder.run()
        feeder.wait()
    assert str(done["unsendable"]) == "UnsendableError: font: not found"
    assert "in unsendable" in done["unsendable"].__notes__[0]
    assert isinstance(done["failing"], RuntimeError) and done["drawn"] == drawn(context, lambda _: None)


COPIED = """
from proofs_checks.commands import second_process, shared_run, verify
from proofs_checks.harness.harness import load_claims, select
claims = select(load_claims().values(), "A2,A5,C9")
with second_process.copied() as second:
    from proofs_checks.cli import _context
    shared_run._LEAST_STEPS, shared_run._cores = 1, lambda: 2
    shared_run._run_waiting = lambda units, *others: None  # all of it comes from the copy
    results, _ = verify.run_claims(claims, _context("digits", claims, 0, 0.999, False, "cpu"), second=second)
print(*(result.verdict for result in results))
"""


def test_a_copy_of_a_fresh_process_does_its_part():
    """In a process of its own, as it is in the program: this one has computed."""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", COPIED], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["proved"] * 3, ran.stderr


@pytest.mark.parametrize("cores", [1, 2])
def test_parts_are_made_beside_the_claims(context, monkeypatch, cores):
    """One that fails takes nothing with it: the claims are there, and what it met, for the report to raise."""
    monkeypatch.setattr(shared_run, "_LEAST_STEPS", 1)
    monkeypatch.setattr(shared_run, "_cores", lambda: cores)
    names: list[str] = []
    results, made = shared_run.run_shared(chosen(), context, names.append, PARTS)
    assert [result.claim.id for result in results] == CHEAP.split(",")
    assert list(made) == ["drawn", "failing"]
    assert made["drawn"] == drawn(context, lambda _: None)
    assert isinstance(made["failing"], RuntimeError)
    assert len(names) == sum(map(steps, chosen())) + sum(part.steps for part in PARTS)


@pytest.mark.parametrize("cores", [1, 2])
def test_ctrl_c_in_a_part_ends_the_run(context, monkeypatch, cores):
    monkeypatch.setattr(shared_run, "_LEAST_STEPS", 1)
    monkeypatch.setattr(shared_run, "_cores", lambda: cores)

    def interrupted(name):
        if name == "A2 symbolic":
            raise KeyboardInterrupt

    waiting: list[shared_run._Waiting] = []

    def here(units, done, context, step):
        waiting.append(units)
        step("A2 symbolic")

    monkeypatch.setattr(shared_run, "_run_waiting", here)
    with pytest.raises(KeyboardInterrupt):
        shared_run.run_shared(chosen(), context, interrupted, PARTS)
    assert len(waiting) == 1 and not multiprocessing.active_children()


def interrupted(context, step):
    step("picture")
    raise KeyboardInterrupt


def test_ctrl_c_after_the_claims_leaves_them(context, monkeypatch):
    """It comes while pictures are drawn: the claims can still be read, and the report raises it."""
    monkeypatch.setattr(shared_run, "_cores", lambda: 1)
    parts = [Part("interrupted", interrupted, steps=1, work=0), *PARTS]  # the last, whatever the claims' work
    results, made = shared_run.run_shared(chosen(), context, lambda _: None, parts)
    assert [result.holds for result in results] == [True] * len(chosen())
    assert isinstance(made["interrupted"], KeyboardInterrupt) and made["drawn"] == drawn(context, lambda _: None)


def test_what_a_second_process_leaves_is_done_here(context, two_processes):
    """It is ended by the system before it answers."""

    @contextmanager
    def ended():
        here, there = multiprocessing.Pipe()
        there.close()
        yield here

    results, made = shared_run.run_shared(chosen(), context, lambda _: None, PARTS, ended)
    assert made["drawn"] == drawn(context, lambda _: None)
    assert [(result.claim.id, result.holds) for result in results] == [(claim.id, True) for claim in chosen()]


def test_what_a_second_process_sends_wrong_ends_the_run(context, two_processes, monkeypatch):
    """A message that is no result of the claim; it was lost in the thread, and the run ended with a KeyError of a claim."""

    @contextmanager
    def wrong():
        here, there = multiprocessing.Pipe()
        there.send({"verdict": "proved"})
        yield here
        there.close()

    monkeypatch.setattr(shared_run, "_send", lambda *_: None)  # nobody reads
    monkeypatch.setattr(shared_run, "_run_waiting", lambda *_: None)
    with pytest.raises(KeyError, match="checks"):
        shared_run.run_shared(chosen(), context, lambda _: None, second=wrong)


def test_few_checks_and_large_data_stay_in_one_process(context, monkeypatch):
    monkeypatch.setattr(shared_run, "_cores", lambda: 2)
    groups = units_of(list(load_claims().values()), [])
    assert shared_run._pays(groups, context)
    assert not shared_run._pays(groups[:1], context)
    assert not shared_run._pays(units_of(chosen()[:1], []), context)
    assert shared_run._pays(units_of(chosen()[:1], [Part("long", drawn, steps=1, work=80)] * 2), context)
    monkeypatch.setattr(shared_run, "_LARGEST", 8)
    assert not shared_run._pays(groups, context)
