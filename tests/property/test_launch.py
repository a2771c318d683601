"""No configuration, command line or file makes the reader of them raise, and what it reads is what was written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pay.app.entry import Answers, Entry, Told, choose
from pay.host.launch import Launch, Seen, Setting, configuration, settings_of_arguments, settings_of_text
from pay.host.version import Version

NAMES = st.sampled_from(["disable-plugin", "conf", "plugin", "include ", "clear-plugins", "disable-mpp", "alias"])
VALUES = st.one_of(st.sampled_from(["pay", "/a/pay", "config", "../config", "cln-xpay", ""]), st.text(max_size=20))
LINES = st.one_of(
    st.text(max_size=30),
    st.builds("{}={}".format, NAMES, VALUES),
    st.builds("include {}".format, VALUES),
    st.builds("# {}={}".format, NAMES, VALUES),
)
TEXTS = st.lists(LINES, max_size=8).map("\n".join)
WORDS = st.lists(st.one_of(st.text(max_size=20), st.builds("--{}={}".format, NAMES, VALUES)), max_size=8)


@given(TEXTS)
def test_any_text(text: str) -> None:
    list(settings_of_text(text))


@given(WORDS)
def test_any_command_line(words: list[str]) -> None:
    list(settings_of_arguments(words))


@given(st.binary(max_size=200) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")), TEXTS, WORDS)
def test_any_file(base: bytes, network: str, words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "base" / "regtest"
        directory.mkdir(parents=True)
        (directory.parent / "config").write_bytes(base)
        (directory / "config").write_bytes(network.encode(errors="surrogatepass"))
        settings, unread = configuration(words, str(directory), folder)
    launch = Launch(True, 1, settings, unread)
    chosen = choose(Version(26, 6), launch, Answers(Told.NOT_ASKED))
    disabled = Setting("disable-plugin", "pay") in settings
    assert (chosen.entry is Entry.OWN) == (disabled and not unread and not launch.has("clear-plugins"))
    assert launch.configured("pay") is not Seen.RUNS or not disabled


@given(st.lists(st.tuples(st.sampled_from(["alias", "plugin", "disable-plugin"]), VALUES), max_size=8))
def test_what_was_written_is_read(pairs: list[tuple[str, str]]) -> None:
    pairs = [(name, " ".join(value.split())) for name, value in pairs]
    text = "\n".join(f"{name}={value}" for name, value in pairs)
    assert list(settings_of_text(text)) == [Setting(*pair) for pair in pairs]
    words = ["lightningd", *(f"--{name}={value}" for name, value in pairs)]
    assert list(settings_of_arguments(words)) == [Setting(*pair) for pair in pairs]
