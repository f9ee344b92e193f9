// The gradient with respect to the weight: a product of few rows and columns that sums over all pixels.
// grid (tiles of places in the window, tiles of filters, groups * slices)
#include "convolution/windows.cuh"

// Of TF32, two blocks of the largest tile would need a few registers more than there are.
constexpr int BLOCKS = TENSOR && sizeof(REAL) == 4 && BM * BN == 128 * 128 ? 1 : RESIDENT;

extern "C" __global__ void __launch_bounds__(TILE_THREADS, BLOCKS) conv2d_weight_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, REAL* __restrict__ out, Geometry g, int slices, MATH* partial, unsigned* done) {
    DYNAMIC_SHARED(unsigned char, shared);
    const int group = layer_of(slices), filters = g.f / g.groups, places = g.kh * g.kw * g.inner;
    const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN, pixels = g.n * g.rows * g.columns, rounds = (pixels + DEPTH - 1) / DEPTH;
    const WindowPlaces a{x + group * g.inner, g};
    const AlongLines b{grad + group * filters, filters, pixels, g.f};
    MATH sum[SUMS];
    multiply_tile(a, b, m0, n0, cut(rounds, slices), cut_end(rounds, slices), shared, sum);
    if (!add_slices(sum, slices, partial, done)) return;
    const Result result{out, nullptr, filters, false};
    write_tile(result, m0, n0, sum, [&](int m) {
        return m < places ? out + (long long)m * g.f + group * filters : nullptr;
    });
}
