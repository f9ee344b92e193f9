"""Models record their factory, and networks described by untrusted files stay small."""

import threading

import pytest

import minidl.nn as nn
from minidl.nn import init


@nn.architecture
def network(width, *, depth=2, **more):
    """A network."""
    return nn.Linear(width, depth)


def test_settings_are_the_given_ones_and_the_defaults():
    assert network(3).architecture == {"name": "network", "settings": {"width": 3, "depth": 2}}
    assert network(width=3, depth=1, slope=0.5).architecture["settings"] == {"width": 3, "depth": 1, "slope": 0.5}
    assert (network.__name__, network.__doc__) == ("network", "A network.")


def test_the_outermost_factory_counts():
    @nn.architecture
    def outer():
        return network(3)
    assert outer().architecture == {"name": "outer", "settings": {}}


def test_it_is_not_part_of_the_state():
    assert sorted(network(3).state_dict()) == ["bias", "weight"]


def test_wrong_settings_are_the_factorys_error():
    with pytest.raises(TypeError, match="width"):
        network()


def test_no_more_weights_than_allowed():
    with init.at_most(12):
        nn.Linear(2, 4)                                              # 8 and a bias of 4
        with pytest.raises(ValueError, match="more than is allowed"):
            nn.Linear(1, 1)
    with init.at_most(10), pytest.raises(ValueError, match="init: 1048576 more"):
        nn.Linear(1024, 1024)
    nn.Linear(9, 9)


def test_the_limit_holds_for_one_thread():
    with init.at_most(0):
        thread = threading.Thread(target=lambda: made.append(nn.Linear(9, 9)))
        made = []
        thread.start()
        thread.join()
    assert len(made) == 1
