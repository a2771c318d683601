"""A plugin on pyln-client, to be run by the tests' interpreter: the box serves it as lightningd would."""

import json
from pathlib import Path

from pyln.client import Plugin

plugin = Plugin()
plugin.add_option("pyln-flavour", "vanilla", "What it tastes like.")


@plugin.init()
def init(options, configuration, plugin):
    plugin.log(f"tastes of {options['pyln-flavour']}")


@plugin.method("pyln-height")
def height(plugin, request, more: int = 0):
    """The height, asked over the socket."""
    request.notify("looking")
    return {"blockheight": plugin.rpc.getinfo()["blockheight"] + more}


@plugin.async_method("pyln-later")
def later(plugin, request):
    """Answered by the next block."""
    plugin.waiting = request


@plugin.subscribe("block_added")
def block_added(plugin, block_added, **kwargs):
    Path("pyln-heights").write_text(json.dumps(block_added))
    if getattr(plugin, "waiting", None) is not None:
        plugin.waiting.set_result({"height": block_added["height"]})


plugin.run()
