"""DataLoader: the contents of an epoch, reproducibility, and that its thread always ends."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.data import DataLoader, ImageDataset, drawn_digits


@pytest.fixture(scope="module", autouse=True)
def no_threads_of_other_tests():
    """Runs that other tests have killed keep theirs until their exceptions are collected."""
    gc.collect()


class Numbers:
    """A data set whose image i is the number i; it records how many batches were made, and on which cores."""

    def __init__(self, count, fail_at=None, delay=0):
        self.count, self.fail_at, self.delay = count, fail_at, delay
        self.made, self.affinity = 0, None

    def __len__(self):
        return self.count

    def batch(self, indices):
        time.sleep(self.delay)
        if self.made == self.fail_at:
            raise ArithmeticError("batch cannot be made")
        self.made += 1
        if hasattr(os, "sched_getaffinity"):
            self.affinity = os.sched_getaffinity(0)
        return indices.astype(np.float32), indices


def epoch_of(loader):
    return [labels.tolist() for _, labels in loader]


def data_threads():
    return [t for t in threading.enumerate() if t.name.startswith("minidl-data")]


def assert_thread_ends():
    deadline = time.monotonic() + 2
    while data_threads():
        assert time.monotonic() < deadline, "the loader's thread is still running"
        time.sleep(0.001)


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 4), st.integers(0, 3))
def test_an_epoch_contains_every_image_once(count, batch_size, shuffle, drop_last, prefetch, epoch):
    drop_last = drop_last and batch_size <= count
    loader = DataLoader(Numbers(count), batch_size, shuffle, 7, drop_last, prefetch)
    loader.epoch = epoch
    batches = epoch_of(loader)
    assert len(batches) == len(loader)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert len(batches[-1]) == ((count - 1) % batch_size + 1 if not drop_last else batch_size)
    seen = [i for batch in batches for i in batch]
    assert len(set(seen)) == len(seen) == (count // batch_size * batch_size if drop_last else count)
    assert set(seen) <= set(range(count))
    if not shuffle:
        assert seen == list(range(len(seen)))

    plain = DataLoader(Numbers(count), batch_size, shuffle, 7, drop_last, prefetch=0)
    plain.epoch = epoch
    assert epoch_of(plain) == batches
    assert loader.epoch == plain.epoch == epoch + 1


def test_order_depends_on_epoch_and_seed_and_can_be_resumed():
    loader = DataLoader(Numbers(100), 10, shuffle=True, seed=3)
    epochs = [epoch_of(loader) for _ in range(3)]
    others = epoch_of(DataLoader(Numbers(100), 10, shuffle=True, seed=4))
    assert len({str(e) for e in [*epochs, others]}) == 4

    resumed = DataLoader(Numbers(100), 10, shuffle=True, seed=3)
    resumed.epoch = 2
    assert epoch_of(resumed) == epochs[2]


def test_iter_counts_an_epoch_and_two_iterators_are_independent():
    loader = DataLoader(Numbers(6), 2, shuffle=True)
    first, second = iter(loader), iter(loader)
    assert loader.epoch == 2
    mixed = [(a[1].tolist(), b[1].tolist()) for a, b in zip(first, second, strict=True)]
    loader.epoch = 0
    assert [a for a, _ in mixed] == epoch_of(loader)
    assert [b for _, b in mixed] == epoch_of(loader)
    assert_thread_ends()


def test_batches_of_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 3), dtype=np.uint8)
    data = ImageDataset(images, [0, 1, 0, 1, 0], "ab", mean=(0.5,), std=(0.25,))
    batches = list(DataLoader(data, 2))
    assert [x.shape for x, _ in batches] == [(2, 1, 4, 3), (2, 1, 4, 3), (1, 1, 4, 3)]
    assert all(x.dtype == np.float32 and x.flags.c_contiguous and y.dtype == np.int64 for x, y in batches)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), data.batch(range(5))[0])


@pytest.mark.parametrize("prefetch", [1, 3])
def test_at_most_prefetch_batches_are_prepared_ahead(prefetch):
    data = Numbers(100)
    batches = iter(DataLoader(data, 1, prefetch=prefetch))
    for taken in range(1, 20):
        next(batches)
        time.sleep(0.002)
        assert data.made <= taken + prefetch
    del batches
    assert_thread_ends()


def test_break_ends_the_thread():
    for _ in DataLoader(Numbers(100), 1):
        break
    assert_thread_ends()


def test_close_does_not_wait_for_a_slow_batch():
    data = Numbers(100, delay=0.2)
    batches = iter(DataLoader(data, 1, prefetch=4))
    next(batches)
    start = time.monotonic()
    batches.close()
    assert time.monotonic() - start < 0.1
    assert_thread_ends()
    assert data.made <= 2  # the one consumed and the one in progress


def test_exception_in_the_consumer_ends_the_thread():
    def consume():
        for _ in DataLoader(Numbers(100), 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    gc.collect()
    assert_thread_ends()


def test_iterator_in_a_reference_cycle_ends_when_collected():
    holder = []
    holder.extend([holder, iter(DataLoader(Numbers(100), 1))])
    next(holder[1])
    del holder
    gc.collect()
    assert_thread_ends()


def test_unused_iterator_has_no_thread():
    batches = iter(DataLoader(Numbers(100), 1))
    assert not data_threads()
    del batches


@pytest.mark.parametrize("prefetch", [0, 2])
def test_exception_in_the_data_set_keeps_its_traceback(prefetch):
    batches = iter(DataLoader(Numbers(10, fail_at=3), 1, prefetch=prefetch))
    assert [next(batches)[1][0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ArithmeticError, match="cannot be made") as caught:
        next(batches)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "batch"
    assert_thread_ends()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads can be bound to cores on Linux only")
def test_thread_does_not_inherit_the_core_of_the_main_thread():
    cores = os.sched_getaffinity(0)
    data = Numbers(4)
    os.sched_setaffinity(0, {min(cores)})
    try:
        list(DataLoader(data, 1))
    finally:
        os.sched_setaffinity(0, cores)
    assert data.affinity == cores


def test_interpreter_can_exit_during_an_epoch():
    code = (
        "from minidl.data import DataLoader, drawn_digits\n"
        "batches = iter(DataLoader(drawn_digits(50), 1))\n"
        "next(batches)\n"
        "print('done')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", 2.0),
        ("batch_size", True),
        ("batch_size", None),
        ("prefetch", -1),
        ("seed", -1),
        ("seed", "x"),
    ],
)
def test_invalid_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*{value!r}"):
        DataLoader(Numbers(4), **{name: value})


def test_negative_epoch_is_refused():
    loader = DataLoader(Numbers(4))
    with pytest.raises(ValueError, match="epoch must be"):
        loader.epoch = -1


@pytest.mark.parametrize(("count", "settings"), [(0, {}), (5, {"batch_size": 8, "drop_last": True})])
def test_epoch_without_batches_is_refused(count, settings):
    with pytest.raises(ValueError, match=f"no batches: {count} images"):
        DataLoader(Numbers(count), **settings)


# The seed

def orders(loader, epochs=2):
    return [epoch_of(loader) for _ in range(epochs)]


def shuffled(seed=None):
    return DataLoader(Numbers(30), 4, shuffle=True, seed=seed)


def test_epochs_of_one_loader_differ():
    assert len(set(map(str, orders(shuffled(), 4)))) == 4


def test_without_a_seed_the_order_follows_manual_seed():
    found = []
    for seed in (1, 2, 1):
        minidl.manual_seed(seed)
        found.append(orders(shuffled()))
    assert found[0] == found[2] != found[1]


def test_the_seed_is_drawn_when_it_is_needed():
    """So that `manual_seed` counts, also between building a loader and using it, and later: it begins anew."""
    loader, found = shuffled(), []
    for seed in (1, 2, 1):
        minidl.manual_seed(seed)
        found.append(orders(loader))
    assert found[0] == found[2] != found[1]
    assert loader.epoch == 2
    minidl.manual_seed(1)
    loader.epoch = 1
    assert epoch_of(loader) == found[0][1]


def test_a_loader_with_a_seed_goes_on_after_manual_seed():
    loader = shuffled(seed=1)
    first = epoch_of(loader)
    minidl.manual_seed(1)
    assert epoch_of(loader) != first
    assert loader.epoch == 2


def test_loaders_without_a_seed_differ():
    minidl.manual_seed(0)
    assert orders(shuffled()) != orders(shuffled())


def test_with_a_seed_the_order_depends_on_nothing_else():
    minidl.manual_seed(1)
    first = orders(shuffled(np.int64(7)))
    minidl.manual_seed(2)
    assert orders(shuffled(7)) == first != orders(shuffled(0))


def test_loaders_that_need_no_seed_leave_the_random_numbers_alone():
    minidl.manual_seed(1)
    before = minidl.device.random_state()
    digits = drawn_digits(20)
    list(shuffled(3)), list(DataLoader(Numbers(30), 4)), list(DataLoader(Numbers(30), augment=False))
    list(DataLoader(digits, 4)), list(DataLoader(digits.take(9).subset([3, 5])))
    assert minidl.device.random_state() == before


def test_a_copy_goes_on_as_the_loader_does():
    loader = shuffled()
    epoch_of(loader)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(loader)))
    assert orders(twin) == orders(loader)


def test_a_handler_may_use_a_loader_while_another_waits():
    """In a process of its own, which a lock that is not re-entrant would hang."""
    code = """
import signal
from minidl.data import DataLoader, drawn_digits
digits, found = drawn_digits(60), []
def handler(*_):
    found.append(len(list(DataLoader(digits, 20))))
signal.signal(signal.SIGALRM, handler)
whole = [labels.tolist() for _, labels in DataLoader(digits, 1)]
for _ in range(60):
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    assert [labels.tolist() for _, labels in DataLoader(digits, 1)] == whole
    while signal.getitimer(signal.ITIMER_REAL)[0]:
        pass
print(set(found))
"""
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timers")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "{3}\n", "")
