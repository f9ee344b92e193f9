"""The restricted pickle reader: it reads plain data as Python's own reader does, and does nothing else."""

import builtins
import collections
import contextlib
import io
import os
import pickle
import struct
import subprocess
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.io.pickles import ForeignName, PickleError, read_pickle

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(1 << 600), 1 << 600) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXT, inner), max_leaves=20)


class Call:
    """An object whose pickle calls `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_restored(value, protocol):
    back = read_pickle(pickle.dumps(value, protocol), {})
    assert back == value
    assert repr(back) == repr(value)                                 # unlike ==, repr distinguishes True from 1


@given(value=st.binary() | st.binary().map(bytearray), protocol=st.sampled_from([3, 4, 5]))
def test_bytes_are_restored(value, protocol):
    names = {"builtins bytearray": bytearray}                        # protocols below 5 call this for a bytearray
    assert read_pickle(pickle.dumps(value, protocol), names) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_shared_objects_stay_shared(protocol):
    shared = [1]
    loop = [shared, shared]
    loop.append(loop)
    back = read_pickle(pickle.dumps(loop, protocol), {})
    assert back[0] is back[1]
    assert back[2] is back


def test_consecutive_pickles_are_read_one_by_one():
    source = io.BytesIO(pickle.dumps("a") + pickle.dumps([2]) + b"rest")
    assert (read_pickle(source, {}), read_pickle(source, {}), source.read()) == ("a", [2], b"rest")


def test_python_2_strings_are_latin_1():
    assert read_pickle(b"\x80\x02T\x02\x00\x00\x00\xe9\xff.", {}) == "\xe9\xff"


def test_names_are_looked_up_in_the_table():
    names = {"collections OrderedDict": lambda *items: dict(*items)}
    made = collections.OrderedDict(a=1, b=2)
    made.note = "an attribute"                                       # adds a BUILD, which a dictionary ignores
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert read_pickle(pickle.dumps(made, protocol), names) == {"a": 1, "b": 2}


def test_returned_functions_are_not_called():
    names = {"m make": lambda: lambda: 1}
    assert callable(read_pickle(b"cm\nmake\n)R.", names))
    with pytest.raises(PickleError, match="not a function"):
        read_pickle(b"cm\nmake\n)R)R.", names)


HARM = {
    "a command": Call(os.system, "touch {}"),
    "a process": Call(subprocess.Popen, ["touch", "{}"]),
    "a program": Call(builtins.eval, "open({!r}, 'w')"),
    "a program as a statement": Call(builtins.exec, "open({!r}, 'w')"),
    "a file": Call(builtins.open, "{}", "w"),
    "a module": Call(builtins.__import__, "antigravity"),
    "a method": Call(builtins.getattr, "", "format"),
    "a call within a call": Call(collections.OrderedDict, Call(builtins.eval, "[]")),
    "a call as a key": {Call(builtins.eval, "1"): 2},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_attack_is_refused_and_does_not_run(tmp_path, harm, protocol):
    target = tmp_path / "touched"
    if isinstance(harm, Call):
        function, arguments = harm.reduced
        harm = Call(function, *[a.format(target) if isinstance(a, str) else a for a in arguments])
    content = pickle.dumps([1, harm], protocol)
    with pytest.raises(ForeignName, match="it asks for"):
        read_pickle(content, {"collections OrderedDict": dict})
    assert not target.exists()


def program(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


REFUSED = {
    "a class created by name": (b"cos\nsystem\n)\x81.", "'os.system'"),
    "INST": (b"(S'true'\nios\nsystem\n.", "instruction INST"),
    "OBJ": (b"(I1\nI2\no.", "instruction OBJ"),
    "NEWOBJ": (program(b"N)\x81"), "instruction NEWOBJ"),
    "the register of extensions": (program(b"\x82\x01"), "instruction EXT1"),
    "a persistent id": (program(b"N", b"Q"), "instruction BINPERSID"),
    "a call of data": (program(b"K\x01", b")", b"R"), "not a function"),
    "a call of text": (program(b"\x8c\x06system", b")", b"R"), "not a function"),
    "a state for a number": (program(b"K\x01", b"}", b"b"), "damaged"),
    "a state for a list": (program(b"]", b"}", b"b"), "damaged"),
    "an item for a tuple": (program(b")", b"N", b"a"), "not a list"),
    "a key for a list": (program(b"]", b"N", b"N", b"s"), "not a dict"),
    "a list as a key": (program(b"}", b"]", b"N", b"s"), "damaged"),
    "an odd number of items": (program(b"}", b"(", b"N", b"u"), "damaged"),
    "nothing on the stack": (program(b"a"), "damaged"),
    "no mark": (program(b"N", b"t"), "damaged"),
    "a mark alone on the stack": (program(b"N", b"N"), "damaged"),
    "an unknown memo": (program(b"h\x07"), "damaged"),
    "an unknown instruction": (program(b"\xfe"), "damaged"),
    "no end": (b"\x80\x04N", "damaged"),
    "nothing": (b"", "damaged"),
    "text": (b"hello, world", "damaged"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_other_instructions_are_refused(content, reason):
    with pytest.raises(PickleError, match=reason):
        read_pickle(content, {})


LENGTHS = {
    "bytes": b"\x8e" + struct.pack("<Q", 1 << 40), "text": b"\x8d" + struct.pack("<Q", 1 << 40),
    "bytes of 4 GB": b"B" + b"\xff" * 4, "a string of 2 GB": b"T" + struct.pack("<i", (1 << 31) - 1),
    "a bytearray": b"\x96" + struct.pack("<Q", 1 << 40), "a number": b"\x8b" + struct.pack("<i", (1 << 31) - 1),
    "beyond all memory": b"\x8e" + b"\xff" * 8, "a memo": b"Nr\xff\xff\xff\xff.", "a frame": b"\x95" + b"\xff" * 8,
}


@pytest.mark.parametrize("content", LENGTHS.values(), ids=LENGTHS)
def test_forged_length_allocates_no_memory(content):
    tracemalloc.start()
    try:
        if content.startswith(b"N"):
            assert read_pickle(b"\x80\x04" + content, {}) is None
        else:
            with pytest.raises(PickleError, match="damaged"):
                read_pickle(b"\x80\x04" + content, {})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(data=st.data())
def test_mutated_pickle_is_read_or_refused(data):
    value = {"a": [1, 2.0, ("b", None)], "c": b"dd"}
    content = bytearray(pickle.dumps(value, data.draw(st.integers(0, pickle.HIGHEST_PROTOCOL))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PickleError):
        read_pickle(bytes(content), {})
