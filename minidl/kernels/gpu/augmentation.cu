// Augmentation of a batch of images (N, C, H, W), C-contiguous, of bytes or of floats: pixels moved, blended, looked up.
//
// A thread takes a pixel of the result with all its channels; neighbouring threads write neighbours. Bound by bytes. Each
// product and each sum is rounded by itself, in the order of kernels/plain, so bytes come out as on the CPU.
#include "real.cuh"

#ifndef PIXEL
#define PIXEL unsigned char
#endif

enum { CONSTANT, REFLECT, REPLICATE };           // what lies outside of an image, as in kernels/plain
enum { UNCHANGED, STRETCHED, EQUALIZED };

struct Size { int c, h, w, oh, ow; };
struct Point { long long n; int y, x; };

__device__ __forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float sum(float a, float b) { return __fadd_rn(a, b); }

__device__ __forceinline__ void put(unsigned char& to, float x) {
    const float whole = floorf(sum(x, 0.5f));
    to = (unsigned char)(whole > 0 ? whole < 255 ? whole : 255 : 0);
}
__device__ __forceinline__ void put(float& to, float x) { to = x; }

__device__ __forceinline__ Point point(long long at, int h, int w) {
    return {at / w / h, int(at / w % h), int(at % w)};
}

// The index i on an axis of n pixels; -1 outside, if the border is CONSTANT.
__device__ __forceinline__ int inside(int i, int n, int border) {
    if (border == REPLICATE || (border == REFLECT && n == 1)) return i < 0 ? 0 : i >= n ? n - 1 : i;
    if (border == REFLECT) {
        i = (i < 0 ? -i : i) % (2 * n - 2);
        return i < n ? i : 2 * n - 2 - i;
    }
    return i < 0 || i >= n ? -1 : i;
}

__device__ __forceinline__ int whole(float x) { return int(fminf(fmaxf(floorf(x), -1e9f), 1e9f)); }

// A channel of an image at whole coordinates, which may lie outside.
struct Channel {
    const PIXEL* pixels;
    int h, w, border;
    float fill;

    __device__ __forceinline__ float at(int i, int j) const {
        const int y = inside(i, h, border), x = inside(j, w, border);
        return y < 0 || x < 0 ? fill : float(pixels[(long long)y * w + x]);
    }
    __device__ __forceinline__ float between(int i, int j, float w) const {
        return sum(product(at(i, j), sum(1, -w)), product(at(i, j + 1), w));
    }
};

// All channels of the image of p at (i, j), between pixels if `bilinear`
__device__ __forceinline__ void sample(const PIXEL* images, PIXEL* out, Size s, Point p, float i, float j, int bilinear,
    int border, float fill) {
    for (int c = 0; c < s.c; c++) {
        const Channel channel = {images + (p.n * s.c + c) * s.h * s.w, s.h, s.w, border, fill};
        PIXEL& to = out[((p.n * s.c + c) * s.oh + p.y) * s.ow + p.x];
        if (bilinear) {
            const int top = whole(i), left = whole(j);
            const float v = sum(i, -floorf(i)), w = sum(j, -floorf(j));
            put(to, sum(product(channel.between(top, left, w), sum(1, -v)), product(channel.between(top + 1, left, w), v)));
        } else {
            to = (PIXEL)channel.at(whole(sum(i, 0.5f)), whole(sum(j, 0.5f)));
        }
    }
}

#define EACH_PIXEL(at) for (long long at = first_element(); at < pixels; at += step())

extern "C" __global__ void __launch_bounds__(256, 4) gather(const PIXEL* __restrict__ images,
    const long long* __restrict__ rows, const long long* __restrict__ columns, PIXEL* __restrict__ out, Size s,
    long long pixels, float fill) {
    EACH_PIXEL(at) {
        const Point p = point(at, s.oh, s.ow);
        const long long i = rows[p.n * s.oh + p.y], j = columns[p.n * s.ow + p.x];
        for (int c = 0; c < s.c; c++)
            out[((p.n * s.c + c) * s.oh + p.y) * s.ow + p.x] =
                i < 0 || j < 0 ? (PIXEL)fill : images[((p.n * s.c + c) * s.h + i) * s.w + j];
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) warp(const PIXEL* __restrict__ images,
    const float* __restrict__ matrices, PIXEL* __restrict__ out, Size s, long long pixels, int bilinear, int border,
    float fill) {
    EACH_PIXEL(at) {
        const Point p = point(at, s.oh, s.ow);
        const float *m = matrices + p.n * 6, y = p.y, x = p.x;
        sample(images, out, s, p, sum(sum(product(m[0], y), product(m[1], x)), m[2]),
               sum(sum(product(m[3], y), product(m[4], x)), m[5]), bilinear, border, fill);
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) displace(const PIXEL* __restrict__ images,
    const float* __restrict__ fields, PIXEL* __restrict__ out, Size s, long long pixels, int bilinear, int border,
    float fill) {
    EACH_PIXEL(at) {
        const Point p = point(at, s.oh, s.ow);
        const float* field = fields + p.n * 2 * s.oh * s.ow + (long long)p.y * s.ow + p.x;
        sample(images, out, s, p, sum(p.y, field[0]), sum(p.x, field[(long long)s.oh * s.ow]), bilinear, border, fill);
    }
}

// rows: of (N, OH, row_taps); columns: of (N, OW, column_taps)
extern "C" __global__ void __launch_bounds__(256, 4) blend_each(const PIXEL* __restrict__ images,
    const long long* __restrict__ rows, const float* __restrict__ row_weights, const long long* __restrict__ columns,
    const float* __restrict__ column_weights, PIXEL* __restrict__ out, Size s, long long pixels, int row_taps,
    int column_taps) {
    EACH_PIXEL(at) {
        const Point p = point(at, s.oh, s.ow);
        const long long row = (p.n * s.oh + p.y) * row_taps, column = (p.n * s.ow + p.x) * column_taps;
        for (int c = 0; c < s.c; c++) {
            const PIXEL* channel = images + (p.n * s.c + c) * s.h * s.w;
            float total = 0;
            for (int t = 0; t < column_taps; t++) {
                float tall = 0;
                for (int k = 0; k < row_taps; k++)
                    tall = sum(tall, product(float(channel[rows[row + k] * s.w + columns[column + t]]), row_weights[row + k]));
                total = sum(total, product(tall, column_weights[column + t]));
            }
            put(out[((p.n * s.c + c) * s.oh + p.y) * s.ow + p.x], total);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) look_up(const PIXEL* __restrict__ images,
    const unsigned char* __restrict__ tables, unsigned char* __restrict__ out, Size s, long long elements) {
    for (long long at = first_element(); at < elements; at += step())
        out[at] = tables[at / ((long long)s.h * s.w) * 256 + int(images[at])];
}

// The tables by which `look_up` stretches or equalizes each channel of an image. A block for each, a thread for each level
extern "C" __global__ void __launch_bounds__(256) level_tables(const PIXEL* __restrict__ images,
    const long long* __restrict__ kinds, unsigned char* __restrict__ tables, Size s) {
    __shared__ int counts[256], low, high;
    const int level = threadIdx.x, size = s.h * s.w;
    const PIXEL* plane = images + (long long)blockIdx.x * size;
    counts[level] = 0;
    if (level == 0) low = 255, high = 0;
    __syncthreads();
    for (int i = level; i < size; i += 256) atomicAdd(&counts[int(plane[i])], 1);
    __syncthreads();
    if (counts[level]) {
        atomicMin(&low, level);
        atomicMax(&high, level);
    }
    __syncthreads();
    const long long kind = kinds[blockIdx.x / s.c];
    const int step = (size - counts[high]) / 255;
    double value = level;
    if (kind == STRETCHED && high > low) {
        value = __dmul_rn(level - low, 255.0 / (high - low));
    } else if (kind == EQUALIZED && step > 0) {
        int before = step / 2;
        for (int i = 0; i < level; i++) before += counts[i];
        value = before / step;
    }
    tables[blockIdx.x * 256 + level] = (unsigned char)(value > 0 ? value < 255 ? value : 255 : 0);
}

// The sum of each channel of an image: of bytes exactly. A block for each
extern "C" __global__ void __launch_bounds__(256) channel_sums(const PIXEL* __restrict__ images, double* __restrict__ sums,
    Size s) {
    __shared__ double parts[256];
    const int size = s.h * s.w, me = threadIdx.x;
    const PIXEL* plane = images + (long long)blockIdx.x * size;
    double total = 0;
    for (int i = me; i < size; i += 256) total += plane[i];
    parts[me] = total;
    for (int half = 128; half; half /= 2) {
        __syncthreads();
        if (me < half) parts[me] += parts[me + half];
    }
    if (me == 0) sums[blockIdx.x] = parts[0];
}

// `sums` of each channel, or null
extern "C" __global__ void __launch_bounds__(256) mix_channels(const PIXEL* __restrict__ images,
    const float* __restrict__ matrices, const double* __restrict__ of_means, const double* __restrict__ sums,
    PIXEL* __restrict__ out, Size s, long long pixels) {
    const long long plane = (long long)s.h * s.w;
    EACH_PIXEL(at) {
        const long long n = at / plane, first = n * s.c * plane + at % plane;
        for (int c = 0; c < s.c; c++) {
            const long long row = (n * s.c + c) * s.c;
            float mixed = 0;
            double offset = 0;
#pragma unroll 1
            for (int k = 0; k < s.c; k++) {
                mixed = sum(mixed, product(matrices[row + k], float(images[first + k * plane])));
                if (sums) offset = __dadd_rn(offset, __dmul_rn(of_means[row + k], sums[n * s.c + k] / plane));
            }
            put(out[first + c * plane], sum(mixed, float(offset)));
        }
    }
}

// factor * x + (1 - factor) * x smoothed by (1 1 1, 1 5 1, 1 1 1) / 13; the border is not smoothed
extern "C" __global__ void __launch_bounds__(256, 4) sharpen(const PIXEL* __restrict__ images,
    const float* __restrict__ factors, PIXEL* __restrict__ out, Size s, long long elements) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int x = int(at % s.w), y = int(at / s.w % s.h);
        float smooth = images[at];
        if (x > 0 && y > 0 && x < s.w - 1 && y < s.h - 1) {
            smooth = 0;
            for (int i = -1; i <= 1; i++)
                for (int j = -1; j <= 1; j++)
                    smooth = sum(smooth, product(i || j ? float(1 / 13.0) : float(5 / 13.0), images[at + i * s.w + j]));
        }
        const float factor = factors[at / s.w / s.h / s.c];
        put(out[at], sum(product(factor, images[at]), product(sum(1, -factor), smooth)));
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) erase(const PIXEL* __restrict__ images,
    const long long* __restrict__ boxes, PIXEL* __restrict__ out, Size s, long long elements, float value) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int x = int(at % s.w), y = int(at / s.w % s.h);
        const long long* box = boxes + at / s.w / s.h / s.c * 4;
        out[at] = y >= box[0] && x >= box[1] && y < box[2] && x < box[3] ? (PIXEL)value : images[at];
    }
}

struct Box { int top, left, bottom, right; };

extern "C" __global__ void __launch_bounds__(256, 4) mix_pairs(const PIXEL* __restrict__ images, PIXEL* __restrict__ out,
    Size s, long long elements, float own, float rest, Box box) {
    const long long size = (long long)s.c * s.h * s.w;
    for (long long at = first_element(); at < elements; at += step()) {
        const int x = int(at % s.w), y = int(at / s.w % s.h);
        const long long other = at < size ? at + elements - size : at - size;
        out[at] = images[at];
        if (y >= box.top && x >= box.left && y < box.bottom && x < box.right)
            put(out[at], sum(product(own, images[at]), product(rest, images[other])));
    }
}

// Sums along one axis with `taps` weights of each image: of pixels along columns, then of those sums along rows
__device__ __forceinline__ float blurred(float before, float weight, float pixel) { return sum(before, product(weight, pixel)); }

extern "C" __global__ void __launch_bounds__(256, 4) blur_columns(const PIXEL* __restrict__ images,
    const float* __restrict__ weights, float* __restrict__ out, Size s, long long elements, int taps) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int x = int(at % s.w), y = int(at / s.w % s.h);
        const long long plane = at / s.w / s.h;
        float total = 0;
        for (int t = 0; t < taps; t++) {
            const long long row = plane * s.h + inside(y + t - taps / 2, s.h, REFLECT);
            total = blurred(total, weights[plane / s.c * taps + t], float(images[row * s.w + x]));
        }
        out[at] = total;
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) blur_rows(const float* __restrict__ sums,
    const float* __restrict__ weights, PIXEL* __restrict__ out, Size s, long long elements, int taps) {
    for (long long at = first_element(); at < elements; at += step()) {
        const int x = int(at % s.w);
        const long long row = at / s.w;
        float total = 0;
        for (int t = 0; t < taps; t++)
            total = blurred(total, weights[row / s.h / s.c * taps + t], sums[row * s.w + inside(x + t - taps / 2, s.w, REFLECT)]);
        put(out[at], total);
    }
}

// The finalizer of SplitMix64, as in kernels/plain.
__device__ __forceinline__ unsigned long long mixed(unsigned long long bits) {
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
    return bits ^ (bits >> 31);
}

// A number in (0, 1) for a key and a counter
__device__ __forceinline__ float fraction(unsigned long long key, unsigned long long counter) {
    const unsigned long long bits = mixed(key + (counter + 1) * 0x9E3779B97F4A7C15ull);
    return (float(bits >> 40) + 0.5f) * 5.9604644775390625e-8f;
}

// Philox4x64-10 with NumPy's order of numbers: the eight floats in [0, 1) of a counter
struct Eight { float v[8]; };

__device__ __forceinline__ Eight numpy_floats(unsigned long long key, unsigned long long counter) {
    unsigned long long k0 = key, k1 = 0, c[4] = {counter, 0, 0, 0};
    for (int round = 0; round < 10; round++) {
        const unsigned long long low0 = 0xD2E7470EE14C6C93ull * c[0], high0 = __umul64hi(0xD2E7470EE14C6C93ull, c[0]);
        const unsigned long long low1 = 0xCA5A826395121157ull * c[2], high1 = __umul64hi(0xCA5A826395121157ull, c[2]);
        c[0] = high1 ^ c[1] ^ k0, c[1] = low1, c[2] = high0 ^ c[3] ^ k1, c[3] = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    Eight found;
#pragma unroll
    for (int i = 0; i < 8; i++) found.v[i] = float(unsigned(c[i / 2] >> (32 * (i % 2))) >> 8) * 5.9604644775390625e-8f;
    return found;
}

// alpha * (2 * u - 1); fields (N, size)
extern "C" __global__ void __launch_bounds__(256, 4) noise_fields(const unsigned long long* __restrict__ keys,
    float* __restrict__ fields, long long images, int size, float alpha) {
    const long long eights = (size + 7) / 8;
    for (long long at = first_element(); at < images * eights; at += step()) {
        const long long n = at / eights, first = at % eights * 8;
        const Eight u = numpy_floats(keys[n], at % eights + 1);
#pragma unroll
        for (int i = 0; i < 8; i++)
            if (first + i < size) fields[n * size + first + i] = product(alpha, sum(product(2, u.v[i]), -1));
    }
}

extern "C" __global__ void __launch_bounds__(256, 4) add_noise(const PIXEL* __restrict__ images,
    const unsigned long long* __restrict__ keys, const float* __restrict__ deviations, PIXEL* __restrict__ out, Size s,
    long long elements) {
    const long long size = (long long)s.c * s.h * s.w;
    for (long long at = first_element(); at < elements; at += step()) {
        const long long n = at / size, i = at % size;
        const float z = product(sqrtf(product(-2, logf(fraction(keys[n], 2 * i)))),
                                cosf(product(6.2831853071795864f, fraction(keys[n], 2 * i + 1))));
        put(out[at], sum(float(images[at]), product(deviations[n], z)));
    }
}
