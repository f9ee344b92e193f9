"""Solutions of the exercises of chapter 10."""


def row_sums_source():
    """`row_sums(const float* x, float* out, int columns)`: out[r] = the sum of row r of x."""
    return r"""
extern "C" __global__ void row_sums(const float* x, float* out, int columns) {
    __shared__ float sums[64];
    const int t = threadIdx.x;
    const float* row = x + (long long)blockIdx.x * columns;
    float sum = 0;
    for (int i = t; i < columns; i += 64) sum += row[i];
    sums[t] = sum;
    for (int far = 32; far; far /= 2) {
        __syncthreads();                             // by all threads, also those that add no more
        if (t < far) sums[t] += sums[t + far];
    }
    if (t == 0) out[blockIdx.x] = sums[0];
}
"""


def transpose_source():
    """`transpose(const float* x, float* out, int rows, int columns)`: out (columns, rows) = the transpose of x."""
    return r"""
extern "C" __global__ void transpose(const float* x, float* out, int rows, int columns) {
    __shared__ float square[16][17];                 // padded: 16 rows of a column lie in 16 banks
    const int row = blockIdx.y * 16, column = blockIdx.x * 16, tx = threadIdx.x, ty = threadIdx.y;
    if (row + ty < rows && column + tx < columns) square[ty][tx] = x[(row + ty) * columns + column + tx];
    __syncthreads();
    if (column + ty < columns && row + tx < rows) out[(column + ty) * rows + row + tx] = square[tx][ty];
}
"""


def two_rows_source():
    """`product(const float* a, const float* b, float* c, int m, int k, int n)`: c (m, n) = a (m, k) @ b (k, n)."""
    return r"""
extern "C" __global__ void product(const float* a, const float* b, float* c, int m, int k, int n) {
    __shared__ float of_a[16][16], of_b[16][16];
    const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum[2] = {};
    for (int first = 0; first < k; first += 16) {
        for (int h = 0; h < 2; h++) {
            const int r = row + 8 * h, q = first + y + 8 * h;
            of_a[y + 8 * h][x] = r < m && first + x < k ? a[r * k + first + x] : 0;
            of_b[y + 8 * h][x] = q < k && column < n ? b[q * n + column] : 0;
        }
        __syncthreads();
        for (int i = 0; i < 16; i++) {
            const float of_column = of_b[i][x];
            for (int h = 0; h < 2; h++) sum[h] += of_a[y + 8 * h][i] * of_column;
        }
        __syncthreads();
    }
    for (int h = 0; h < 2; h++)
        if (row + 8 * h < m && column < n) c[(row + 8 * h) * n + column] = sum[h];
}
"""
