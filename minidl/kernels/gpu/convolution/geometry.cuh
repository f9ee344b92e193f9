// What the kernels of convolution know of a window: geometry.py makes it.
#pragma once

struct Divisor { unsigned multiplier; int shift; };
// n / d for 0 <= n < 2^31 (Granlund and Montgomery, PLDI 1994)
__device__ __forceinline__ int divided(int n, Divisor d) {
    return int((unsigned long long)(unsigned)n * d.multiplier >> d.shift);
}
__device__ __forceinline__ Divisor divisor(int d) {
    const int bits = 32 - __clz(d - 1);                                        // 2^bits >= d
    return {unsigned(((1ULL << (31 + bits)) + d - 1) / d), 31 + bits};
}

// `rows` x `columns` pixels of each image are lines of the product; `inner` channels of a group are summed over.
struct Geometry {
    int n, h, w, c, oh, ow, f, kh, kw, sh, sw, top, left, dh, dw, groups, rows, columns, inner;
    Divisor by_pixels, by_columns, by_inner, by_kw;
};
