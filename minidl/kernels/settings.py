"""Which kernels to use. Each thread has settings of its own, as it has a tape of its own.

Every thread starts with the defaults: the fastest backend for each array, and Winograd's algorithm where it saves time.
"""

import os
import threading

from minidl.scope import scope

BACKENDS = ("auto", "plain")
PRECISIONS = ("float32", "tf32")
DEFAULT = "plain" if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1" else "auto"


class Settings(threading.local):
    """backend: "auto" or "plain";  winograd: whether a convolution may trade precision for speed.

    all_cores: whether a kernel on the CPU runs on all threads of the pool, or on the calling thread alone
    matmul_precision: "float32", or "tf32": products of float32 on a GPU see 10 of the 23 bits of its fraction.
    """

    backend = DEFAULT
    winograd = True
    all_cores = True
    matmul_precision = "float32"


settings = Settings()


def use(backend=None, *, winograd=None, all_cores=None):
    """Change settings of the calling thread from now on; None leaves a setting unchanged.

    backend    "auto", the fastest for each array, or "plain", array code everywhere
    winograd   whether convolution may use Winograd's algorithm, which saves multiplications at the cost of precision
    all_cores  whether a kernel on the CPU runs on all threads of the pool, one kernel at a time. If not, it runs on the
               calling thread, and several threads can compute at once. Results have the same bits
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"kernels.use: backend={backend!r} is none of {', '.join(map(repr, BACKENDS))}")
    for name, value in (("winograd", winograd), ("all_cores", all_cores)):
        if value is not None and not isinstance(value, bool):
            raise TypeError(f"kernels.use: {name}={value!r} must be True or False")
    if backend is not None:
        settings.backend = backend
    if winograd is not None:
        settings.winograd = winograd
    if all_cores is not None:
        settings.all_cores = all_cores


@scope
def using(backend=None, *, winograd=None, all_cores=None):
    """`use`, for the length of a `with` block: `with kernels.using("plain"):`"""
    before = settings.backend, settings.winograd, settings.all_cores
    try:
        use(backend, winograd=winograd, all_cores=all_cores)
        yield
    finally:
        settings.backend, settings.winograd, settings.all_cores = before


def set_matmul_precision(precision):
    """How products and convolutions of float32 are computed on a GPU, from now on and in all threads.

    precision  "float32", the default: as it says; or "tf32": tensor cores round their inputs to 10 bits of fraction and
               add in float32: several times faster, with a relative error of about 1e-3. The CPU always computes in
               float32
    """
    if precision not in PRECISIONS:
        raise ValueError(f"set_matmul_precision: {precision!r} is none of {', '.join(map(repr, PRECISIONS))}")
    Settings.matmul_precision = precision
