// Mean and variance of each channel in one pass over memory and one launch: bound by bytes.
//
// Eight rows at a time, a thread sums their elements, then their squared distances from the mean of the eight, in MATH:
// exact to rounding however far from zero they lie. With v the mean of eight, counted from the first row of all, the
// sums of 8 * v, of 8 * v * v and of the squared distances then give the moments (Chan, Golub and LeVeque, 1979).
#include "columns.cuh"

// x (rows, c); mean, var (c,)
extern "C" __global__ void __launch_bounds__(256, 3) channel_moments(const REAL* __restrict__ x,
    double* __restrict__ partial, unsigned* __restrict__ done, MATH* __restrict__ mean, MATH* __restrict__ var,
    long long rows, int c) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Slice slice = my_slice(rows);
    const MATH first = channel < c ? widen(x[channel]) : MATH(0);
    const MATH origin = first - first == 0 ? first : MATH(0);                  // not an infinity
    double sum[3] = {0, 0, 0};                                                 // of v, of v * v, and of the distances
    if (channel < c) {
        const REAL* p = x + slice.first * c + channel;
        const long long next = slice.step * c;
        for (long long row = slice.first; row < slice.end; row += 8 * slice.step) {
            MATH v[8], total = 0, distances = 0;
            const long long left = (slice.end - row + slice.step - 1) / slice.step;
            const int count = left < 8 ? int(left) : 8;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                v[i] = i < count ? widen(p[i * next]) - origin : MATH(0);
                total += v[i];
            }
            const MATH middle = count == 8 ? total * MATH(0.125) : total / count;
#pragma unroll
            for (int i = 0; i < 8; i++) distances += i < count ? (v[i] - middle) * (v[i] - middle) : MATH(0);
            sum[0] += double(middle) * count;
            sum[1] += double(middle) * middle * count;
            sum[2] += distances;
            p += 8 * next;
        }
    }
    if (add_slices(sum, partial, done, channel, c)) {
        const double centre = sum[0] / rows, variance = (sum[2] + sum[1] - sum[0] * centre) / rows;
        mean[channel] = MATH(origin + centre);
        var[channel] = MATH(variance < 0 ? 0 : variance);
    }
}
