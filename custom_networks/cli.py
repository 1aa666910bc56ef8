"""`sgdnet`: what the bundle does, from a friendly command line.

Each verb refuses what it does not know, and tells a mistake in one sentence. Results go to standard output, progress
and mistakes to standard error.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from custom_networks.errors import UserError, nearest
from custom_networks.messages import TRACEBACK, find_user_error, print_error
from custom_networks.parser import parse
from custom_networks.usage import defaults, general_help, verb_help
from custom_networks.verbs import VERBS
from custom_networks.verbs.result import DONE, STOPPED, WRONG_INPUT

GOES_ON = {
    **dict.fromkeys(("prepare", "predict", "weights", "experiment"), "run the same command again to resume."),
    "train": "`sgdnet train --resume true ...` resumes after the last complete epoch.",
    "evaluate": "run the same command again; it begins anew.",
    "annotate": "what was submitted is kept.",
}
"""What follows where a verb was stopped, for those that leave something to go on with."""
HELP, QUIET = ("--help", "-h"), ("--quiet", "-q")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `sgdnet` command; exits with one of the codes of `verbs.result` where it is not done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name of a file may be no UTF-8
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    verb = words[0] if words else "help"
    try:
        if verb in ("help", *HELP):
            print(verb_help(_known(words[1])) if len(words) > 1 else general_help())
        elif verb == "--version":
            print(f"sgdnet {_version()}")
        elif verb == "completion":
            print(_completion(words[1:]))
        elif any(word in HELP for word in words[1:]):
            print(verb_help(_known(verb)))
        elif (code := _run(_known(verb), words[1:])) != DONE:
            sys.exit(code)
    except KeyboardInterrupt:
        print(f"\nStopped; {GOES_ON[verb]}" if verb in GOES_ON else "\nStopped.", file=sys.stderr)
        sys.exit(STOPPED)
    except BrokenPipeError:  # `sgdnet ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(STOPPED)
    except Exception as error:
        found = find_user_error(error)
        if found is None or os.environ.get(TRACEBACK):
            raise
        print_error(found)
        sys.exit(WRONG_INPUT)


def _known(verb: str) -> str:
    if verb not in VERBS:
        raise UserError(f"sgdnet has no verb {verb!r}{nearest(verb, [*VERBS, 'completion'])}; see `sgdnet --help`")
    return verb


def _run(verb: str, words: Sequence[str]) -> int:
    """Run a verb and return its exit code."""
    takes = VERBS[verb]
    machine = takes.json and "--json" in words
    common = {*QUIET, "--json"} if takes.json else {*QUIET}
    given = parse(verb, [word for word in words if word not in common], defaults(verb))
    places: list[str] = [] if takes.takes else next((given.pop(each.name) for each in takes.arguments if each.many), [])
    with contextlib.ExitStack() as stack:
        if set(QUIET) & set(words):
            stack.enter_context(_quiet())
        if machine:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        result = takes.run(*places, **given)
    if result is None:
        return DONE
    if machine:
        print(json.dumps(result.found, ensure_ascii=False, default=str))
    return result.code


class _Quiet:
    """A stream on which no progress bar is drawn."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out progress bars and what is logged on the way; warnings stay."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(_Quiet(sys.stderr)):
            yield
    finally:
        logging.disable(before)


def _completion(words: Sequence[str]) -> str:
    from custom_networks.completion import SHELLS, completion

    if len(words) != 1 or words[0] in HELP:
        raise UserError(f"completion: write one of {', '.join(f'`sgdnet completion {shell}`' for shell in SHELLS)}")
    return completion(words[0])


def _version() -> str:
    from custom_networks.software import installed

    return installed(["sgdnet"]).get("sgdnet", "not installed")


if __name__ == "__main__":
    main()
