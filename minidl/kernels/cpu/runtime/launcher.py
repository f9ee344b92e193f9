"""Runs one compiled function on all threads of the pool, through a single parallel loop that every kernel shares.

Numba can make the loops of a kernel parallel itself (`parallel=True`), but then transforms and compiles the whole
kernel as a parallel program, which takes four to six times as long. Here a kernel is compiled as the serial function
of one thread, `part(thread, threads, *arguments)`, and the only parallel loop, `launch`, is compiled once. It calls
the part of each thread through its address:

    kernel(x, out)  ->  launch(address of part, 2, address of (x, out))  ->  thread 0: part(0, 2, x, out)
                                                                             thread 1: part(1, 2, x, out)
"""

import functools
from contextlib import suppress

import numba
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils, sigutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from minidl.kernels.cpu.runtime.cache import KernelCache
from minidl.kernels.cpu.runtime.compiling import compiling

WORD = ir.IntType(64)
PART = ir.FunctionType(ir.VoidType(), [WORD, WORD, WORD])            # (thread, threads, address of the arguments)


@intrinsic
def call_part(typingctx, address, thread, threads, arguments):
    """Call the PART at an address."""
    def generate(context, builder, signature, values):
        builder.call(builder.inttoptr(values[0], PART.as_pointer()), values[1:])
        return context.get_dummy_value()
    return types.void(*[types.intp] * 4), generate


def launch(part, threads, arguments):
    """Call a PART once for each thread, all at the same time."""
    for thread in prange(threads):
        call_part(part, thread, threads, arguments)


def nothing(thread, threads, arguments):
    """A part that does nothing: running it starts the pool."""


def compiled(function, signature, **options):
    """A C function of three integers, loaded from the cache on disk if possible. `launch` takes its address."""
    made = CFunc(function, sigutils.normalize_signature(signature), locals={}, options={"nopython": True, **options})
    with suppress(RuntimeError):                     # no folder to cache in
        made._cache = KernelCache(function)
    compiling(made.compile, made._cache)()
    return made


@functools.cache
def launcher():
    """`launch`, compiled."""
    return compiled(launch, "void(intp, intp, intp)", parallel=True)


@functools.cache
def empty_part():
    """`nothing`, compiled."""
    return compiled(nothing, "void(intp, intp, intp)")


def start_pool():
    """Run the empty part on every thread."""
    launcher().ctypes(empty_part().address, numba.config.NUMBA_NUM_THREADS, 0)


def on_all_threads(part):
    """The intrinsic `run(launch, threads, arguments)` that runs a compiled `part(thread, threads, *arguments)`.

    `launch` is the address of the compiled loop, `arguments` a tuple. With one thread, its part is called directly.
    Returns whether a part raised an exception, which can only be a MemoryError: parts raise nothing else.
    """

    @intrinsic
    def run(typingctx, launch, threads, arguments):
        of_part = types.Dispatcher(part).get_call_type(typingctx, (types.intp, types.intp, *arguments.types), {})

        def generate(context, builder, signature, values):
            compiled = part.overloads[of_part.args]
            context.add_linking_libs([compiled.library])
            kinds = [context.get_value_type(kind) for kind in arguments.types]
            frame_type = ir.LiteralStructType([*kinds, ir.IntType(1)])           # the arguments, and "has failed"
            frame = cgutils.alloca_once(builder, frame_type)
            given = zip(arguments.types, cgutils.unpack_tuple(builder, values[2]), strict=True)
            fields = [*(borrowed(context, builder, kind, value) for kind, value in given), cgutils.false_bit]
            for i, value in enumerate(fields):
                builder.store(value, cgutils.gep_inbounds(builder, frame, 0, i))
            stub = emit_stub(context, builder.module, frame_type, compiled.fndesc, of_part)
            address = builder.ptrtoint(frame, WORD)
            with builder.if_else(builder.icmp_signed("==", values[1], WORD(1))) as (alone, together):
                with alone:
                    builder.call(stub, [WORD(0), WORD(1), address])
                with together:
                    launch_pointer = builder.inttoptr(values[0], PART.as_pointer())      # it takes three words, too
                    builder.call(launch_pointer, [builder.ptrtoint(stub, WORD), values[1], address])
            return builder.load(cgutils.gep_inbounds(builder, frame, 0, len(kinds)))

        return types.boolean(launch, threads, arguments), generate

    return run


def borrowed(context, builder, kind, value):
    """An argument without reference counts: the caller holds its arrays, and threads would contend for the counters."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo, array.parent = (cgutils.get_null_value(field.type) for field in (array.meminfo, array.parent))
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        fields = zip(kind, cgutils.unpack_tuple(builder, value), strict=True)
        return context.make_tuple(builder, kind, [borrowed(context, builder, *field) for field in fields])
    return value


def emit_stub(context, module, frame_type, described, signature):
    """A PART that reads its arguments from a frame and calls the compiled function with them."""
    stub = ir.Function(module, PART, module.get_unique_name("part"))
    stub.linkage = "internal"
    thread, threads, address = stub.args
    builder = ir.IRBuilder(stub.append_basic_block())
    frame = builder.inttoptr(address, frame_type.as_pointer())
    *fields, failed = (cgutils.gep_inbounds(builder, frame, 0, i) for i in range(len(frame_type.elements)))
    values = [thread, threads, *map(builder.load, fields)]
    status, _ = context.call_internal_no_propagate(builder, described, signature, values)
    with builder.if_then(status.is_error, likely=False):
        builder.store(cgutils.true_bit, failed)
    builder.ret_void()
    return stub
