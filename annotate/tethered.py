"""`python -m annotate.tethered RUN`: a fine-tuning that ends with its server, from its first moment on.

The server holds the other end of the standard input; when it ends, however it ends, that end is closed. Importing the
training takes seconds, hence the watch begins before.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

ENDED = 3


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, whose lock would abort Python at its own end
        pass
    os._exit(ENDED)


def main() -> int:
    """Fine-tune as the folder on the command line says."""
    threading.Thread(target=_watch, daemon=True).start()
    from annotate.finetune import main as finetune

    return finetune(Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
