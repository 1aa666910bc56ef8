"""`sgdnet completion`: the script, read by the real shell, completes verbs, flags, switches and files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from custom_networks.completion import SHELLS
from custom_networks.usage import verb_lines
from custom_networks.verbs import VERBS

Run = Callable[..., tuple[int, str, str]]
TRY = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
[[ $(complete -p sgdnet) =~ -F\\ ([^ ]+) ]] && "${BASH_REMATCH[1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(sgdnet: Run, tmp_path: Path) -> Callable[..., list[str]]:
    """What bash offers for the last of the words, in a folder with two files."""
    code, script, err = sgdnet("completion", "bash")
    assert code == 0, err
    (tmp_path / "completion.sh").write_text(script)
    for name in ("scan.png", "my scan.png"):
        (tmp_path / name).touch()

    def offers(*words: str) -> list[str]:
        command = ["bash", "--norc", "-c", TRY, "bash", "./completion.sh", "sgdnet", *words]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
        assert result.stderr == ""
        return result.stdout.split("\n")[:-1]

    return offers


def test_bash_completes_verbs_flags_values_and_files(bash: Callable[..., list[str]]) -> None:
    assert bash("") == [*VERBS, "help", "completion"]
    assert bash("ph") == ["phantoms"]
    assert bash("train", "--max") == ["--max_epochs"]
    assert bash("train", "--max_epochs", "5", "--batch") == ["--batch_size"]
    assert bash("predict", "sc") == ["scan.png"]
    assert bash("predict", "--checkpoint", "my") == ["my scan.png"]
    assert bash("predict", "--overwrite", "") == ["true", "false"]
    assert bash("phantoms", "--count", "s") == [""], "a number is no file"
    assert bash("completion", "") == list(SHELLS)
    assert bash("help", "pha") == ["phantoms"]


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_every_flag_of_the_help_is_offered(bash: Callable[..., list[str]], verb: str) -> None:
    flags = {name for line in verb_lines(verb) for name in line.names if name.startswith("-")}
    assert set(bash(verb, "-")) == flags


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_the_shell_can_read_it(sgdnet: Run, tmp_path: Path, shell: str) -> None:
    (tmp_path / "script").write_text(sgdnet("completion", shell)[1])
    result = subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("bsh",), "completion bsh: no such shell; did you mean 'bash'?"),
        ((), "completion: write one of `sgdnet completion bash`"),
    ],
)
def test_another_shell_is_one_sentence(sgdnet: Run, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = sgdnet("completion", *words)
    assert (code, out) == (1, "")
    assert sentence in err
