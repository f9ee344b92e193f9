// Windows over images (N, H, W, C), channels last: a thread takes a channel of some pixels.
#pragma once
#include "real.cuh"

// A window over an axis of the rows and one of the columns, as in pooling.py.
struct Sliding { int h, w, oh, ow, kh, kw, sh, sw, top, left, dh, dw; };

struct Place { long long image; int y, x; };

// Where pixel `at` lies among images of (h, w) pixels.
__device__ __forceinline__ Place place_of(unsigned at, unsigned h, unsigned w) {
    const unsigned row = at / w;
    return {row / h, int(row % h), int(at % w)};
}
