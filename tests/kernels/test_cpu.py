"""What only the compiled kernels have: edges of tiles, threads, vector widths; and the choice of backend."""

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minidl import kernels
from minidl.kernels import Window, plain

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

import every_kernel

from minidl.kernels import cpu
from minidl.kernels.cpu.gemm.indirect import Epilogue, Operand, TapTable, indirect_gemm
from minidl.kernels.cpu.gemm.packing import bias_row, pack_panels, panel_width
from minidl.kernels.cpu.layout import transposed
from minidl.kernels.cpu.runtime import target
from minidl.kernels.cpu.runtime.target import MR
from minidl.kernels.cpu.runtime.threads import turn

EVERY = Path(__file__).with_name("every_kernel.py")


def start(*arguments, **environment):
    """A running process of a fresh Python."""
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=os.environ | path | environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    """What the process printed."""
    out, error = process.communicate()
    assert process.returncode == 0, error
    return out.strip()


def run(*arguments, **environment):
    """What a fresh Python prints."""
    return finish(start(*arguments, **environment))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_at_the_edges_of_tiles_and_panels(dtype):
    rng, width = np.random.default_rng(0), panel_width(np.empty(0, dtype))
    for m in (1, MR - 1, MR, MR + 1, 3 * MR):
        for n in (1, width // 4, width // 2, width // 2 + 1, width - 1, width, width + 1, 200, 4 * width + 3):
            a, b = rng.standard_normal((m, 37)), rng.standard_normal((37, n))
            out = cpu.matmul(a.astype(dtype), b.astype(dtype))
            np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-4 if dtype == "float32" else 1e-12)


def test_a_long_inner_length_is_cut_and_summed():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 12_345)), rng.standard_normal((12_345, 70))
    np.testing.assert_allclose(cpu.matmul(a, b), a @ b, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(cpu.matmul(b.T, a.T), (a @ b).T, rtol=1e-10, atol=1e-10)


def test_nothing_outside_the_result_is_written():
    rng = np.random.default_rng(0)
    for n in (1, 5, 17, 33):
        a, b = rng.standard_normal((15, 9)).astype(np.float32), rng.standard_normal((9, n)).astype(np.float32)
        around = np.full((15 + 2, n + 40), 5, np.float32)
        expected = around.copy()
        expected[1:-1, 20:-20] = cpu.matmul(a, b)
        inside = around[1:-1, 20:-20]
        offset = inside.__array_interface__["data"][0] - around.__array_interface__["data"][0]
        indirect_gemm((1, 1, 15), Operand(a, 0, (0, 0, a.strides[0])), TapTable(np.zeros((1, 1), np.int64), 9, 4),
                      pack_panels(b[None, None, :, None]), Operand(around, offset, (0, 0, around.strides[0])),
                      Epilogue(bias_row(a, None, n)))
        np.testing.assert_array_equal(around, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 48), (3, 17, 45), (1, 200, 8), (2, 3, 100)])
def test_transposes_of_whole_and_partial_vectors(shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    np.testing.assert_array_equal(transposed(x), x.transpose(0, 2, 1))


def test_the_script_runs_every_kernel():
    text = EVERY.read_text(encoding="utf-8")
    assert [name for name in cpu.__all__ if f"kernels.{name}(" not in text] == []


@pytest.fixture(scope="module")
def own_digest():
    """The hash of all results in this process, with its number of threads."""
    return every_kernel.digest()


@pytest.mark.parametrize("environment", [
    {"NUMBA_NUM_THREADS": "3"},
    pytest.param({"NUMBA_NUM_THREADS": "1"}, marks=pytest.mark.slow),
    pytest.param({"NUMBA_NUM_THREADS": "2"}, marks=pytest.mark.slow),
    pytest.param({"OMP_PROC_BIND": "true"}, marks=pytest.mark.slow),
], ids=str)
def test_the_bits_do_not_depend_on_the_number_of_threads(own_digest, environment):
    assert run(EVERY, **environment) == own_digest


@pytest.mark.slow
def test_other_vectors_give_the_same_results(tmp_path):
    """With vectors of 4, 8 and 16 float32 elements. All other tests use the machine's own width.

    F(2x2, 5x5) has a bound of its own, because other widths split the sums of its weight gradient differently.

    Compiling every kernel again takes a minute or two, so the widths run at the same time, and for one dtype.
    """
    own = str(target.VECTOR_BYTES)
    started = []
    for width in ("16", "32", "64"):
        cache = {} if width == own else {"NUMBA_CACHE_DIR": str(tmp_path / width)}
        started.append(start(EVERY, tmp_path / f"{width}.npz", MINIDL_VECTOR_BYTES=width, **cache))
    for process in started:
        finish(process)
    with np.load(tmp_path / f"{own}.npz") as expected:
        for width in ("16", "32", "64"):
            with np.load(tmp_path / f"{width}.npz") as other:
                assert set(other) == set(expected)
                for name in other:
                    size = max(1.0, float(abs(expected[name]).max()))
                    bound = 2e-5 if name.startswith(("Winograd's, of 5x5", "Winograd's, grouped")) else 1e-5
                    np.testing.assert_allclose(other[name] / size, expected[name] / size, rtol=0, atol=bound,
                                               err_msg=f"{name}, {width} bytes")


@pytest.mark.parametrize("shape", [(40, 3, 30, 20), (9, 65, 8, 8), (33, 700, 3, 2)])
@pytest.mark.parametrize(("mean", "first"), [(100, 100), (0, 1000), (1e4, 0)])
def test_moments_do_not_cancel(shape, mean, first):
    """Where elements are far from 0, and where the first pixel, and one in the last row, are far from all others."""
    x = (np.random.default_rng(0).standard_normal(shape) + mean).astype(np.float32)
    x[0, :, 0, 0] = x[-1, :, -1, -2] = first
    (mean, var), (exact_mean, exact_var) = cpu.channel_moments(x), plain.channel_moments(x.astype(np.float64))
    assert (abs(mean - exact_mean) <= 1e-6 * abs(exact_mean) + 1e-5 * np.sqrt(exact_var)).all()
    np.testing.assert_allclose(var, exact_var, rtol=1e-4)


def exactly(function, *arguments):
    """The result of the plain function of that name, in float64."""
    return getattr(plain, function)(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments))


def close(results, exact):
    """Equal up to 1e-4 of the largest element of each."""
    for ours, theirs in zip(results, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * abs(theirs).max())


@pytest.mark.parametrize("shape", [(40, 3, 30, 20), (9, 65, 8, 8), (33, 700, 3, 2)])
@pytest.mark.parametrize("ceiling", [None, 0.5])
@pytest.mark.parametrize("adds", [False, True])
def test_batch_norms_of_many_rows(shape, ceiling, adds):
    rng = np.random.default_rng(0)
    grad, add, x = (rng.standard_normal(shape).astype(np.float32) for _ in range(3))
    x += 100
    add = add if adds else None
    weight, bias = rng.standard_normal((2, shape[1])).astype(np.float32)
    mean, var = cpu.channel_moments(x)
    (out, passed), (exact, _) = (f("batch_norm", x, weight, bias, add, mean, var, 1e-5, True, ceiling)
                                 for f in (lambda name, *a: getattr(cpu, name)(*a), exactly))
    close([out], [exact])
    where = (out > 0) & (out < (ceiling or np.inf))
    rest = (x, weight, mean, var, 1e-5, True, adds)
    close(cpu.batch_norm_gradient(grad, passed, *rest)[:3 + adds],
          exactly("batch_norm_gradient", grad, where, *rest)[:3 + adds])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, None])
@pytest.mark.parametrize("step", [1, 2])
def test_running_statistics(dtype, momentum, step):
    def inputs():
        rng = np.random.default_rng(0)
        mean, var, new_mean, new_var = rng.random((4, 300 * step)).astype(dtype)[:, ::step]
        return mean, var, np.array(3), new_mean, new_var, momentum, 7
    expected, given = plain.move_moments(*inputs()), inputs()
    for in_place in (False, True):
        moved = cpu.move_moments(*given, in_place)
        for one, other in zip(moved, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-6 if dtype == "float32" else 1e-13)
        assert all((one is old) == in_place for one, old in zip(moved, given[:3], strict=True))
        assert given[2] == 3 + in_place


@pytest.mark.parametrize("mean", [0, 1e4])
@pytest.mark.parametrize(("shape", "axes"), [
    ((300, 70), 1), ((70, 3, 257), 1), ((5, 3000), 1), ((6, 16, 30, 20), 3), ((3, 10, 1000), 2), ((2, 3, 9000), 1),
])
def test_layer_norms_of_many_and_of_long_rows(shape, axes, mean):
    rng, some = np.random.default_rng(0), shape[-axes:]
    x, grad = ((rng.standard_normal(shape) + m).astype(np.float32) for m in (mean, 0))
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    weight, bias = rng.standard_normal((2, *some)).astype(np.float32)
    first, exact = cpu.layer_norm(x, weight, bias, 1e-5), exactly("layer_norm", x, weight, bias, 1e-5)
    close(first, exact)
    close(cpu.layer_norm_gradient(grad, x, weight, *first[1:]),
          exactly("layer_norm_gradient", grad, x, weight, *exact[1:]))


@pytest.mark.parametrize("mean", [0, 1e4])
@pytest.mark.parametrize(("shape", "groups"), [((3, 96, 30, 20), 32), ((40, 6, 9, 8), 2), ((2, 8, 70, 50), 8)])
def test_group_norms_of_many_rows(shape, groups, mean):
    rng = np.random.default_rng(0)
    x, grad = ((rng.standard_normal(shape) + m).astype(np.float32) for m in (mean, 0))
    weight, bias = rng.standard_normal((2, shape[1])).astype(np.float32)
    first, exact = cpu.group_norm(x, groups, weight, bias, 1e-5), exactly("group_norm", x, groups, weight, bias, 1e-5)
    close(first, exact)
    close(cpu.group_norm_gradient(grad, x, weight, *first[1:]),
          exactly("group_norm_gradient", grad, x, weight, *exact[1:]))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_row(number):
    x = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
    x[1, 17] = number
    out, *_ = cpu.layer_norm(x, np.ones(40, np.float32), np.zeros(40, np.float32), 1e-5)
    assert np.isnan(out[1]).all()
    assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_of_arrays_large_enough_for_threads(dtype):
    x = np.random.default_rng(0).standard_normal((3, 40, 30, 20)).astype(dtype)
    x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    grad = np.random.default_rng(1).standard_normal(x.shape).astype(dtype)
    for a in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.repeat(x, 2, axis=3)[..., ::2], x[::-1]):
        for ceiling in (None, 0.5):
            out = cpu.relu(a, ceiling)
            np.testing.assert_array_equal(out, plain.relu(a, ceiling))
            np.testing.assert_array_equal(cpu.relu_gradient(grad, out, ceiling),
                                          plain.relu_gradient(grad, out, ceiling))
            assert out.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_addition_of_arrays_large_enough_for_threads(dtype):
    x = np.random.default_rng(0).standard_normal((3, 40, 30, 20)).astype(dtype)
    x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    last = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    for a in (x, last, np.repeat(x, 2, axis=3)[..., ::2], x[::-1]):
        for b in (x + 1, last * 2, x[:, :, ::-1], x[:1], x.astype(np.float32)):
            out = cpu.add(a, b)
            np.testing.assert_array_equal(out, a + b)
            assert out.dtype == (a + b).dtype
    assert cpu.add(last, last).strides == last.strides


def test_an_unknown_vector_width_is_refused():
    assert "MINIDL_VECTOR_BYTES=48 is none of 16, 32, 64" in run(
        "-c", "try:\n import minidl.kernels.cpu\nexcept ValueError as error: print(error)", MINIDL_VECTOR_BYTES="48")


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("size", "kernel", "padding", "dilation"), [
    ((6, 5), (5, 5), 2, 1), ((3, 4), (5, 3), 4, 1), ((9, 14), (3, 3), 3, 2), ((2, 2), (3, 3), 1, 1),
    ((1, 1), (7, 7), 3, 1), ((3, 4), (2, 3), 4, 1),
])
@pytest.mark.parametrize(("c", "f"), [(1, 6), (20, 40), (150, 7)])
def test_taps_over_padding_alone_are_left_out(size, kernel, padding, dilation, c, f, relu):
    rng = np.random.default_rng(0)
    window = Window(kernel, padding=((padding, padding), (padding, padding)), dilation=(dilation, dilation))
    x, w, b = rng.standard_normal((3, c, *size)), rng.standard_normal((f, c, *kernel)), rng.standard_normal(f)
    out = cpu.conv2d(x, w, b, window, relu=relu)
    np.testing.assert_allclose(out, plain.conv2d(x, w, b, window, relu=relu), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(cpu.conv2d_input_gradient(out, w, x.shape, window),
                               plain.conv2d_input_gradient(out, w, x.shape, window), rtol=1e-10, atol=1e-9)


def test_the_choice_of_backend():
    x = np.zeros(3, np.float32)
    assert kernels.backend(x) is cpu
    with kernels.using("plain"):
        assert kernels.backend(x) is plain
    assert kernels.backend(x) is cpu
    assert kernels.backend(np.zeros(3, np.int64)) is plain
    with pytest.raises(ValueError, match="backend='quick' is none of 'auto', 'plain'"):
        kernels.use("quick")
    for name in ("winograd", "all_cores"):
        with pytest.raises(TypeError, match=f"{name}=1 must be True or False"):
            kernels.use(**{name: 1})


def test_threads_that_compute_alone_compute_at_once():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((8, 16, 32, 32), (16, 16, 3, 3)))
    window = Window((3, 3), padding=((1, 1), (1, 1)))
    expected, found = cpu.conv2d(x, w, None, window), [None] * 3

    def compute(i):
        with kernels.using(all_cores=False):
            found[i] = [cpu.conv2d(x, w, None, window) for _ in range(5)]
    with turn:                                                         # all cores are taken
        threads = [threading.Thread(target=compute, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert kernels.settings.all_cores
    for out in itertools.chain(*found):
        np.testing.assert_array_equal(out, expected)


def test_a_window_over_padding_alone_has_no_gradient():
    window = Window((2, 2), (3, 3), ((1, 1), (1, 1)), (2, 2))            # both of its rows are outside the image
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5)
    out, winner = cpu.max_pool2d(x, window)
    assert (out[0, 0, 0] == -np.inf).all()
    assert not cpu.max_pool2d_gradient(np.ones_like(out), winner, x.shape, window).any()
