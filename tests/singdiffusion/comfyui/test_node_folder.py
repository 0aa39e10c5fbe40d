"""What `singdiffusion comfyui install` writes, and what it leaves alone."""

import importlib.util
import json

import pytest
from typer.testing import CliRunner

from singdiffusion.cli import app
from singdiffusion.comfyui import NODE_CLASS_MAPPINGS
from singdiffusion.comfyui import node_folder as folders
from singdiffusion.system import installed
from singtheory.errors import InputError


@pytest.fixture
def comfyui(tmp_path):
    (tmp_path / "custom_nodes" / "another").mkdir(parents=True)
    return tmp_path


def test_the_folder_imports_the_nodes_as_comfyui_does(comfyui):
    result = CliRunner().invoke(app, ["comfyui", "install", str(comfyui)])
    assert result.exit_code == 0, result.output
    target = comfyui / "custom_nodes" / "singdiffusion"
    assert str(target) in result.stdout
    spec = importlib.util.spec_from_file_location(str(target), target / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.NODE_CLASS_MAPPINGS is NODE_CLASS_MAPPINGS
    examples = sorted((target / "example_workflows").glob("*.json"))
    assert len(examples) == 2
    assert all(example.with_suffix(".jpg").is_file() for example in examples)
    assert sorted(path.name for path in (comfyui / "custom_nodes").iterdir()) == ["another", "singdiffusion"]


def test_installed_again_it_is_replaced_and_nothing_else_is(comfyui, monkeypatch):
    target = folders.install(comfyui / "custom_nodes")
    (target / "__pycache__").mkdir()
    newer = folders.files() | {"__init__.py": b"# newer\n"}
    monkeypatch.setattr(folders, "files", lambda: newer)
    assert folders.install(comfyui) == target
    assert (target / "__init__.py").read_text() == "# newer\n"
    assert not (target / "__pycache__").exists()
    (target / "mine.json").write_text("{}")
    with pytest.raises(InputError, match=r"mine\.json"):
        folders.install(comfyui)
    (target / "mine.json").unlink()
    (target / "__init__.py").write_text("# changed\n")
    with pytest.raises(InputError, match=r"__init__\.py"):
        folders.install(comfyui)
    assert (target / "__init__.py").read_text() == "# changed\n"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_of_others_is_left_alone(comfyui, tmp_path, kind):
    target = comfyui / "custom_nodes" / "singdiffusion"
    if kind == "folder":
        target.mkdir()
        (target / "node.py").write_text("x = 1\n")
    elif kind == "file":
        target.write_text("x = 1\n")
    else:
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(app, ["comfyui", "install", str(comfyui)])
    assert result.exit_code == 2 and result.stderr.startswith("error: ") and "move it away" in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_leaves_what_was_there(comfyui, monkeypatch):
    target = folders.install(comfyui)
    before = (target / "installed.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installed, "_write", full)
    with pytest.raises(InputError, match="No space"):
        folders.install(comfyui)
    assert (target / "installed.json").read_bytes() == before
    assert [path.name for path in (comfyui / "custom_nodes").iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_is_not_comfyuis_is_refused(tmp_path):
    with pytest.raises(InputError, match="custom_nodes"):
        folders.install(tmp_path)


def test_example_workflows_are_wired_to_the_sockets_that_the_nodes_have():
    for name, content in folders.files().items():
        if not name.endswith(".json"):
            continue
        graph = json.loads(content)
        links = {link[0]: link for link in graph["links"]}
        ours = [node for node in graph["nodes"] if node["type"] in NODE_CLASS_MAPPINGS]
        assert ours
        for node in ours:
            kind = NODE_CLASS_MAPPINGS[node["type"]]
            sockets = {key: socket for part in kind.INPUT_TYPES().values() for key, socket in part.items()}
            wired = [arguments for arguments in node["inputs"] if arguments.get("link") is not None]
            assert {arguments["name"] for arguments in wired} <= set(sockets)
            for arguments in wired:
                assert links[arguments["link"]][5] == arguments["type"] == sockets[arguments["name"]][0]
            widgets = [key for key, socket in sockets.items() if isinstance(socket[0], list) or socket[0] in _WIDGETS]
            assert len(node["widgets_values"]) == len(widgets)


_WIDGETS = ("STRING", "INT", "FLOAT", "BOOLEAN")
