#!/usr/bin/env python3
"""The file that lightningd starts: finds the `.venv` beside it, or says politely why it cannot run.

Standard library only, in a syntax that Python 3.8 reads, so that an old interpreter gets as far as the refusal:
a plugin that exits before its manifest shows no reason to the operator, and an important one takes the node along.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(HERE, ".venv")
REMEDY = f"run `make -C '{HERE}' install` as the user that runs lightningd"


def refuse(reason):
    """Answer getmanifest with `disable: reason`; on a terminal print it."""
    if os.environ.get("LIGHTNINGD_PLUGIN") != "1":
        sys.exit("This is a Core Lightning plugin, to be started with lightningd --plugin=.... " + reason)
    received = ""
    while True:
        line = sys.stdin.readline()
        if not line:
            sys.exit(1)
        received += line
        try:
            request = json.loads(received)
        except ValueError:
            continue
        received = ""
        if isinstance(request, dict) and request.get("method") == "getmanifest":
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": {"disable": reason}}
            os.write(1, json.dumps(answer).encode() + b"\n\n")


def main():
    python = os.path.join(VENV, "bin", "python")
    if os.path.exists(python) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        try:
            os.execv(python, [python, os.path.join(HERE, "plugin.py")] + sys.argv[1:])
        except OSError as error:
            refuse(f"{python}: {error.strerror}: {REMEDY}")
    if sys.version_info < (3, 11):
        refuse("Python 3.11 or newer is needed, this is {}.{}: ".format(*sys.version_info) + REMEDY)
    # One thread is all that the small arrays need; more would only cost the node memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.path.insert(0, HERE)
    try:
        from pay.node.app import UnsupportedHost, run
    except ImportError as error:
        refuse(f"{error}: {REMEDY}")
    try:
        run(sys.argv[1:])
    except UnsupportedHost as error:
        refuse(str(error))


if __name__ == "__main__":
    main()
