"""The vocabulary of the microkernels: vectors, addresses, loops and prefetches as LLVM instructions.

A microkernel is a Python function that writes instructions through an llvmlite `builder`. A Numba intrinsic calls it
while a kernel is compiled, so the instructions become part of the kernel. Vector code is written this way because a
Python loop cannot keep values in registers. Addresses are 64-bit integers, and strides are in bytes.
"""

import math
from contextlib import contextmanager

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minidl.kernels.cpu.runtime.target import VECTOR_BYTES

I64, I32, I8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)


def i64(n):
    """n as a constant."""
    return ir.Constant(I64, n)


def element_bytes(element):
    """The size of a float, a double or an integer."""
    if isinstance(element, ir.IntType):
        return element.width // 8
    return 4 if isinstance(element, ir.FloatType) else 8


def simd_lanes(element):
    """The number of elements in a vector."""
    return VECTOR_BYTES // element_bytes(element)


class Vectors:
    """Instructions for vectors of one element type.

    With `count`, loads and stores touch only the first `count` lanes, and the others are loaded as 0.
    """

    def __init__(self, builder, element, count=None, vector_bytes=VECTOR_BYTES):
        self.builder, self.element = builder, element
        self.lanes = vector_bytes // element_bytes(element)
        self.type = ir.VectorType(element, self.lanes)
        self.zero = ir.Constant(self.type, None)
        self.mask = None if count is None else lane_mask(builder, self.lanes, count)

    def load(self, address, type=None):
        """The vector at an address."""
        type = type or self.type
        pointer, align = self.builder.inttoptr(address, type.as_pointer()), element_bytes(type.element)
        if self.mask is None:
            return self.builder.load(pointer, align=align)
        load = self.intrinsic("masked.load", type, type, [type.as_pointer(), I32, self.mask.type, type], ".p0")
        return self.builder.call(load, [pointer, I32(align), self.mask, ir.Constant(type, None)])

    def store(self, value, address):
        """Write a vector to an address."""
        type = value.type
        pointer, align = self.builder.inttoptr(address, type.as_pointer()), element_bytes(type.element)
        if self.mask is None:
            self.builder.store(value, pointer, align=align)
            return
        store = self.intrinsic("masked.store", type, ir.VoidType(), [type, type.as_pointer(), I32, self.mask.type],
                               ".p0")
        self.builder.call(store, [value, pointer, I32(align), self.mask])

    def stream(self, value, address):
        """Write a vector to an address that is a multiple of its size, past the caches."""
        store = self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()),
                                   align=self.lanes * element_bytes(self.element))
        store.set_metadata("nontemporal", self.builder.module.add_metadata([I32(1)]))

    def constant(self, number):
        """A vector with a Python number in every lane."""
        return ir.Constant(self.type, [number] * self.lanes)

    def splat(self, scalar):
        """A vector with `scalar` in every lane."""
        return splat(self.builder, scalar, self.lanes)

    def splat_at(self, address):
        """A vector with the scalar at an address in every lane."""
        pointer = self.builder.inttoptr(address, self.element.as_pointer())
        return self.splat(self.builder.load(pointer, align=element_bytes(self.element)))

    def fma(self, a, b, c):
        """a * b + c, rounded once."""
        return self.builder.call(self.intrinsic("fma", self.type, self.type, [self.type] * 3), [a, b, c])

    def floor(self, relu):
        """The bound of `clamp`: 0 if `relu` is not 0, else -infinity."""
        on = self.builder.icmp_signed("!=", relu, i64(0))
        return self.splat(self.builder.select(on, self.element(0.0), self.element(-math.inf)))

    def clamp(self, value, floor):
        """max(value, floor); NaN stays NaN."""
        below = self.builder.fcmp_ordered("<", value, floor)
        return self.builder.select(below, floor, value)

    def intrinsic(self, name, type, result, arguments, suffix=""):
        """LLVM's function of this name for vectors of this type."""
        kind = f"{'i' if isinstance(type.element, ir.IntType) else 'f'}{8 * element_bytes(type.element)}"
        return intrinsic_function(self.builder, result, arguments, f"llvm.{name}.v{self.lanes}{kind}{suffix}")


@intrinsic
def copy_vector(typingctx, like, source, target, count):
    """Copy `count` elements, at most a vector of them, from one address to another."""
    def generate(context, builder, signature, values):
        element = context.get_data_type(signature.args[0].dtype)
        _, source, target, count = values
        fits = builder.icmp_signed(">=", count, i64(simd_lanes(element)))
        with builder.if_else(fits) as (whole, part):
            with whole:
                vectors = Vectors(builder, element)
                vectors.store(vectors.load(source), target)
            with part:
                vectors = Vectors(builder, element, count)
                vectors.store(vectors.load(source), target)
        return context.get_dummy_value()
    return types.void(like, *[types.int64] * 3), generate


def splat(builder, scalar, lanes):
    """A vector with `scalar` in every lane."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def lane_mask(builder, lanes, count):
    """Which lanes of a vector come before `count`."""
    lane = ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    return builder.icmp_signed("<", lane, splat(builder, count, lanes))


def intrinsic_function(builder, result, arguments, name):
    """One of LLVM's own functions, declared in the module under construction."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def offset(builder, address, *terms):
    """address + the sum of count * stride over the terms (count, stride); a count may be a Python int."""
    for count, stride in terms:
        address = builder.add(address, builder.mul(i64(count) if isinstance(count, int) else count, stride))
    return address


def table_entry(builder, table, i):
    """Element i of a table of addresses or offsets."""
    return builder.load(builder.inttoptr(offset(builder, table, (i, i64(8))), I64.as_pointer()))


def unpack(context, builder, kind, value):
    """A kernel's NamedTuple of integers, of the Numba type `kind`, as a NamedTuple of their LLVM values (I64)."""
    def field(kind, value):
        if isinstance(kind, types.BaseNamedTuple):
            return unpack(context, builder, kind, value)
        return context.cast(builder, value, kind, types.int64)
    return kind.instance_class(*map(field, kind.types, cgutils.unpack_tuple(builder, value)))


def opaque(builder, value):
    """`value`, which an empty assembly statement keeps LLVM's optimizer from analysing.

    Where pointers share an offset, LLVM would otherwise keep a running pointer for each, more than there are registers,
    and store them all in each round of the innermost loop. In the GEMM microkernel that cost a fifth of the speed.
    """
    return builder.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [value], side_effect=True)


def prefetch(builder, address, write=0, locality=2):
    """Ask a cache for the line at an address, which need not be valid.   locality: 3 for the L1 cache, 2 for the L2"""
    line = builder.inttoptr(address, I8.as_pointer())
    function = intrinsic_function(builder, ir.VoidType(), [line.type, I32, I32, I32], "llvm.prefetch.p0")
    builder.call(function, [line, I32(write), I32(locality), I32(1)])            # of data, not of instructions


def prefetch_write(builder, address):
    """Ask the L1 cache for the line at an address, which will be written soon."""
    prefetch(builder, address, write=1, locality=3)


@contextmanager
def pointer_loop(builder, rounds, addresses, strides):
    """A loop in which each address grows by its stride from round to round. Yields the addresses of a round."""
    pointers = [cgutils.alloca_once_value(builder, address) for address in addresses]
    with cgutils.for_range(builder, rounds):
        here = [builder.load(pointer) for pointer in pointers]
        yield here
        for pointer, address, stride in zip(pointers, here, strides, strict=True):
            builder.store(builder.add(address, stride), pointer)


def each_vector(builder, element, count, addresses, elements, body):
    """Go through `count` neighbouring elements, a vector at a time: body(None, *addresses).

    The rest, less than a vector, comes last: body(rest, *addresses). `elements` are the types at the addresses.
    """
    lanes = i64(simd_lanes(element))
    whole, rest = builder.udiv(count, lanes), builder.urem(count, lanes)
    strides = [i64(simd_lanes(element) * element_bytes(e)) for e in elements]
    with pointer_loop(builder, whole, addresses, strides) as here:
        body(None, *here)
    with builder.if_then(builder.icmp_signed(">", rest, i64(0))):
        body(rest, *(offset(builder, a, (whole, stride)) for a, stride in zip(addresses, strides, strict=True)))


def each_case(builder, index, cases):
    """A switch: yields each case, with the builder where instructions run if `index` is its position in `cases`."""
    done = builder.append_basic_block("done")
    switch = builder.switch(index, done)
    for i, case in enumerate(cases):
        block = builder.append_basic_block(f"case{i}")
        switch.add_case(i64(i), block)
        builder.position_at_end(block)
        yield case
        builder.branch(done)
    builder.position_at_end(done)
