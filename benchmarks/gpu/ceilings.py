"""What the card can do at most, the cost of launching, and what CuPy refuses while a stream is being captured."""

import time

from parts import Part, torch_ms

PRECISIONS = {"float32": ("float32", False), "tf32": ("float32", True), "float16": ("float16", False),
              "bfloat16": ("bfloat16", False)}


def copy_rate():
    """GB/s of reading and writing 1 GiB."""
    import torch
    size = 1 << 30
    a, b = (torch.zeros(size, dtype=torch.uint8, device="cuda").random_() for _ in range(2))
    return round(2 * size / torch_ms(lambda: b.copy_(a), repeats=2) / 1e6)


def product_rate(dtype, tf32):
    """TFLOP/s of a matrix product of 8192 x 8192 by cuBLAS."""
    import torch
    torch.backends.cuda.matmul.allow_tf32 = tf32
    x, y = (torch.randn(8192, 8192, device="cuda", dtype=getattr(torch, dtype)) for _ in range(2))
    return round(2 * 8192**3 / torch_ms(lambda: x @ y, count=5, repeats=1) / 1e9, 1)


def host_us(function, count=2000):
    """Microseconds of the host for one call."""
    import cupy
    cupy.cuda.Device().synchronize()
    begin = time.perf_counter()
    for _ in range(count):
        function()
    taken = (time.perf_counter() - begin) / count * 1e6
    cupy.cuda.Device().synchronize()
    return round(taken, 2)


def launch_costs():
    """Microseconds of the host for a launch, by CuPy's ways and by minidl's launcher, and of a kernel in a graph."""
    import cupy
    import numpy

    from minidl.kernels import gpu
    code = 'extern "C" __global__ void k(float* x, int n, float a) { if (threadIdx.x == 1000) x[0] = a * n; }'
    raw = cupy.RawModule(code=code).get_function("k")
    y = cupy.zeros(1024, dtype="f")
    numbers = y, numpy.int32(3), numpy.float32(1)
    raw((1,), (32,), numbers)
    function = raw.kernel
    found = {"RawKernel": host_us(lambda: raw((1,), (32,), numbers)),
             "RawKernel.kernel": host_us(lambda: function((1,), (32,), numbers)),
             "minidl's relu": host_us(lambda: gpu.relu(y)), "y + y": host_us(lambda: y + y),
             "empty(1024)": host_us(lambda: cupy.empty(1024, dtype="f"))}
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        for _ in range(100):
            function((1,), (32,), numbers)
        graph = stream.end_capture()
        graph.launch()
        stream.synchronize()
        begin = time.perf_counter()
        for _ in range(50):
            graph.launch()
        stream.synchronize()
    return found | {"a kernel in a graph": round((time.perf_counter() - begin) / 50 / 100 * 1e6, 2)}


def refused():
    """{operation: "works", or what CuPy says when it is called in a capture}"""
    import cupy
    x = cupy.ones((64, 64), dtype="f")
    rows = cupy.arange(3)
    operations = {
        "x + 1": lambda: x + 1, "x.sum()": x.sum, "x @ x": lambda: x @ x, "zeros": lambda: cupy.zeros(100),
        "empty, a new size": lambda: cupy.empty(123456789, dtype="B"), "x.get()": x.get, "copy": x.copy,
        "x[rows]": lambda: x[rows], "argmax": lambda: x.argmax(1), "float(x[0, 0])": lambda: float(x[0, 0]),
        "where": lambda: cupy.where(x > 0, x, 0), "concatenate": lambda: cupy.concatenate([x, x]),
        "asarray(list)": lambda: cupy.asarray([1.0]),
    }
    for operation in operations.values():
        operation()                              # compile first
    return {name: in_capture(operation) for name, operation in operations.items()}


def in_capture(operation):
    import cupy
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            operation()
            found = "works"
        except Exception as error:
            found = f"{type(error).__name__}: {str(error)[:80]}"
        try:
            stream.end_capture()
        except Exception as error:
            found += f"; the capture is lost: {str(error)[:60]}"
    return found


def main():
    part = Part("ceilings", __doc__)
    if not part.on_gpu:
        return
    part.attempt("copy_GB_per_s", copy_rate)
    for name, (dtype, tf32) in PRECISIONS.items():
        part.attempt(f"product_{name}_TFLOP_per_s", lambda dtype=dtype, tf32=tf32: product_rate(dtype, tf32))
    part.attempt("launch_us", launch_costs)
    part.attempt("in_a_capture", refused)


if __name__ == "__main__":
    main()
