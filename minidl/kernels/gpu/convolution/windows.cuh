// Convolution as a product whose matrix of windows does not exist: readers that find its elements in the image.
//
// x (N, H, W, C) and grad (N, OH, OW, F), channels last; weight (KH, KW, C / groups, F). A block works on one group.
//
//     forward           out[m, f]      = sum over k of window[m, k] * weight[k, f]        m = (n, oy, ox), k = (ky, kx, c)
//     weight gradient   dweight[k, f]  = sum over m of window[m, k] * grad[m, f]
//     input gradient    dx[m, c]       = sum over k of seen[m, k] * weight[tap, c, f]     m = (n, iy, ix), k = (tap, f)
//
// In the input gradient, seen[m, k] is the gradient of the output whose tap lies on the pixel m, if there is one:
// oy = (iy + top - ky * dh) / sh without remainder. With a stride of s, only every s-th tap of a pixel leads to one. So
// pixels are sorted by phase, (iy % sh, ix % sw): those of one phase share their taps, and a layer of the grid takes one.
#pragma once
#include "convolution/geometry.cuh"
#include "gemm/product.cuh"

struct Pixel { int image, y, x; };

__device__ __forceinline__ Pixel pixel_of(int m, const Geometry& g) {
    const int image = divided(m, g.by_pixels), left = m - image * g.rows * g.columns, y = divided(left, g.by_columns);
    return {image, y, left - y * g.columns};
}

struct Tap { int ky, kx, channel; };

__device__ __forceinline__ Tap tap_of(int k, const Geometry& g) {
    const int tap = divided(k, g.by_inner), ky = divided(tap, g.by_kw);
    return {ky, tap - ky * g.kw, k - tap * g.inner};
}

// Where a tap of the window at the corner (y, x) lies in an image; null outside.
__device__ __forceinline__ const REAL* in_image(const REAL* image, int y, int x, const Tap& t, const Geometry& g) {
    y += t.ky * g.dh;
    x += t.kx * g.dw;
    if (t.ky >= g.kh || (unsigned)y >= (unsigned)g.h || (unsigned)x >= (unsigned)g.w) return nullptr;
    return image + ((long long)y * g.w + x) * g.c + t.channel;
}

// Lines are windows: for the forward pass.
struct Windows {
    static constexpr bool ALONG_K = true;
    const REAL* x;                               // at the group's first channel
    const Geometry& g;
    struct Line { const REAL* image; int y, x; };
    __device__ __forceinline__ const REAL* base() const { return x; }
    __device__ __forceinline__ Line line(int m) const {
        if (m >= g.n * g.rows * g.columns) return {nullptr, 0, 0};
        const Pixel p = pixel_of(m, g);
        return {x + (long long)p.image * g.h * g.w * g.c, p.y * g.sh - g.top, p.x * g.sw - g.left};
    }
    __device__ __forceinline__ const REAL* at(const Line& line, int k) const {
        return line.image ? in_image(line.image, line.y, line.x, tap_of(k, g), g) : nullptr;
    }
};

// Lines are places in the window, k is a window: for the weight gradient.
struct WindowPlaces {
    static constexpr bool ALONG_K = false;
    const REAL* x;
    const Geometry& g;
    typedef Tap Line;
    __device__ __forceinline__ const REAL* base() const { return x; }
    __device__ __forceinline__ Line line(int place) const { return tap_of(place, g); }
    __device__ __forceinline__ const REAL* at(const Line& tap, int m) const {
        if (m >= g.n * g.rows * g.columns) return nullptr;
        const Pixel p = pixel_of(m, g);
        return in_image(x + (long long)p.image * g.h * g.w * g.c, p.y * g.sh - g.top, p.x * g.sw - g.left, tap, g);
    }
};

// The taps of one phase along an axis: ky = first + step * u for u < count. Pixel number v of the phase meets the output
// origin + v - u * stride at the tap number u.
struct Phase { int first, step, count, origin, stride; };

__device__ __forceinline__ Phase phase_of(int phase, int k, int s, int pad, int d) {
    int step = 1;
    while (step * d % s) step++;
    int first = 0;
    while (first < step && (phase + pad - first * d) % s) first++;
    const int count = first < step && first < k ? (k - 1 - first) / step + 1 : 0;
    return {first, step, count, (phase + pad - first * d) / s, step * d / s};
}

// Both axes of the phase of a block.
struct Phases {
    Phase y, x;
    int row, column;                             // the first pixel of the phase
    Divisor by_count;                            // of x
};

__device__ __forceinline__ Phases phases_of(int number, const Geometry& g) {
    const int row = number / g.sw, column = number % g.sw;
    const Phase y = phase_of(row, g.kh, g.sh, g.top, g.dh), x = phase_of(column, g.kw, g.sw, g.left, g.dw);
    return {y, x, row, column, x.count == g.kw ? g.by_kw : divisor(max(x.count, 1))};
}

// Lines are the pixels of a phase, k is a place (tap of the phase, f): for the input gradient.
struct SeenGradients {
    static constexpr bool ALONG_K = true;
    const REAL* grad;                            // at the group's first filter
    const Geometry& g;
    const Phases& phases;
    struct Line { const REAL* image; int y, x; };
    __device__ __forceinline__ const REAL* base() const { return grad; }
    __device__ __forceinline__ Line line(int m) const {
        if (m >= g.n * g.rows * g.columns) return {nullptr, 0, 0};
        const Pixel p = pixel_of(m, g);
        return {grad + (long long)p.image * g.oh * g.ow * g.f, p.y + phases.y.origin, p.x + phases.x.origin};
    }
    __device__ __forceinline__ const REAL* at(const Line& line, int k) const {
        const int tap = divided(k, g.by_inner), u = divided(tap, phases.by_count);
        const int y = line.y - u * phases.y.stride, x = line.x - (tap - u * phases.x.count) * phases.x.stride;
        if (!line.image || u >= phases.y.count || (unsigned)y >= (unsigned)g.oh || (unsigned)x >= (unsigned)g.ow) return nullptr;
        return line.image + ((long long)y * g.ow + x) * g.f + k - tap * g.inner;
    }
};

// Lines are channels, k is as in SeenGradients: weight[tap, c, f].
struct PhaseWeights {
    static constexpr bool ALONG_K = true;
    const REAL* weight;                          // at the group's first filter
    const Geometry& g;
    const Phases& phases;
    int channels;
    typedef int Line;
    __device__ __forceinline__ const REAL* base() const { return weight; }
    __device__ __forceinline__ Line line(int c) const { return c; }
    __device__ __forceinline__ const REAL* at(int c, int k) const {
        const int tap = divided(k, g.by_inner), u = divided(tap, phases.by_count);
        if (c >= channels || u >= phases.y.count) return nullptr;
        const int ky = phases.y.first + u * phases.y.step, kx = phases.x.first + (tap - u * phases.x.count) * phases.x.step;
        return weight + ((long long)(ky * g.kw + kx) * channels + c) * g.f + k - tap * g.inner;
    }
};
