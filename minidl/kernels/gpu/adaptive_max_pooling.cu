// The largest element of each of OH x OW parts of an image, and the gradient as a gather: each pixel asks the parts that
// hold it. Bound by bytes.
//
// x (N, H, W, C); out, winner (N, OH, OW, C). winner = y * W + x of the first largest element, NaN larger than all.
#include "pooling.cuh"

struct Parts { int h, w, oh, ow; };

// The elements of part i of `parts` on an axis of n; and the parts that hold element i.
__device__ __forceinline__ int begin_of(long long i, int n, int parts) { return int(i * n / parts); }
__device__ __forceinline__ int end_of(long long i, int n, int parts) { return int(((i + 1) * n - 1) / parts + 1); }

// grid (tiles of channels, pixels), block (channels, pixels), here and below
extern "C" __global__ void __launch_bounds__(256) adaptive_max(const REAL* __restrict__ x, REAL* __restrict__ out,
    int* __restrict__ winner, Parts s, unsigned pixels, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.oh, s.ow);
        const REAL* image = x + p.image * s.h * s.w * c + channel;
        MATH best = 0;
        int pixel = -1;                                        // none yet
        const int left = begin_of(p.x, s.w, s.ow), right = end_of(p.x, s.w, s.ow), bottom = end_of(p.y, s.h, s.oh);
        for (int y = begin_of(p.y, s.h, s.oh); y < bottom; y++) {
            const REAL* line = image + (long long)y * s.w * c;
#pragma unroll 1
            for (int z = left; z < right; z++) {
                const MATH v = widen(line[(long long)z * c]);
                if (pixel < 0 || v > best || (v != v && best == best)) best = v, pixel = y * s.w + z;
            }
        }
        out[(long long)at * c + channel] = narrow<REAL>(best);
        winner[(long long)at * c + channel] = pixel;
    }
}

extern "C" __global__ void __launch_bounds__(256) adaptive_max_gradient(const REAL* __restrict__ grad,
    const int* __restrict__ winner, REAL* __restrict__ dx, Parts s, unsigned pixels, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.h, s.w);
        const long long first = p.image * s.oh * s.ow * c + channel;
        MATH sum = 0;
        for (int i = begin_of(p.y, s.oh, s.h); i < end_of(p.y, s.oh, s.h); i++) {
            for (int j = begin_of(p.x, s.ow, s.w); j < end_of(p.x, s.ow, s.w); j++) {
                const long long part = first + ((long long)i * s.ow + j) * c;
                if (winner[part] == p.y * s.w + p.x) sum += widen(grad[part]);
            }
        }
        dx[(long long)at * c + channel] = narrow<REAL>(sum);
    }
}
