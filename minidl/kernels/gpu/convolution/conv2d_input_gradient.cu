// The gradient with respect to x, which is also transposed convolution. grid (tiles of pixels, tiles of channels,
// groups * phases * slices)
#include "convolution/windows.cuh"

extern "C" __global__ void __launch_bounds__(TILE_THREADS, RESIDENT) conv2d_input_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ weight, REAL* __restrict__ out, const REAL* __restrict__ bias, Geometry g, int slices,
    MATH* partial, unsigned* done) {
    DYNAMIC_SHARED(unsigned char, shared);
    const int group = layer_of(slices) % g.groups, channels = g.c / g.groups;
    const Phases phases = phases_of(layer_of(slices) / g.groups, g);
    const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
    const int rounds = (phases.y.count * phases.x.count * g.inner + DEPTH - 1) / DEPTH;
    const SeenGradients a{grad + group * g.inner, g, phases};
    const PhaseWeights b{weight + group * g.inner, g, phases, channels};
    MATH sum[SUMS];
    multiply_tile(a, b, m0, n0, cut(rounds, slices), cut_end(rounds, slices), shared, sum);
    if (!add_slices(sum, slices, partial, done)) return;
    const Result result{out, bias ? bias + group * channels : nullptr, channels, false};
    write_tile(result, m0, n0, sum, [&](int m) -> REAL* {
        if (m >= g.n * g.rows * g.columns) return nullptr;
        const Pixel p = pixel_of(m, g);
        const int y = phases.row + p.y * g.sh, x = phases.column + p.x * g.sw;
        return y < g.h && x < g.w ? out + (((long long)p.image * g.h + y) * g.w + x) * g.c + group * channels : nullptr;
    });
}
