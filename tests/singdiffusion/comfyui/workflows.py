"""The example workflows: written as ComfyUI's page keeps them, and read back as its interface takes them.

    python -m tests.singdiffusion.comfyui.workflows --comfyui FOLDER

writes `singdiffusion/comfyui/workflows/*.json` anew from the wiring below and from what a running ComfyUI says of its nodes, and draws each as its page shows it,
with Debian's package chromium and playwright.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from singdiffusion.comfyui import install
from tests.singdiffusion.comfyui.server import Server

FOLDER = Path(__file__).resolve().parents[3] / "singdiffusion" / "comfyui" / "workflows"
_WIDGETS = ("STRING", "INT", "FLOAT", "BOOLEAN", "COMBO")
_WIDE, _GAP = 330, 60


def node(kind: str, /, **inputs: Any) -> dict[str, Any]:
    """In the format of the interface; a list of a name and a number is a wire."""
    return {"class_type": kind, "inputs": inputs}


def _prompts(text: str) -> dict[str, Any]:
    return {
        "positive": node("CLIPTextEncode", text=text, clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["model", 1]),
    }


def _picture(name: str) -> dict[str, Any]:
    return {
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["model", 2]),
        "saved": node("SaveImage", images=["decoded", 0], filename_prefix=name),
    }


SINGULAR_START = {
    "model": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"),
    "average": node("SingDiffusionLoadAverage", path="PATH_OR_ID_OF_THE_AVERAGE_IMAGE"),
    "noise": node("RandomNoise", noise_seed=0),
    "empty": node("EmptyLatentImage", width=512, height=512, batch_size=1),
    **_prompts("solid black background"),
    "sigmas": node("BasicScheduler", model=["model", 0], scheduler="normal", steps=25, denoise=1.0),
    "sampler": node("KSamplerSelect", sampler_name="dpmpp_2m"),
    "guider": node("CFGGuider", model=["model", 0], positive=["positive", 0], negative=["negative", 0], cfg=7.5),
    "start": node(
        "SingDiffusionSingularStart",
        average=["average", 0],
        model=["model", 0],
        noise=["noise", 0],
        sigmas=["sigmas", 0],
        positive=["positive", 0],
        negative=["negative", 0],
        cfg=7.5,
        guidance="normalised",
        start="widest",
        prompt="solid black background",
        negative_prompt="",
    ),
    "sampled": node(
        "SamplerCustomAdvanced",
        noise=["start", 0],
        guider=["guider", 0],
        sampler=["sampler", 0],
        sigmas=["sigmas", 0],
        latent_image=["empty", 0],
    ),
    **_picture("singular-start"),
}
MATCHED_FIRST_STEP = {
    "model": node("CheckpointLoaderSimple", ckpt_name="sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors"),
    "average": node("SingDiffusionLoadAverage", path="PATH_OF_WHAT_CALIBRATE_WROTE"),
    "empty": node("EmptySD3LatentImage", width=1024, height=1024, batch_size=1),
    **_prompts("a street at night"),
    "patch": node(
        "SingDiffusionMatchedFirstStep",
        model=["model", 0],
        average=["average", 0],
        mean="network",
        corrected=False,
        cfg=4.5,
        guidance="normalised",
        prompt="",
        negative_prompt="",
    ),
    "sampled": node(
        "KSampler",
        model=["patch", 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["empty", 0],
        seed=0,
        steps=8,
        cfg=4.5,
        sampler_name="euler",
        scheduler="simple",
        denoise=1.0,
    ),
    **_picture("matched-first-step"),
}
EXAMPLES = {"singular-start": SINGULAR_START, "matched-first-step": MATCHED_FIRST_STEP}


def _sockets(about: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a node in their order: the name of a type, or a list of choices."""
    arguments = about["input"]
    return {name: socket for part in ("required", "optional") for name, socket in arguments.get(part, {}).items()}


def _is_widget(socket: Any) -> bool:
    return isinstance(socket[0], list) or socket[0] in _WIDGETS


def _draws(socket: Any) -> bool:
    """Whether the page puts a box behind it that says whether the number changes after a run."""
    return len(socket) > 1 and bool(socket[1].get("control_after_generate"))


def _depths(prompt: Mapping[str, Any]) -> dict[str, int]:
    """The longest way of wires to each node."""
    results: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in results:
            wires = [value[0] for value in prompt[name]["inputs"].values() if isinstance(value, list)]
            results[name] = 1 + max((depth(other) for other in wires), default=-1)
        return results[name]

    for name in prompt:
        depth(name)
    return results


def as_graph(prompt: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow as ComfyUI's page keeps it, from the format of the interface.

    Args:
        prompt: by the names of nodes.
        known: what the server says of the kinds of nodes, `/object_info`.
    """
    numbers = {name: i + 1 for i, name in enumerate(prompt)}
    depths, columns = _depths(prompt), {}
    nodes, links = [], []
    outgoing: dict[tuple[str, int], list[int]] = {}
    for name, made in prompt.items():
        about = known[made["class_type"]]
        sockets = _sockets(about)
        inputs, values = [], []
        for key, socket in sockets.items():
            arguments = made["inputs"].get(key)
            if not _is_widget(socket):
                link = None
                if arguments is not None:
                    link = len(links) + 1
                    links.append([link, numbers[arguments[0]], arguments[1], numbers[name], len(inputs), socket[0]])
                    outgoing.setdefault((arguments[0], arguments[1]), []).append(link)
                inputs.append({"name": key, "type": socket[0], "link": link})
                continue
            values.append(arguments)
            values += ["fixed"] if _draws(socket) else []
        high = (
            60
            + 26 * (len(inputs) + len(values))
            + 90 * sum(1 for socket in sockets.values() if socket[0] == "STRING" and socket[1].get("multiline"))
        )
        x = depths[name] * (_WIDE + _GAP)
        y = columns.get(depths[name], 0)
        columns[depths[name]] = y + high + _GAP
        nodes.append(
            {
                "id": numbers[name],
                "type": made["class_type"],
                "pos": [x, y],
                "size": [_WIDE, high],
                "flags": {},
                "order": depths[name],
                "mode": 0,
                "inputs": inputs,
                "outputs": [],
                "properties": {"Node name for S&R": made["class_type"]},
                "widgets_values": values,
            }
        )
    for made, (name, arguments) in zip(nodes, prompt.items(), strict=True):
        about = known[arguments["class_type"]]
        for slot, (kind, title) in enumerate(zip(about["output"], about["output_name"], strict=True)):
            made["outputs"].append(
                {"name": title, "type": kind, "links": outgoing.get((name, slot)), "slot_index": slot}
            )
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def as_prompt(graph: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow of ComfyUI's page in the format of the interface, its nodes by their numbers."""
    links = {link[0]: link for link in graph["links"]}
    prompt = {}
    for made in graph["nodes"]:
        wires = {arguments["name"]: arguments["link"] for arguments in made["inputs"] if arguments["link"] is not None}
        inputs: dict[str, Any] = {key: [str(links[link][1]), links[link][2]] for key, link in wires.items()}
        values = iter(made["widgets_values"])
        for key, socket in _sockets(known[made["type"]]).items():
            if _is_widget(socket):
                inputs[key] = next(values)
                if _draws(socket):
                    next(values)
        prompt[str(made["id"])] = {"class_type": made["type"], "inputs": inputs}
    return prompt


def _draw(server: Server, graph: dict[str, Any]) -> bytes:
    """What ComfyUI's page shows of a workflow, as JPEG."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport={"width": 1900, "height": 1000})
        page.goto(server.address)
        page.wait_for_function("window.app && window.app.graph && window.app.canvas", timeout=120_000)
        page.wait_for_timeout(4000)
        page.keyboard.press("Escape")
        page.evaluate("graph => window.app.loadGraphData(graph)", graph)
        page.wait_for_timeout(2000)
        page.add_style_tag(content="body > *:not(#vue-app) {display: none}")
        box = page.evaluate(_FIT)
        page.wait_for_timeout(1500)
        shot = page.screenshot(clip=box)
        opened.close()
    drawn = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").save(drawn, "JPEG", quality=82, optimize=True)
    return drawn.getvalue()


_FIT = """() => {
  const canvas = window.app.canvas, nodes = window.app.graph._nodes;
  const left = Math.min(...nodes.map(n => n.pos[0])) - 30, top = Math.min(...nodes.map(n => n.pos[1])) - 60;
  const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0])) + 30, end = Math.max(...nodes.map(n => n.pos[1] + n.size[1])) + 30;
  const rect = canvas.canvas.getBoundingClientRect();
  const place = {x: rect.left + 30, y: rect.top + 60, width: 1640, height: 780};
  const scale = Math.min(place.width / (right - left), place.height / (end - top));
  canvas.ds.scale = scale;
  canvas.ds.offset = [(place.x - rect.left) / scale - left, (place.y - rect.top) / scale - top];
  canvas.setDirty(true, true);
  return {x: place.x, y: place.y, width: (right - left) * scale, height: (end - top) * scale};
}"""


def main() -> int:
    """Write the examples and their pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="a checkout of ComfyUI")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        (base / "custom_nodes").mkdir()
        install(base)
        with Server(arguments.comfyui.resolve(), base) as server:
            known = server.get("/object_info")
            for name, prompt in EXAMPLES.items():
                graph = as_graph(prompt, known)
                (FOLDER / f"{name}.json").write_text(json.dumps(graph, indent=1) + "\n", encoding="utf-8")
                (FOLDER / f"{name}.jpg").write_bytes(_draw(server, graph))
                print(f"written: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
