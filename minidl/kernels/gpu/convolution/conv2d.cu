// The forward pass. grid (tiles of pixels, tiles of filters, groups * slices)
#include "convolution/windows.cuh"

extern "C" __global__ void __launch_bounds__(TILE_THREADS, RESIDENT) conv2d(const REAL* __restrict__ x,
    const REAL* __restrict__ weight, REAL* __restrict__ out, const REAL* __restrict__ bias, Geometry g, int relu,
    int slices, MATH* partial, unsigned* done) {
    DYNAMIC_SHARED(unsigned char, shared);
    const int group = layer_of(slices), filters = g.f / g.groups, inner = g.kh * g.kw * g.inner;
    const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN, rounds = (inner + DEPTH - 1) / DEPTH;
    const Windows a{x + group * g.inner, g};
    const AlongLines b{weight + group * filters, filters, inner, g.f};
    MATH sum[SUMS];
    multiply_tile(a, b, m0, n0, cut(rounds, slices), cut_end(rounds, slices), shared, sum);
    if (!add_slices(sum, slices, partial, done)) return;
    const Result result{out, bias ? bias + group * filters : nullptr, filters, relu != 0};
    write_tile(result, m0, n0, sum, [&](int m) {
        return m < g.n * g.rows * g.columns ? out + (long long)m * g.f + group * filters : nullptr;
    });
}
