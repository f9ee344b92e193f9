"""The emulator of CUDA C runs right kernels, and finds the fault in each wrong one."""

from pathlib import Path

import emulator
import numpy as np
import pytest
import strict_array as xp
from emulator import LaunchError

UP, DOWN = np.arange(64), np.arange(64)[::-1]
REVERSED = "__shared__ float s[64]; s[t] = x[t]; %s x[t] = s[63 - t];"
ASYNC_COPY = """__shared__ __align__(16) float s[64];
    if (t < 16) copy_async16(&s[4 * t], x + 4 * t, true);
    commit_copies(); %s __syncthreads(); x[t] = s[63 - t];"""
TWO_ROUNDS = """__shared__ float s[64]; float sum = 0;
    for (int r = 0; r < 2; r++) { s[t] = x[t] + r; __syncthreads(); sum += s[63 - t]; %s } x[t] = sum;"""
LAST_BLOCK = """__shared__ unsigned last;
    %s if (t == 0) x[blockIdx.x] = blockIdx.x + 1; __threadfence(); __syncthreads();
    if (t == 0) last = atomicAdd((unsigned*)x + 32, 1u) == gridDim.x - 1;
    __syncthreads();
    if (!last || t) return;
    float sum = 0;
    for (int i = 0; i < gridDim.x; i++) sum += x[i];
    x[33] = sum, ((unsigned*)x)[32] = 0;"""


RIGHT = {
    "shared memory": REVERSED % "__syncthreads();",
    "asynchronous copy": ASYNC_COPY % "await_copies<0>();",
    "dynamic shared memory": "DYNAMIC_SHARED(float, s); s[t] = x[t]; __syncthreads(); x[t] = s[63 - t];",
    "warp shuffle": """float v = __shfl_xor_sync(~0u, x[t], 31);
        __shared__ float s[64]; s[t ^ 32] = v; __syncthreads(); x[t] = s[t];""",
}
OTHERS = {
    "warp sums": """float v = x[t];
        for (int i = 16; i; i /= 2) v += __shfl_down_sync(~0u, v, i);
        if (t % 32 == 0) x[t] = v;""",
    "ballot": "x[t] = __popc(__ballot_sync(~0u, t % 3 == 0));",
    "count": "x[t] = __syncthreads_count(t < 5);",
    "or and and": "x[t] = __syncthreads_or(t == 5) + 2 * __syncthreads_and(t == 5);",
    "last block": LAST_BLOCK % "",
    "unwritten shared": "__shared__ float s[64]; x[t] = s[t];",
    "unwritten dynamic": "DYNAMIC_SHARED(float, s); x[t] = s[t];",
    "no wait": ASYNC_COPY % "",
    "wait for all but one": ASYNC_COPY % "await_copies<1>();",
}
FAULTS = {                           # what is wrong: (body, what the message says, other settings)
    "a barrier that half of the threads reach": (
        "if (t < 32) __syncthreads();\n if (t >= 32) { \n __syncthreads(); }", "is stuck: thread 0 waits at"),
    "a barrier after some returned at another": (
        "if (t == 5) { __syncthreads(); return; } \n __syncthreads();", "thread 5 at"),
    "a read past the end": ("if (t == 7) x[0] = x[t + 57];", r"block \(0, 0, 0\), thread \(7, 0, 0\): no memory at .*, "
                            "0 bytes after the end of argument x"),
    "a write past the end": ("x[t + 1] = 0;", r"thread \(63, 0, 0\): .* 0 bytes after the end of argument x"),
    "a write far before the start": ("if (t == 3) x[-1500] = 0;",
                                     r"thread \(3, 0, 0\): .* before the start of argument x"),
    "a write just before the start": ("if (t == 0) x[-1] = 0;", "wrote outside of argument x"),
    "a write to a constant": ("((float*)x)[t] = 1;", "must not write to .* inside of argument x",
                              {"parameters": "const float* x"}),
    "an index outside of shared memory": ("__shared__ float s[64]; s[t + 1] = x[t]; __syncthreads(); x[t] = s[t];",
                                          r"thread \(63, 0, 0\): an index outside of a fixed array"),
    "an index outside of a local array": (
        "float s[4]; for (int i = 0; i <= 4; i++) s[i] = x[i]; x[t] = s[t % 4];", "outside of a fixed array"),
    "an index outside of dynamic shared memory": ("DYNAMIC_SHARED(float, s); s[t + 1] = 0;",
                                                  "0 bytes after the end of the 256 bytes of dynamic shared memory"),
    "a misaligned vector": ("float4 v = *(float4*)(x + 1); x[t] = v.x;", "misaligned"),
    "a misaligned asynchronous copy": ("__shared__ __align__(16) float s[64]; copy_async16(s, x + 1, true);",
                                       "not aligned"),
    "an overflow": ("int y = 2147483647; x[t] = y + t + int(x[1]);", "overflow"),
    "a warp function without one lane": ("if (t != 3) x[t] = __shfl_xor_sync(~0u, x[t], 1);", "lane 3|stuck"),
    "a warp function in two lines": ("if (t % 2) x[t] = __shfl_xor_sync(~0u, x[t], 1);\n"
                                     "else x[t] = __shfl_xor_sync(~0u, x[t], 1);", "waits at"),
    "a lane outside of its mask": ("x[t] = __shfl_xor_sync(0xffffu, x[t], 1);", "without being in its mask"),
    "blocks that write to one address": ("if (t == 0) x[0] = blockIdx.x + 1;", "depends on the order", {"grid": 4}),
    "blocks that read what others write": ("x[t] = x[63 - t] + blockIdx.x;", "depends on the order", {"grid": 3}),
    "blocks that add in any order": ("atomicAdd(x, 0.1f * (t + blockIdx.x));", "depends on the order", {"grid": 3}),
    "a missing barrier": (REVERSED % "", "depends on the order"),
    "a missing barrier before the next round": (TWO_ROUNDS % "", "depends on the order"),
    "a missing barrier of a warp": ("__shared__ volatile float s[64]; s[t] = x[t]; x[t] = s[t ^ 1];",
                                    "depends on the order"),
    "an array of another dtype": ("x[t] = 0;", "argument x holds float32, and the kernel takes double",
                                  {"parameters": "double* x"}),
    "a number of Python": ("", "argument y must be a NumPy scalar",
                           {"parameters": "float* x, float y", "args": (1.0,)}),
    "a number of another dtype": ("", "argument y is float64, and the kernel takes float",
                                  {"parameters": "float* x, float y", "args": (np.float64(1),)}),
    "a structure of another size": ("", "argument s has 8 bytes, and .* has 12", {
        "parameters": "float* x, Three s", "args": (np.zeros(1, [("a", "i4"), ("b", "i4")]),)}),
    "too few arguments": ("", "takes 2 arguments, not 1", {"parameters": "float* x, float y"}),
    "an array of the host": ("", "argument y must be an array of the device",
                             {"parameters": "float* x, float* y", "args": (np.zeros(3, "f"),)}),
    "an array with gaps": ("", "argument y is not C-contiguous",
                           {"parameters": "float* x, float* y", "args": (xp.ones((4, 4), dtype="f")[:, ::2],)}),
    "too many threads": ("", "cannot be launched", {"block": 2048}),
    "too much shared memory": ("", "cannot be launched", {"shared_mem": 50_000}),
}


@pytest.fixture(scope="module")
def launch():
    """launch(name, ...) gives what x (64,) is after one launch of a kernel of this file; all are one source."""
    bodies = RIGHT | OTHERS | {name: body for name, (body, *_) in FAULTS.items()}
    parameters = {name: settings[0].get("parameters", "float* x")
                  for name, (_, _, *settings) in FAULTS.items() if settings}
    names, kernels = {name: f"k{i}" for i, name in enumerate(bodies)}, ["struct Three { int a, b, c; };"]
    for name, body in bodies.items():
        head = f'extern "C" __global__ void {names[name]}({parameters.get(name, "float* x")})'
        kernels.append(head + " {\nconst int t = threadIdx.x; " + body + " }")
    module = emulator.RawModule(code="\n".join(kernels))

    def launch(name, args=(), grid=1, block=64, shared_mem=256, x=UP, parameters=None):
        x = xp.asarray(x.astype(np.float32))
        module.get_function(names[name])((grid,), (block,), (x, *args), shared_mem=shared_mem)
        return x.get()
    return launch


@pytest.mark.parametrize("name", RIGHT)
def test_right_kernels(launch, name):
    with emulator.twice():
        np.testing.assert_array_equal(launch(name), DOWN)


def test_warp_and_block_functions(launch):
    assert launch("warp sums")[[0, 32]].tolist() == [496, 1520]
    assert launch("ballot")[[0, 63]].tolist() == [11, 11]
    assert (launch("count") == 5).all()
    assert (launch("or and and") == 1).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(launch, fault):
    _, message, *settings = FAULTS[fault]

    def launch_often():                                  # two orders may agree by chance
        for _ in range(8):
            launch(fault, **dict(*settings))
    with emulator.twice(), pytest.raises(LaunchError, match=message):
        launch_often()


def test_right_sums_of_the_last_block(launch):
    with emulator.twice():
        out = launch("last block", grid=4, x=np.zeros(64))
    assert out[32:34].tolist() == [0, 10]


def test_memory_that_nobody_wrote_is_nan(launch):
    assert np.isnan(launch("unwritten shared")).all()
    assert np.isnan(launch("unwritten dynamic")).all()
    assert np.isnan(xp.empty((3, 4)).get()).all()


def test_asynchronous_copies_arrive_as_late_as_they_may(launch):
    assert np.isnan(launch("no wait")).all()
    assert np.isnan(launch("wait for all but one")).all()


def test_emulation_goes_on_after_a_fault(launch):
    with pytest.raises(LaunchError):
        launch("a write past the end")
    np.testing.assert_array_equal(launch("shared memory"), DOWN)


def test_sources_share_the_stacks_of_their_threads():
    """Linux grants a process 65,530 mappings. Stacks of its own for each source have used them up."""
    def mappings():
        return len(Path("/proc/self/maps").read_text().splitlines())
    x, before = xp.zeros(1024, dtype="f"), None
    for i in range(5):
        code = f'extern "C" __global__ void k{i}(float* x) {{ x[threadIdx.x] = {i}; }}'
        emulator.RawModule(code=code).get_function(f"k{i}")((1,), (1024,), (x,))
        assert x.get().tolist() == [i] * 1024
        before = before or mappings()
    assert mappings() < before + 500


def test_a_source_with_an_error_is_refused():
    with pytest.raises(emulator.SourceError, match="refuses"):
        emulator.RawModule(code="this is no C;")


def test_addresses_in_tables_are_fenced():
    table = np.zeros(1, [("at", np.uint64, 2)])
    arrays = [xp.zeros(8, dtype="f"), xp.zeros(16, dtype="f")]
    table["at"] = [a.data.ptr for a in arrays]
    code = """struct Table { float* at[2]; };
        extern "C" __global__ void k(Table table, int size) { table.at[blockIdx.x][threadIdx.x] = size; }"""
    kernel = emulator.RawModule(code=code).get_function("k")
    kernel((2,), (8,), (table, np.int32(3)))
    assert arrays[0].get().tolist() == [3] * 8
    assert arrays[1].get().tolist() == [3] * 8 + [0] * 8
    with pytest.raises(LaunchError, match=r"thread \(8, 0, 0\): .* 0 bytes after the end of an array of table.at"):
        kernel((1,), (9,), (table, np.int32(3)))


@pytest.mark.parametrize(("name", "dtype"), [("float", "f4"), ("double", "f8"), ("half", "f2")])
def test_what_was_read_behind_one_array_and_written_behind_another_shows(name, dtype):
    """All of it lies in the few bytes between an array's end and the next page: nothing else would notice."""
    code = f"""extern "C" __global__ void k(const {name}* x, {name}* y) {{ y[threadIdx.x] = x[threadIdx.x]; }}"""
    kernel = emulator.RawModule(code=code).get_function("k")
    size = 16 // np.dtype(dtype).itemsize - 1
    x, y = xp.ones(size, dtype=dtype), xp.zeros(size, dtype=dtype)
    kernel((1,), (size,), (x, y))
    assert y.get().tolist() == [1] * size
    with pytest.raises(LaunchError, match="wrote outside of argument y"):
        kernel((1,), (size + 1,), (x, y))


@pytest.mark.parametrize("name", ["half", "bfloat16"])
def test_half_precision_is_rounded_to_the_nearest(name):
    edges = [0.0, -0.0, 1, 65519, 65520, 2.0**-24, 2.0**-25, 1 + 2.0**-11, 1 + 3 * 2.0**-11, np.inf, np.nan]
    drawn = np.random.default_rng(0).standard_normal(2000) * 10.0 ** np.linspace(-9, 6, 2000)
    values = np.concatenate([drawn, edges]).astype(np.float32)
    code = f"""extern "C" __global__ void k(const float* x, float* out, int size) {{
        int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < size) out[i] = widen(narrow<{name}>(x[i])); }}"""
    x, out = xp.asarray(values), xp.empty(len(values), dtype=np.float32)
    emulator.RawModule(code=code).get_function("k")((8,), (256,), (x, out, np.int32(len(values))))
    if name == "half":
        with np.errstate(over="ignore"):
            expected = values.astype(np.float16).astype(np.float32)
    else:
        bits = values.view(np.uint32).astype(np.uint64)
        expected = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(out.get(), expected)
