// The sum of each window times its share, padding counted as zeros, and the gradient as a gather. Bound by bytes where
// windows overlap little, else by reads from the cache.
//
// x (N, H, W, C), out (N, OH, OW, C); shares (OH, OW), or null: all are `share`
#include "pooling.cuh"

// grid (tiles of channels, pixels), block (channels, pixels), here and below
extern "C" __global__ void __launch_bounds__(256) avg_pool(const REAL* __restrict__ x, REAL* __restrict__ out,
    Sliding s, unsigned pixels, int c, const MATH* __restrict__ shares, MATH share) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.oh, s.ow);
        const REAL* image = x + p.image * s.h * s.w * c + channel;
        double sum = 0;
        for (int ky = 0; ky < s.kh; ky++) {
            const int y = p.y * s.sh - s.top + ky * s.dh;
            if ((unsigned)y >= (unsigned)s.h) continue;
            MATH of_row = 0;
            for (int kx = 0; kx < s.kw; kx++) {
                const int z = p.x * s.sw - s.left + kx * s.dw;
                if ((unsigned)z < (unsigned)s.w) of_row += widen(image[((long long)y * s.w + z) * c]);
            }
            sum += of_row;
        }
        out[(long long)at * c + channel] = narrow<REAL>(MATH(sum * (shares ? shares[at % (unsigned)(s.oh * s.ow)] : share)));
    }
}

extern "C" __global__ void __launch_bounds__(256) avg_pool_gradient(const REAL* __restrict__ grad,
    REAL* __restrict__ dx, Sliding s, unsigned pixels, int c, const MATH* __restrict__ shares, MATH share) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= c) return;
    for (unsigned at = blockIdx.y * blockDim.y + threadIdx.y; at < pixels; at += gridDim.y * blockDim.y) {
        const Place p = place_of(at, s.h, s.w);
        const REAL* first = grad + p.image * s.oh * s.ow * c + channel;
        double sum = 0;
        for (int ky = 0; ky < s.kh; ky++) {
            const int y = p.y + s.top - ky * s.dh, oy = y / s.sh;
            if (y < 0 || oy * s.sh != y || oy >= s.oh) continue;
            MATH of_row = 0;
            for (int kx = 0; kx < s.kw; kx++) {
                const int z = p.x + s.left - kx * s.dw, ox = z / s.sw;
                if (z < 0 || ox * s.sw != z || ox >= s.ow) continue;
                const int window = oy * s.ow + ox;
                of_row += widen(first[(long long)window * c]) * (shares ? shares[window] : share);
            }
            sum += of_row;
        }
        dx[(long long)at * c + channel] = narrow<REAL>(MATH(sum));
    }
}
