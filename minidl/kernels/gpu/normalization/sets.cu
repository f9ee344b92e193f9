// Layer norm and group norm, forward and backward: see sets.cuh.
//
// The weight and bias of an element: those of its place in the set (layer norm), or of its channel (group norm), which
// is its place in the run after those of the groups before.
#include "columns.cuh"
#include "normalization/sets.cuh"

// which weight belongs to element i of a set
__device__ __forceinline__ long long weight_of(const Set& set, const Sets& s, unsigned i) {
    return s.sets_of_image == 1 && s.runs == 1 ? i : set.number % s.sets_of_image * s.length + i % set.length;
}

extern "C" __global__ void __launch_bounds__(256, 4) normalize_sets(const REAL* __restrict__ x,
    const MATH* __restrict__ weight, const MATH* __restrict__ bias, REAL* __restrict__ out, MATH* __restrict__ mean,
    MATH* __restrict__ deviation, Sets s, MATH eps) {
    const Set set = my_set(s);
    double sum[1] = {0};
    EACH_OF_SET(set, i) sum[0] += widen(x[set.at(i)]);
    add_team(sum);
    const MATH middle = MATH(sum[0] / set.size);
    sum[0] = 0;
    EACH_OF_SET(set, i) {
        const MATH d = widen(x[set.at(i)]) - middle;
        sum[0] += d * d;
    }
    add_team(sum);
    const MATH inverse = 1 / sqrt(MATH(sum[0] / set.size) + eps);
    EACH_OF_SET(set, i) {
        const long long w = weight_of(set, s, i), at = set.at(i);
        out[at] = narrow<REAL>((widen(x[at]) - middle) * inverse * weight[w] + bias[w]);
    }
    if (set.exists && threadIdx.x == 0) mean[set.number] = middle, deviation[set.number] = inverse;
}

// With g = grad * weight:  dx = deviation * (g - mean(g) - xhat * mean(g * xhat)), the means over the set
extern "C" __global__ void __launch_bounds__(256, 4) normalize_sets_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, const MATH* __restrict__ weight, const MATH* __restrict__ mean,
    const MATH* __restrict__ deviation, REAL* __restrict__ dx, Sets s) {
    const Set set = my_set(s);
    const MATH middle = set.exists ? mean[set.number] : MATH(0), inverse = set.exists ? deviation[set.number] : MATH(0);
    double sum[2] = {0, 0};
    EACH_OF_SET(set, i) {
        const MATH g = widen(grad[set.at(i)]) * weight[weight_of(set, s, i)];
        sum[0] += g;
        sum[1] += g * ((widen(x[set.at(i)]) - middle) * inverse);
    }
    add_team(sum);
    const MATH of_grad = MATH(sum[0] / set.size), of_product = MATH(sum[1] / set.size);
    EACH_OF_SET(set, i) {
        const MATH g = widen(grad[set.at(i)]) * weight[weight_of(set, s, i)],
                   xhat = (widen(x[set.at(i)]) - middle) * inverse;
        dx[set.at(i)] = narrow<REAL>(inverse * (g - of_grad - xhat * of_product));
    }
}

// dweight = sum(grad * xhat) and dbias = sum(grad) of each column of x (rows, columns). The set of an element is that of
// its row, rows_of_set rows in each image, and of its column, columns_of_set in each. block (columns, parts)
extern "C" __global__ void __launch_bounds__(256, 3) sum_gradients(const REAL* __restrict__ grad,
    const REAL* __restrict__ x, const MATH* __restrict__ mean, const MATH* __restrict__ deviation,
    double* __restrict__ partial, unsigned* __restrict__ done, MATH* __restrict__ dweight, MATH* __restrict__ dbias,
    unsigned rows, long long columns, unsigned rows_of_set, long long columns_of_set) {
    const long long column = (long long)blockIdx.x * blockDim.x + threadIdx.x, groups = columns / columns_of_set;
    const Slice slice = my_slice(rows);
    double sum[2] = {0, 0};
    if (column < columns) {
        for (long long row = slice.first; row < slice.end; row += slice.step) {
            const long long set = (unsigned)row / rows_of_set * groups + column / columns_of_set;
            const MATH g = widen(grad[row * columns + column]);
            sum[0] += g;
            sum[1] += g * ((widen(x[row * columns + column]) - mean[set]) * deviation[set]);
        }
    }
    if (add_slices(sum, partial, done, column, columns)) dbias[column] = MATH(sum[0]), dweight[column] = MATH(sum[1]);
}
