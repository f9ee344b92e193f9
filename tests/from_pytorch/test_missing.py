"""The table of missing names: none of them is there, each is answered, and what it says to write is right."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

import minidl
import minidl.functional
import minidl.nn
import minidl.optim
import minidl.torch as torch
from minidl import Tensor, missing

PLACES = [
    (Tensor(np.ones((2, 3), np.float32)), missing.TENSOR),
    (minidl.nn.Linear(2, 3), missing.MODULE),
    (minidl.nn, missing.LAYERS), (torch.nn, missing.LAYERS),
    (minidl.functional, missing.FUNCTIONS), (torch.nn.functional, missing.FUNCTIONS),
    (minidl.optim, missing.OPTIM), (torch.optim, missing.OPTIM),
    (minidl.optim.SGD([minidl.nn.Parameter(np.ones(2, np.float32))]), missing.OPTIMIZER),
    (torch.optim.lr_scheduler, missing.SCHEDULES), (minidl.optim, missing.SCHEDULES),
    (torch, missing.TOP), (torch.utils.data, missing.DATA),
]


@pytest.mark.parametrize(("place", "table"), PLACES, ids=[str(i) for i in range(len(PLACES))])
def test_names_are_missing_and_answered(place, table):
    for name, words in table.items():
        with pytest.raises(AttributeError, match=re.escape(f"{name}; {words}")) as raised:
            getattr(place, name)
        assert raised.value.name == name
        assert not hasattr(place, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        place.no_such_name                       # noqa: B018


def test_missing_names_cannot_be_imported():
    with pytest.raises(ImportError):
        from minidl.torch.nn import LSTM  # noqa: F401
    with pytest.raises(ImportError):
        from minidl.functional import prelu  # noqa: F401


ARGUMENTS = {                                    # of the methods that TENSOR answers with an expression
    "view_as": "y", "reshape_as": "y", "expand_as": "y", "mm": "y.T", "t": "", "mT": None, "nelement": "",
    "ndimension": "", "square": "", "rsqrt": "", "reciprocal": "", "flipud": "", "fliplr": "", "isnan": "", "isinf": "",
    "isfinite": "", "fmod": "y", "floor_divide": "y", "tan": "", "log2": "", "log10": "", "log1p": "", "expm1": "",
    "unbind": "", "is_floating_point": "", "type_as": "y",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_to_write_has_pytorchs_value(name):
    pytorch = pytest.importorskip("torch")
    code = missing.TENSOR[name].removeprefix("write ").partition(", which")[0]
    x, y = (np.random.default_rng(i).uniform(0.5, 2, (3, 4)).astype(np.float32) for i in range(2))
    ours = eval(code, {"x": Tensor(x), "y": Tensor(y.T.copy() if name == "mm" else y), "math": math})
    their_x, their_y = pytorch.from_numpy(x), pytorch.from_numpy(y)
    attribute = getattr(their_x, name)
    theirs = attribute if ARGUMENTS[name] is None else attribute(*[
        eval(argument, {"y": their_y}) for argument in filter(None, [ARGUMENTS[name]])])
    if isinstance(theirs, tuple):
        ours, theirs = np.stack([np.asarray(part) for part in ours]), pytorch.stack(theirs)
    if not isinstance(theirs, pytorch.Tensor):
        assert ours == theirs
        return
    np.testing.assert_allclose(np.asarray(ours), theirs.numpy(), rtol=1e-5)


@pytest.mark.parametrize("setting", ["unbiased", "dtype"])
def test_settings_are_answered(setting):
    with pytest.raises(TypeError, match=re.escape(missing.SETTINGS[setting])):
        Tensor(np.ones(3, np.float32)).var(**{setting: False})


def test_dunder_names_and_copies_are_as_before():
    """Copying and pickling ask for names that may be missing. A subclass may have what its base class lacks."""
    layer = minidl.nn.Linear(2, 3)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin.weight.data, layer.weight.data)
    assert not hasattr(Tensor(1.0), "__array_interface__")
    assert not hasattr(layer, "about")

    class Own(minidl.nn.Module):
        def __init__(self):
            self.half = 0.5

        def compile(self):
            return self.half
    assert Own().compile() == 0.5
