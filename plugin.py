#!/usr/bin/env python3
"""What lightningd starts, here or by `clnpay.py`: finds the `.venv` beside it, or says politely why it cannot run.

Standard library only, in a syntax that Python 3.8 reads, so that an old interpreter gets as far as the refusal:
a plugin that exits before its manifest shows no reason to the operator, and an important one takes the node along.
So the Python of the `.venv` is tried before this process becomes it.
"""

import json
import os
import pwd
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STARTED = os.path.abspath(sys.argv[0])
REMEDY = "run `make -C '{}' install` as the user that runs lightningd".format(HERE)
TRIED_S = 30


def refuse(reason):
    """Answer getmanifest with `disable: reason`; on a terminal print it."""
    reason = " ".join(reason.split())
    if os.environ.get("LIGHTNINGD_PLUGIN") != "1":
        name = os.path.basename(STARTED)
        sys.exit("{} is a Core Lightning plugin, for lightningd --plugin={}. {}".format(name, STARTED, reason))
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


def closed(path):
    """The first folder or link on the way to a file, or itself, that this user may not enter or read, or None."""
    for _ in range(40):
        parts = path.split(os.sep)
        for end in range(2, len(parts) + 1):
            step = os.sep.join(parts[:end])
            wanted = os.X_OK if end < len(parts) or os.path.isdir(step) else os.R_OK
            if os.path.exists(step) and not os.access(step, wanted):
                return step
        if not os.path.islink(path):
            return None
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return None


def refuse_closed(*paths):
    """Refuse because of a file that this user may not have, if it is so."""
    step = next(filter(None, map(closed, paths)), None)
    if step is None:
        return
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    whose = "user {} may not read {}".format(user, step)
    if step == HERE or step.startswith(HERE + os.sep):
        refuse("{}: run `chmod -R a+rX '{}'` as its owner".format(whose, HERE))
    elif HERE.startswith(step + os.sep):
        refuse("{}: move {} to where that user may read, and {}".format(whose, HERE, REMEDY))
    else:
        refuse("{}, where the Python of {} is: run `rm -r '{}'`, and {}".format(whose, VENV, VENV, REMEDY))


def try_venv():
    """Refuse where the Python of the `.venv` is none."""
    if not os.path.exists(PYTHON):
        refuse("{} leads to {}, which is not there any more: {}".format(PYTHON, os.path.realpath(PYTHON), REMEDY))
    try:
        tried = subprocess.run(
            [PYTHON, "-c", "import sys; print(sys.prefix)"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=TRIED_S, universal_newlines=True, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        refuse("{} does not run ({}): {}".format(PYTHON, getattr(error, "strerror", None) or error, REMEDY))
    if tried.returncode != 0:
        said = tried.stderr.strip().split("\n")[0] or "status {}".format(tried.returncode)
        refuse("{} does not run ({}): {}".format(PYTHON, said, REMEDY))
    if os.path.realpath(tried.stdout.strip()) != os.path.realpath(VENV):
        refuse("{} is no whole virtual environment (its pyvenv.cfg is missing): {}".format(VENV, REMEDY))


def refuse_packages(error):
    """Refuse because what the plugin needs cannot be imported."""
    library, mine = os.path.join(VENV, "lib"), "python{}.{}".format(*sys.version_info)
    packages = os.path.join(library, mine, "site-packages")
    refuse_closed(os.path.join(HERE, "pay", "app", "application.py"), packages)
    if os.path.isdir(packages):
        refuse_closed(*[os.path.join(packages, name) for name in os.listdir(packages)])
    refuse("{}: {}".format(why_not(error, library, mine), REMEDY))


def why_not(error, library, mine):
    """What is wrong with the `.venv`."""
    others = [name for name in sorted(os.listdir(library)) if name != mine] if os.path.isdir(library) else []
    if not os.path.isdir(VENV):
        return "{} has not been made ({})".format(VENV, error)
    if others and not os.path.isdir(os.path.join(library, mine, "site-packages", "pyln")):
        return "{} was made with {}, and its Python is {} now".format(VENV, others[0], mine)
    if not os.path.exists(os.path.join(VENV, ".installed")):
        return "the installation into {} was not finished ({})".format(VENV, error)
    return "{} is not whole ({})".format(VENV, error)


def say_version():
    try:  # nothing needs to be installed for it
        from pay import __version__
    except ImportError as error:
        sys.exit("{}: {} is not a whole checkout".format(error, HERE))
    print("clnpay {}".format(__version__))


def main():
    """Become the plugin, under the name that was started."""
    sys.path.insert(0, HERE)
    if "--version" in sys.argv[1:]:
        return say_version()
    refuse_closed(PYTHON, os.path.join(VENV, "pyvenv.cfg"))
    if os.path.lexists(PYTHON) and os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        try_venv()
        os.execv(PYTHON, [PYTHON, STARTED] + sys.argv[1:])
    if sys.version_info < (3, 11):
        refuse("Python 3.11 or newer is needed, this is {}.{}: ".format(*sys.version_info) + REMEDY)
    # One thread is all that the small arrays need; more would cost the node memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from pay.app.application import UnsupportedHost, run
    except Exception as error:
        refuse_packages(error)
    try:
        run(sys.argv[1:])
    except UnsupportedHost as error:
        refuse(str(error))


if __name__ == "__main__":
    main()
