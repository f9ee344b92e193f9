"""Data sets of single examples, and their loader."""

import numpy as np
import pytest

import minidl.torch as torch
from minidl import Tensor, data
from minidl.torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate, random_split


class Squares(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"number": index, "square": torch.tensor([float(index**2)]), "name": f"n{index}"}


def numbers(loader):
    return [batch["number"].tolist() for batch in loader]


def test_batches_in_order():
    loader = DataLoader(Squares(), batch_size=3)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert numbers(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches[1]["square"].tolist() == [[9], [16], [25]]
    assert batches[1]["name"] == ["n3", "n4", "n5"]
    assert isinstance(loader.dataset, Squares)
    assert numbers(DataLoader(Squares(), 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_order_of_its_own_in_each_epoch(num_workers):
    torch.manual_seed(0)
    loader = DataLoader(Squares(), batch_size=7, shuffle=True, num_workers=num_workers, pin_memory=True)
    first, second = numbers(loader), numbers(loader)
    assert sorted(first[0]) == sorted(second[0]) == list(range(7))
    assert first != second
    torch.manual_seed(0)
    assert numbers(loader) == first


def test_a_generator_decides_the_order():
    orders = [numbers(DataLoader(Squares(), 7, True, generator=torch.Generator().manual_seed(seed)))
              for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_the_default_is_a_batch_of_one():
    assert numbers(DataLoader(Squares()))[:2] == [[0], [1]]


def test_collate_fn():
    loader = DataLoader(Squares(), 2, collate_fn=lambda examples: sum(example["number"] for example in examples))
    assert list(loader) == [1, 5, 9, 6]


def test_a_data_set_of_minidl_gives_whole_batches():
    images, labels = next(iter(DataLoader(data.drawn_digits(8), batch_size=4)))
    assert isinstance(images, Tensor)
    assert images.shape == (4, 1, 28, 28)
    assert labels.dtype == np.int64
    part = DataLoader(Subset(data.drawn_digits(8), [5, 2]), batch_size=2)
    assert next(iter(part))[1].tolist() == [5, 2]


def test_collate():
    """As PyTorch's: Python's floats become float64, arrays and tensors keep their dtype."""
    x, (a, b) = default_collate([(np.ones(2, np.float32), (1, 0.5)), (np.zeros(2, np.float32), (2, 1.5))])
    assert (x.shape, x.dtype, a.dtype, b.dtype) == ((2, 2), np.float32, np.int64, np.float64)
    with pytest.raises(TypeError, match="an example holds a NoneType"):
        default_collate([None])


@pytest.mark.parametrize(("lengths", "expected"), [([5, 2], [5, 2]), ([0.5, 0.5], [4, 3]), ([0.9, 0.1], [7, 0])])
def test_random_split(lengths, expected):
    parts = random_split(Squares(), lengths, generator=torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == expected
    assert sorted(i for part in parts for i in part.indices) == list(range(7))


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: random_split(Squares(), [5, 5]), ValueError, r"lengths=\[5, 5\] must add up to the 7"),
    (lambda: TensorDataset(torch.ones(3), torch.ones(2)), ValueError, "the same first length"),
    (lambda: DataLoader(Squares(), sampler=[1]), TypeError, "sampler is not supported; use shuffle=True"),
    (lambda: DataLoader(Squares(), bach_size=1), TypeError, "bach_size is not supported"),
    (lambda: DataLoader(5), TypeError, "a int is no data set"),
    (lambda: DataLoader(Squares(), batch_size=0), ValueError, "batch_size"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
