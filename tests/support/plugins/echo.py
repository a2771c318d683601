#!/usr/bin/env python3
"""A plugin in nothing but the standard library that shows what it was told, and does what a test asks.

The environment variable ECHO_MANIFEST holds members of its manifest. Everything it gets is a line of `told` in its
working directory. Methods whose names begin with `echo` are answered with the request; some say more.
"""

import json
import os
import sys


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n\n")
    sys.stdout.flush()


def manifest():
    names = ["echo", "echo-progress", "echo-raw", "echo-die", "echo-emit", "echo-silent"]
    result = {
        "options": [],
        "rpcmethods": [{"name": name, "usage": "[what]", "description": name} for name in names],
        "dynamic": True,
        "nonnumericids": True,
    }
    result.update(json.loads(os.environ.get("ECHO_MANIFEST", "{}")))
    return result


def answer(message):
    method, params = message["method"], message.get("params", {})
    if method == "getmanifest":
        print("getmanifest asked", file=sys.stderr, flush=True)
        return {"result": manifest()}
    if method == "echo-die":
        os._exit(3)
    if method == "echo-progress":
        send({"method": "message", "params": {"id": message["id"], "level": "info", "message": "half way"}})
        send({"method": "progress", "params": {"id": message["id"], "num": 1, "total": 2}})
    if method == "echo-emit":
        send({"method": params["topic"], "params": params["payload"]})
        send({"method": "log", "params": {"level": "warn", "message": "emitted\nit"}})
    if method == "echo-raw":
        return params
    if method == "rpc_command":
        return {"result": json.loads(os.environ.get("ECHO_HOOK", '{"result": "continue"}'))}
    if method == "setconfig" and params.get("val") == "refused":
        return {"error": {"code": -32602, "message": "refused it is"}}
    return {"result": {"request": message}}


def main():
    with open("told", "a", buffering=1) as told:
        decoder, text = json.JSONDecoder(), ""
        while data := os.read(0, 65536):
            text += data.decode()
            while text.lstrip():
                try:
                    message, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    break
                text = text.lstrip()[end:]
                told.write(json.dumps({**message, "cwd": os.getcwd(), "env": dict(os.environ)}) + "\n")
                if message["method"] == "shutdown":
                    return
                if "id" in message and message["method"] != "echo-silent":
                    send({"id": message["id"], **answer(message)})


main()
