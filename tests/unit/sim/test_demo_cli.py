"""What a person at the keyboard gets wrong with `python -m pay.sim`: one line and a status, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pay.sim import __main__ as sim_main
from pay.sim import demo
from tests.support.checkout import ROOT
from tests.support.waiting import PATIENCE_S


@pytest.mark.parametrize("mistake", [("--nodes", "3"), ("--nodes", "-4"), ("--amount", "0"), ("--amount", "much")])
def test_bad_numbers_are_usage_errors(mistake, monkeypatch, capsys):
    """argparse says which argument it is; nothing is started."""
    monkeypatch.setattr(sys, "argv", ["pay.sim", "demo", *mistake])
    with pytest.raises(SystemExit) as stopped:
        sim_main.main()
    assert stopped.value.code == 2
    assert f"argument {mistake[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["missing", ".", "README.md", "/dev/null"])
def test_a_network_that_is_none(network, capsys):
    """Missing, a directory, some text, nothing at all: one line each."""
    assert demo.run(500, ROOT / network, None, 1) == 1
    words = capsys.readouterr().err
    assert words.startswith("The demonstration cannot go on: ") and words.count("\n") == 1


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError, 141)])
def test_interrupted_or_unread(raised, status):
    """Ctrl-C, or a reader such as `head` that has gone: the status a shell expects, no traceback."""
    code = (
        "import sys\nfrom pay.sim import __main__ as m, cli\n"
        f"def stop(args): raise {raised.__name__}\n"
        "cli.run_call = stop\nsys.argv = ['pay.sim', 'call', 'help']\nsys.exit(m.main())"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
