"""`make full`, the run of a night: ten thousand examples for each property of singtheory, two thousand damaged files of each format."""

import re
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.strategies import examples, mutations

ROOT = Path(__file__).parents[2]


def test_it_takes_all_of_singtheory_and_every_format():
    (command,) = re.findall(r"pytest --hypothesis-profile=full (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    paths = command.split('"')[-1].split()
    assert paths == ["tests/singtheory", "tests/singdiffusion/system/test_schema.py"]
    assert all((ROOT / path).exists() for path in paths)
    assert '-m "not gpu"' in command  # the tests that take long are the point of it


def test_no_property_of_singtheory_fixes_its_number():
    fixed = [
        f"{file.relative_to(ROOT)}: {number}"
        for file in sorted((ROOT / "tests" / "singtheory").rglob("test_*.py"))
        for number in re.findall(r"max_examples=(\d+)", file.read_text(encoding="utf-8"))
    ]
    assert fixed == []


@pytest.fixture(params=[("ci", 40, 50), ("full", 10_000, 2000)], ids=lambda row: row[0])
def profile(request):
    """A profile, and what it makes of 40 examples and of a format's mutations."""
    settings.register_profile("before", settings.default)
    settings.load_profile(request.param[0])
    yield request.param
    settings.load_profile("before")


def test_numbers_are_those_of_the_profile(profile):
    assert (examples(40), mutations()) == profile[1:]
