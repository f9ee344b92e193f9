// Softmax and log-softmax of rows, and their gradients.
#include "softmax/rows.cuh"

extern "C" __global__ void __launch_bounds__(256) softmax(const REAL* __restrict__ x, REAL* __restrict__ out,
    long long rows, int n, long long inner) {
    const Row row = my_row(rows, n, inner);
    MATH largest, sum;
    exponentials(x, row, largest, sum);
    EACH_OF(row, i) out[row.at(i)] = narrow<REAL>(exp(widen(x[row.at(i)]) - largest) / sum);
}

extern "C" __global__ void __launch_bounds__(256) log_softmax(const REAL* __restrict__ x, REAL* __restrict__ out,
    long long rows, int n, long long inner) {
    const Row row = my_row(rows, n, inner);
    MATH largest, sum;
    exponentials(x, row, largest, sum);
    const MATH logarithm = log(sum);
    EACH_OF(row, i) out[row.at(i)] = narrow<REAL>(widen(x[row.at(i)]) - largest - logarithm);
}

// out * (grad - sum(grad * out))
extern "C" __global__ void __launch_bounds__(256) softmax_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ out, REAL* __restrict__ dx, long long rows, int n, long long inner) {
    const Row row = my_row(rows, n, inner);
    double total = 0;
    EACH_OF(row, i) total += widen(grad[row.at(i)]) * widen(out[row.at(i)]);
    const MATH sum = MATH(sum_of_lanes(total));
    EACH_OF(row, i) dx[row.at(i)] = narrow<REAL>(widen(out[row.at(i)]) * (widen(grad[row.at(i)]) - sum));
}

// grad - exp(out) * sum(grad)
extern "C" __global__ void __launch_bounds__(256) log_softmax_gradient(const REAL* __restrict__ grad,
    const REAL* __restrict__ out, REAL* __restrict__ dx, long long rows, int n, long long inner) {
    const Row row = my_row(rows, n, inner);
    double total = 0;
    EACH_OF(row, i) total += widen(grad[row.at(i)]);
    const MATH sum = MATH(sum_of_lanes(total));
    EACH_OF(row, i) dx[row.at(i)] = narrow<REAL>(widen(grad[row.at(i)]) - exp(widen(out[row.at(i)])) * sum);
}
