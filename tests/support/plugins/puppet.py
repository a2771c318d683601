"""A plugin for a node under test that does what a file beside it says, and writes down what it is told.

Several of them under several names make a chain of hooks; see `tests/support/puppets.py`, which writes the file:
`manifest` (members of it), `init`, `hook` and `methods` (both by method): what to do. What to do is
`answer` (members of the answer), `replace_by` (a method, for hooks), and before that `wait` (until a file of this
name is beside it), `die` before the answer, `end` after it, or `never`. How it was started is in a file as well.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

from plugin_io import serve

CONTINUE = {"answer": {"result": {"result": "continue"}}}
LOCK = threading.Lock()


class Puppet:
    """One of them, of which `path` is the program."""

    def __init__(self, path):
        self.path = path

    def wishes(self):
        """What the file says now."""
        return json.loads(Path(f"{self.path}.json").read_text())

    def handle(self, message):
        """One message of lightningd."""
        with Path(f"{self.path}.told").open("a") as told:
            told.write(json.dumps([time.monotonic_ns(), message]) + "\n")
        if "id" not in message:
            return
        method, wishes = message["method"], self.wishes()
        if method == "getmanifest":
            manifest = {"options": [], "rpcmethods": [], "dynamic": True, **wishes.get("manifest", {})}
            self.answer(message, {"result": manifest})
        elif method == "init":
            self.act(message, wishes.get("init", {"answer": {"result": {}}}), message)
        elif method == "rpc_command":
            request = message["params"]["rpc_command"]
            self.act(message, wishes.get("hook", {}).get(request["method"], CONTINUE), request)
        else:
            whole = {"answer": {"result": {"by": os.path.basename(self.path), "request": message}}}
            self.act(message, wishes.get("methods", {}).get(method, whole), message)

    def act(self, message, wish, request):
        """Do it, beside the messages that follow where it has to wait."""
        if "never" in wish:
            return
        if "wait" in wish:
            rest = {name: value for name, value in wish.items() if name != "wait"}
            threading.Thread(target=self.later, args=(message, wish["wait"], rest, request)).start()
            return
        if "die" in wish:
            os._exit(3)
        if "replace_by" in wish:
            replaced = {**request, "method": wish["replace_by"], **wish.get("members", {})}
            self.answer(message, {"result": {"replace": replaced}})
        else:
            self.answer(message, wish["answer"])
        if "end" in wish:
            os._exit(4)

    def later(self, message, name, wish, request):
        """As `act`, when the file is there."""
        while not Path(f"{self.path}.{name}").exists():
            time.sleep(0.005)
        self.act(message, wish, request)

    def answer(self, message, members):
        """One answer, written at once."""
        text = json.dumps({"jsonrpc": "2.0", "id": message["id"], **members}) + "\n\n"
        with LOCK:
            os.write(sys.stdout.fileno(), text.encode())


def main(path):
    """Live as the plugin whose program is `path`."""
    started = {"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "pid": os.getpid()}
    Path(f"{path}.started").write_text(json.dumps(started))
    serve(Puppet(path).handle)
