"""A server of ComfyUI on the loopback interface and on the CPU, started from a checkout, and asked through its HTTP interface."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

_PATIENCE = 600
_ROOT = Path(__file__).resolve().parents[3]


class Server:
    """`with Server(checkout, base, python) as server:`; its models, custom nodes and pictures lie in the folder `base`.

    Args:
        checkout: of ComfyUI.
        base: ComfyUI's base directory.
        python: with what ComfyUI and this package need.
    """

    def __init__(self, checkout: Path, base: Path, python: str = sys.executable) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base, self.address = base, f"http://127.0.0.1:{port}"
        self._command = [python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
        self._command += ["--force-fp32", "--fp32-text-enc"]  # as diffusers computes here
        self._command += ["--base-directory", str(base), "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        self._checkout, self._log = checkout, base / "server.log"

    def __enter__(self) -> Self:
        paths = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._checkout, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": paths}
            )
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.get("/system_stats")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError(f"ComfyUI does not answer:\n{self.log()[-3000:]}") from None
                time.sleep(0.5)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)

    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return json.load(answer)

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """What the output nodes of a workflow, in the format of the interface, show; the files of its latents lie in `base/output`.

        Raises:
            RuntimeError: with the server's words for a workflow that it refuses or that fails.
        """
        body = json.dumps({"prompt": prompt}).encode()
        request = urllib.request.Request(self.address + "/prompt", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                number = json.load(answer)["prompt_id"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            actual = self.get(f"/history/{number}").get(number)
            if actual is not None:
                if actual["status"]["status_str"] != "success":
                    statement = [message for kind, message in actual["status"]["messages"] if kind == "execution_error"]
                    raise RuntimeError(
                        statement[0]["exception_message"].strip() if statement else str(actual["status"])
                    )
                return actual["outputs"]
            time.sleep(0.2)
        raise RuntimeError("the workflow does not end")
