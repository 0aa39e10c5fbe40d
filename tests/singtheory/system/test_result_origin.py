"""Where a result was computed."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from singtheory.system import result_origin


def test_an_installed_package_states_its_version():
    assert result_origin.provenance("a command", 3, "cpu")["version"] == version("singdiffusion")


def test_sources_that_are_not_installed_lose_no_result(monkeypatch: pytest.MonkeyPatch):
    """`verify` ended with a traceback after all its work, before the JSON was written."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(result_origin, "version", missing)
    assert result_origin.provenance("a command", 3, "cpu") | {"device": ""} == {
        "version": "not installed",
        "seed": 3,
        "command": "a command",
        "device": "",
    }
