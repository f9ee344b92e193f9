// Local response norm of x (pixels, c), channels last: bound by bytes, because neighbours are in the cache.
//
// s[d] = k + alpha / size * the sum of x**2 over the channels from d - size/2 to d + (size - 1)/2
#include "real.cuh"

// The sum of values(j) over the channels j of 0 ... c - 1 from `first` to `last`
template <class F> __device__ __forceinline__ MATH sum_of_channels(int first, int last, int c, F values) {
    double sum = 0;
    for (int j = first < 0 ? 0 : first; j <= last && j < c; j++) sum += values(j);
    return MATH(sum);
}

__device__ __forceinline__ MATH scale(const REAL* pixel, int channel, int c, int size, MATH part, MATH k) {
    return k + part * sum_of_channels(channel - size / 2, channel + (size - 1) / 2, c, [=](int j) {
        const MATH v = widen(pixel[j]);
        return v * v;
    });
}

extern "C" __global__ void __launch_bounds__(256, 4) response_norm(const REAL* __restrict__ x, REAL* __restrict__ out,
    long long elements, int c, int size, MATH part, MATH beta, MATH k) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int channel = int(at % c);
        out[at] = narrow<REAL>(widen(x[at]) / pow(scale(x + at - channel, channel, c, size, part, k), beta));
    }
}

// direct = grad / s**beta,  ratio = direct * x / s
extern "C" __global__ void __launch_bounds__(256, 4) response_norm_ratios(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, MATH* __restrict__ direct, MATH* __restrict__ ratio, long long elements, int c, int size,
    MATH part, MATH beta, MATH k) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int channel = int(at % c);
        const MATH s = scale(x + at - channel, channel, c, size, part, k), d = widen(grad[at]) / pow(s, beta);
        direct[at] = d;
        ratio[at] = d * widen(x[at]) / s;
    }
}

// dx = direct - factor * x * the sum of the ratios whose windows include the channel
extern "C" __global__ void __launch_bounds__(256, 4) response_norm_gradient(const MATH* __restrict__ direct,
    const MATH* __restrict__ ratio, const REAL* __restrict__ x, REAL* __restrict__ dx, long long elements, int c, int size,
    MATH factor) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int channel = int(at % c);
        const MATH* pixel = ratio + at - channel;
        const MATH sum = sum_of_channels(channel - (size - 1) / 2, channel + size / 2, c, [=](int j) { return pixel[j]; });
        dx[at] = narrow<REAL>(direct[at] - factor * widen(x[at]) * sum);
    }
}
