// Batch normalization of x (rows, c), a row for each pixel, with a residual and ReLU in the pass: bound by bytes.
//
// Backward finds out again from x where ReLU passed, by the same multiply-add as forward; after an addition it reads
// the output instead. Each thread keeps the numbers of its channels in registers and goes down the rows.
#include "columns.cuh"

// (x - mean) * scale + bias, with one rounding, so that forward and backward agree to the bit
__device__ __forceinline__ MATH normalized(MATH x, MATH mean, MATH scale, MATH bias) { return fma(x - mean, scale, bias); }

enum { ALL, BY_INPUT, BY_OUTPUT };               // how to find out where ReLU passed, as in batch_norm.py

struct Gate { MATH scale, bias, ceiling; };      // ceiling NaN: none

template <int gate> __device__ __forceinline__ MATH passing(MATH grad, MATH x, MATH out, MATH mean, Gate g) {
    if (gate == ALL) return grad;
    const MATH y = gate == BY_INPUT ? normalized(x, mean, g.scale, g.bias) : out;
    return y > 0 && !(y >= g.ceiling) ? grad : MATH(0);
}

template <int N> struct Channels { MATH v[N]; };

template <int N> __device__ __forceinline__ Channels<N> of_channels(const MATH* v, int channel) {
    Channels<N> c;
#pragma unroll
    for (int i = 0; i < N; i++) c.v[i] = v[channel + i];
    return c;
}

// Each thread: N channels of some rows. grid (tiles of channels, slices), block (N channels each, rows)
template <int N> __device__ __forceinline__ void forward(const REAL* x, const REAL* add, const MATH* weight, const MATH* bias,
    const MATH* mean, const MATH* var, REAL* out, long long rows, int c, MATH eps, int relu, MATH ceiling) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (channel >= c) return;
    const Channels<N> middle = of_channels<N>(mean, channel), shift = of_channels<N>(bias, channel);
    Channels<N> scale = of_channels<N>(weight, channel);
#pragma unroll
    for (int i = 0; i < N; i++) scale.v[i] /= sqrt(var[channel + i] + eps);
    const bool whole = aligned<REAL, N>(x) && aligned<REAL, N>(out) && (!add || aligned<REAL, N>(add));
    const Slice slice = my_slice(rows);
    for (long long row = slice.first; row < slice.end; row += slice.step) {
        const long long at = row * c + channel;
        const Pack<REAL, N> in = load<N>(x + at, whole), more = add ? load<N>(add + at, whole) : in;
        Pack<REAL, N> result;
#pragma unroll
        for (int i = 0; i < N; i++) {
            MATH y = normalized(widen(in.v[i]), middle.v[i], scale.v[i], shift.v[i]);
            if (add) y += widen(more.v[i]);
            if (relu) y = y < 0 ? 0 : y > ceiling ? ceiling : y;
            result.v[i] = narrow<REAL>(y);
        }
        store<N>(out + at, result, whole);
    }
}

extern "C" __global__ void __launch_bounds__(256) batch_norm(const REAL* __restrict__ x, const REAL* __restrict__ add,
    const MATH* __restrict__ weight, const MATH* __restrict__ bias, const MATH* __restrict__ mean,
    const MATH* __restrict__ var, REAL* __restrict__ out, long long rows, int c, int width, MATH eps, int relu,
    MATH ceiling) {
    if (width == 1) forward<1>(x, add, weight, bias, mean, var, out, rows, c, eps, relu, ceiling);
    else forward<WIDTH>(x, add, weight, bias, mean, var, out, rows, c, eps, relu, ceiling);
}

// The sums of each channel that backward needs: dbias = sum(grad), dweight = sum(grad * xhat), of the gradients passed
template <int gate> __device__ __forceinline__ void sum_of_thread(double (&sum)[2], const REAL* grad, const REAL* x,
    const REAL* out, MATH mean, MATH deviation, Gate g, Slice slice, int c, int channel) {
    const long long next = slice.step * c;
    long long at = slice.first * c + channel;
    for (long long row = slice.first; row < slice.end; row += 4 * slice.step, at += 4 * next) {
        MATH of_bias = 0, of_weight = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (row + i * slice.step < slice.end) {
                const MATH v = widen(x[at + i * next]);
                const MATH passed = passing<gate>(widen(grad[at + i * next]), v,
                                                  gate == BY_OUTPUT ? widen(out[at + i * next]) : MATH(0), mean, g);
                of_bias += passed;
                of_weight += passed * ((v - mean) * deviation);
            }
        }
        sum[0] += of_bias;
        sum[1] += of_weight;
    }
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_sums(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, const REAL* __restrict__ out, const MATH* __restrict__ weight,
    const MATH* __restrict__ bias, const MATH* __restrict__ mean, const MATH* __restrict__ var,
    double* __restrict__ partial, unsigned* __restrict__ done, MATH* __restrict__ dweight, MATH* __restrict__ dbias,
    long long rows, int c, MATH eps, int gate, MATH ceiling) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    const Slice slice = my_slice(rows);
    double sum[2] = {0, 0};
    if (channel < c) {
        const MATH root = sqrt(var[channel] + eps), middle = mean[channel];
        const Gate g = {weight[channel] / root, gate == BY_INPUT ? bias[channel] : MATH(0), ceiling};
        if (gate == ALL) sum_of_thread<ALL>(sum, grad, x, out, middle, 1 / root, g, slice, c, channel);
        else if (gate == BY_INPUT) sum_of_thread<BY_INPUT>(sum, grad, x, out, middle, 1 / root, g, slice, c, channel);
        else sum_of_thread<BY_OUTPUT>(sum, grad, x, out, middle, 1 / root, g, slice, c, channel);
    }
    if (add_slices(sum, partial, done, channel, c)) dbias[channel] = MATH(sum[0]), dweight[channel] = MATH(sum[1]);
}

// dx = scale * (grad - dbias / m - xhat * dweight / m) in training, else scale * grad; dadd, if given, = grad passed
template <int N, int gate> __device__ __forceinline__ void backward(const REAL* grad, const REAL* x, const REAL* out,
    const MATH* weight, const MATH* bias, const MATH* mean, const MATH* var, const MATH* dweight, const MATH* dbias,
    REAL* dx, REAL* dadd, long long rows, int c, MATH eps, int training, MATH ceiling) {
    const int channel = (blockIdx.x * blockDim.x + threadIdx.x) * N;
    if (channel >= c) return;
    const Channels<N> middle = of_channels<N>(mean, channel);
    Channels<N> scale = of_channels<N>(weight, channel), shift = {}, factor = {}, offset = {};
    if (gate == BY_INPUT) shift = of_channels<N>(bias, channel);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const MATH root = sqrt(var[channel + i] + eps);
        scale.v[i] /= root;
        if (training) {
            factor.v[i] = dweight[channel + i] / rows / root;
            offset.v[i] = dbias[channel + i] / rows;
        }
    }
    const bool whole = aligned<REAL, N>(grad) && aligned<REAL, N>(x) && (gate != BY_OUTPUT || aligned<REAL, N>(out)) &&
                       aligned<REAL, N>(dx) && (!dadd || aligned<REAL, N>(dadd));
    const Slice slice = my_slice(rows);
    for (long long row = slice.first; row < slice.end; row += slice.step) {
        const long long at = row * c + channel;
        const Pack<REAL, N> incoming = load<N>(grad + at, whole), in = load<N>(x + at, whole),
                            result = gate == BY_OUTPUT ? load<N>(out + at, whole) : in;
        Pack<REAL, N> by_x, by_add;
#pragma unroll
        for (int i = 0; i < N; i++) {
            const MATH v = widen(in.v[i]);
            const MATH passed = passing<gate>(widen(incoming.v[i]), v, widen(result.v[i]), middle.v[i],
                                              {scale.v[i], shift.v[i], ceiling});
            by_x.v[i] = narrow<REAL>(training ? scale.v[i] * (passed - offset.v[i] - (v - middle.v[i]) * factor.v[i])
                                         : scale.v[i] * passed);
            by_add.v[i] = narrow<REAL>(passed);
        }
        store<N>(dx + at, by_x, whole);
        if (dadd) store<N>(dadd + at, by_add, whole);
    }
}

extern "C" __global__ void __launch_bounds__(256) batch_norm_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, const REAL* __restrict__ out, const MATH* __restrict__ weight,
    const MATH* __restrict__ bias, const MATH* __restrict__ mean, const MATH* __restrict__ var,
    const MATH* __restrict__ dweight, const MATH* __restrict__ dbias, REAL* __restrict__ dx, REAL* __restrict__ dadd,
    long long rows, int c, int width, MATH eps, int gate, int training, MATH ceiling) {
#define BACKWARD(n, g) backward<n, g>(grad, x, out, weight, bias, mean, var, dweight, dbias, dx, dadd, rows, c, eps, \
                                      training, ceiling)
    if (width == 1) {
        if (gate == ALL) BACKWARD(1, ALL); else if (gate == BY_INPUT) BACKWARD(1, BY_INPUT); else BACKWARD(1, BY_OUTPUT);
    } else {
        if (gate == ALL) BACKWARD(WIDTH, ALL);
        else if (gate == BY_INPUT) BACKWARD(WIDTH, BY_INPUT); else BACKWARD(WIDTH, BY_OUTPUT);
    }
}
