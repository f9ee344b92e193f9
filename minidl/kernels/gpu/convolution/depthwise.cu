// Convolution where channels do not mix: each filter sees one channel, c = f / (F / C).
//
// Every thread makes single elements, neighbours in memory: a warp reads and writes neighbouring channels. A window's
// pixels come from the caches all but once. x (N, H, W, C), out and grad (N, OH, OW, F), weight (KH, KW, F).
#include "columns.cuh"
#include "convolution/geometry.cuh"

struct At { int image, y, x, channel; };

// Where element `at` of images of (rows, columns) pixels and `channels` channels lies.
__device__ __forceinline__ At place_of(unsigned at, unsigned rows, unsigned columns, unsigned channels) {
    const unsigned pixel = at / channels, row = pixel / columns;
    return {int(row / rows), int(row % rows), int(pixel - row * columns), int(at - pixel * channels)};
}

extern "C" __global__ void __launch_bounds__(256) depthwise(const REAL* __restrict__ x, const REAL* __restrict__ weight,
    const REAL* __restrict__ bias, REAL* __restrict__ out, Geometry g, unsigned size, int relu) {
    for (unsigned at = first_element(); at < size; at += step()) {
        const At p = place_of(at, g.oh, g.ow, g.f);
        const REAL* image = x + (long long)p.image * g.h * g.w * g.c + p.channel / (g.f / g.c);
        MATH sum = bias ? widen(bias[p.channel]) : 0;
        for (int ky = 0; ky < g.kh; ky++) {
            const int y = p.y * g.sh - g.top + ky * g.dh;
            if ((unsigned)y >= (unsigned)g.h) continue;
            for (int kx = 0; kx < g.kw; kx++) {
                const int column = p.x * g.sw - g.left + kx * g.dw;
                if ((unsigned)column < (unsigned)g.w)
                    sum += widen(image[((long long)y * g.w + column) * g.c]) * widen(weight[(ky * g.kw + kx) * g.f + p.channel]);
            }
        }
        out[at] = narrow<REAL>(relu && sum < 0 ? 0 : sum);
    }
}

extern "C" __global__ void __launch_bounds__(256) depthwise_input_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ weight, const REAL* __restrict__ bias, REAL* __restrict__ out, Geometry g, unsigned size) {
    const int filters = g.f / g.c;               // of each channel
    for (unsigned at = first_element(); at < size; at += step()) {
        const At p = place_of(at, g.h, g.w, g.c);
        const REAL* image = grad + (long long)p.image * g.oh * g.ow * g.f;
        MATH sum = bias ? widen(bias[p.channel]) : 0;
        for (int ky = 0; ky < g.kh; ky++) {
            const int y = p.y + g.top - ky * g.dh;
            if (y < 0 || y % g.sh || y / g.sh >= g.oh) continue;
            for (int kx = 0; kx < g.kw; kx++) {
                const int column = p.x + g.left - kx * g.dw;
                if (column < 0 || column % g.sw || column / g.sw >= g.ow) continue;
                const long long pixel = (long long)(y / g.sh) * g.ow + column / g.sw;
                const int first = p.channel * filters;
                const REAL *a = image + pixel * g.f + first, *b = weight + (ky * g.kw + kx) * g.f + first;
                for (int f = 0; f < filters; f++) sum += widen(a[f]) * widen(b[f]);
            }
        }
        out[at] = narrow<REAL>(sum);
    }
}

// dweight[tap, f] = sum over pixels of grad[pixel, f] * x[that tap of the pixel's window, c]: sums of columns. A launch
// makes TAPS taps from `first` on. grid (tiles of filters, slices of pixels), as columns.cuh expects.
#define TAPS 9
extern "C" __global__ void __launch_bounds__(256) depthwise_weight_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, REAL* __restrict__ out, Geometry g, int first, double* partial, unsigned* done) {
    const int f = blockIdx.x * blockDim.x + threadIdx.x, c = f / (g.f / g.c), taps = min(TAPS, g.kh * g.kw - first);
    MATH sum[TAPS] = {};
    if (f < g.f) {
        const Slice slice = my_slice((long long)g.n * g.oh * g.ow);
        for (long long pixel = slice.first; pixel < slice.end; pixel += slice.step) {
            const At p = place_of(unsigned(pixel), g.oh, g.ow, 1);
            const REAL* image = x + (long long)p.image * g.h * g.w * g.c + c;
            const MATH gradient = widen(grad[pixel * g.f + f]);
            int ky = first / g.kw, kx = first % g.kw;
#pragma unroll
            for (int t = 0; t < TAPS; t++) {
                const int y = p.y * g.sh - g.top + ky * g.dh, column = p.x * g.sw - g.left + kx * g.dw;
                if (t < taps && (unsigned)y < (unsigned)g.h && (unsigned)column < (unsigned)g.w)
                    sum[t] += gradient * widen(image[((long long)y * g.w + column) * g.c]);
                if (++kx == g.kw) kx = 0, ky++;
            }
        }
    }
    double all[TAPS];
#pragma unroll
    for (int t = 0; t < TAPS; t++) all[t] = sum[t];
    if (!add_slices<TAPS>(all, partial, done, f, g.f)) return;
#pragma unroll
    for (int t = 0; t < TAPS; t++)
        if (t < taps) out[(first + t) * g.f + f] = narrow<REAL>(MATH(all[t]));
}
