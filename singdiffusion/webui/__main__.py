"""The process that a web UI asks for singular starts: on each line `["request", "answer"]`, two paths; it says `ok`, or what is wrong in a line."""

import json
import sys
from pathlib import Path

from singdiffusion.webui.start import answer
from singtheory.errors import InputError


def main() -> None:
    """Answer until the web UI ends."""
    for line in sys.stdin:
        request, target = json.loads(line)
        try:
            answer(Path(request), Path(target))
        except (InputError, OSError) as error:
            print(" ".join(str(error).split()), flush=True)
        else:
            print("ok", flush=True)


if __name__ == "__main__":
    main()
