// The largest element of each window, and the gradient as a gather: each pixel asks the windows that hold it. Bound by
// bytes where windows overlap little, else by reads from the cache.
//
// x (N, H, W, C); out, winner (N, OH, OW, C). winner = ky * KW + kx of the first largest element, NaN larger than all.
// With ReLU, the winner is NONE where nothing is larger than 0, and no pixel asks for that.
#include "pooling.cuh"

#ifndef TAP
#define TAP unsigned char
#endif
#ifndef SUM
#define SUM MATH                                 // in which gradients of a pixel are added
#endif
constexpr int NONE = (TAP)-1;

// grid (tiles of channels, pixels), block (channels, pixels), here and below
extern "C" __global__ void __launch_bounds__(256) max_pool(const REAL* __restrict__ x, REAL* __restrict__ out,
    TAP* __restrict__ winner, Sliding s, unsigned pixels, int c, int relu) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.oh, s.ow);
        const REAL* image = x + p.image * s.h * s.w * c + channel;
        MATH best = 0;
        int tap = -1;                                          // none yet: padding never wins
        for (int ky = 0; ky < s.kh; ky++) {
            const int y = p.y * s.sh - s.top + ky * s.dh;
            if ((unsigned)y >= (unsigned)s.h) continue;
            for (int kx = 0; kx < s.kw; kx++) {
                const int z = p.x * s.sw - s.left + kx * s.dw;
                if ((unsigned)z >= (unsigned)s.w) continue;
                const MATH v = widen(image[((long long)y * s.w + z) * c]);
                if (tap < 0 || v > best || (v != v && best == best)) best = v, tap = ky * s.kw + kx;
            }
        }
        if (tap < 0) best = -infinity(), tap = 0;                // a window over padding alone
        if (relu && best <= 0) best = 0, tap = NONE;
        out[(long long)at * c + channel] = narrow<REAL>(best);
        winner[(long long)at * c + channel] = (TAP)tap;
    }
}

// SUM is double where many windows share a pixel: see max_pooling.py.
extern "C" __global__ void __launch_bounds__(256) max_pool_gradient(const REAL* __restrict__ grad,
    const TAP* __restrict__ winner, REAL* __restrict__ dx, Sliding s, unsigned pixels, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.h, s.w);
        const long long first = p.image * s.oh * s.ow * c + channel;
        SUM sum = 0;
        for (int ky = 0; ky < s.kh; ky++) {
            const int y = p.y + s.top - ky * s.dh, oy = y / s.sh;
            if (y < 0 || oy * s.sh != y || oy >= s.oh) continue;
            for (int kx = 0; kx < s.kw; kx++) {
                const int z = p.x + s.left - kx * s.dw, ox = z / s.sw;
                if (z < 0 || ox * s.sw != z || ox >= s.ow) continue;
                const long long from = first + ((long long)oy * s.ow + ox) * c;
                if (winner[from] == ky * s.kw + kx) sum += widen(grad[from]);
            }
        }
        dx[(long long)at * c + channel] = narrow<REAL>(MATH(sum));
    }
}
