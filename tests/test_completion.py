"""What shells complete: in the shells themselves, where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polydesign.cli import main
from polydesign.cli.completing import completed

COMMAND = Path(sys.executable).with_name("polydesign")
WORDS = [
    (["show", "sign-m8-l1e-3-b"], "sign-m8-l1e-3-bf16"),
    (["compare", "jordan_5", "polar_express_n"], "polar_express_nanochat"),
    (["search", "--dtype", "fp3"], "fp32"),
    (["search", "--dtype", "bfl"], "bfloat16"),
    (["export", "jordan_5", "--to", "opt"], "optax"),
    (["exp"], "export"),
    (["verify", "--norm"], "--normalization"),
]


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb"}


def script(shell: str) -> str:
    return subprocess.run(
        [COMMAND, "completion", shell], capture_output=True, text=True, check=True, env=environment()
    ).stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_names_options_and_values() -> None:
    asked = WORDS
    calls = "\n".join(
        f"COMP_WORDS=(polydesign {' '.join(words)}); COMP_CWORD={len(words)}; COMPREPLY=(); "
        '_polydesign_completion polydesign; echo "${COMPREPLY[*]}" | tr "\\n" " "; echo'
        for words, _ in asked
    )
    program = f"compopt() {{ :; }}\n{script('bash')}\n{calls}"
    found = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, text=True, check=True, env=environment()
    ).stdout.splitlines()
    for (words, wanted), line in zip(asked, found, strict=True):
        assert wanted in line.split(), (words, line)
        assert all(one.startswith(words[-1]) for one in line.split())


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_names_options_and_values() -> None:
    for words, wanted in WORDS:
        line = " ".join(["polydesign", *words])
        found = subprocess.run(
            ["fish", "--no-config", "-c", f"{script('fish')}\ncomplete -C '{line}'"],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        ).stdout
        assert wanted in found.split(), (words, found)


BARE = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
BEFORE = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u; "}
FILE = "mine\\ at\\ home.json"


@pytest.mark.few(4)
@pytest.mark.parametrize("shell", BARE)
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("certify min", FILE),
        ("plot jordan_5 --measured min", FILE),
        ("identify min", FILE),
        ("import min", FILE),
        ("show sign-m8-l1e-3-b", "sign-m8-l1e-3-bf16"),
    ],
)
def test_a_terminal_completes_files_and_names(shell: str, typed: str, shown: str, tmp_path: Path) -> None:
    """It is the shell itself that looks for files, with blanks in their names."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "mine at home.json").write_text("{}")
    (tmp_path / "completion").write_text(script(shell))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execvpe(shell, [shell, *BARE[shell]], environment())
    try:
        os.write(terminal, f"{BEFORE[shell]}source ./completion; echo 're''ady'\n".encode())
        assert "ready" in read_until(terminal, "ready")
        os.write(terminal, f"polydesign {typed}\t".encode())
        assert shown in read_until(terminal, shown)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def read_until(terminal: int, wanted: str, seconds: float = 60) -> str:
    """What the terminal shows, until it shows that, or nothing comes."""
    seen, end = "", time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_text_of_a_command_is_known_to_the_shell(command: str) -> None:
    """All that is called a file or a folder in the help is looked for as one."""
    for param in completed(main.commands[command]).params:
        called = (param.metavar or "").upper()
        kind = getattr(param.type, "place", "")
        if called in ("DIR", "FOLDER"):
            assert kind == "dir"
        elif "FILE" in called:
            assert kind == "file"
        assert getattr(param.type, "tables", False) == ("FILE" in called and "NAME" in called)
