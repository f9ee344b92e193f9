"""Exercises of chapter 10, the GPU. `python -m pytest -n 0 docs/tour/exercises/test_chapter_10.py` tests them.

Each function returns the text of a kernel in CUDA C.
"""


def row_sums_source():
    """`row_sums(const float* x, float* out, int columns)`: out[r] = the sum of row r of x.

    Launched with a block of 64 threads for each row: blockIdx.x is the row. A thread adds every 64th element, writes
    its sum to shared memory, and then 32, 16, ... 1 threads each add the sum of a thread that far away to their own.
    """
    raise NotImplementedError("exercise 10.1: a tree of sums in shared memory")


def transpose_source():
    """`transpose(const float* x, float* out, int rows, int columns)`: out (columns, rows) = the transpose of x.

    Launched with blocks of (16, 16) threads, and a grid of (columns / 16, rows / 16), rounded up. Neighbouring threads
    (threadIdx.x) read neighbours of x, and they write neighbours of out.
    """
    raise NotImplementedError("exercise 10.2: a square that is read by rows and written by columns")


def two_rows_source():
    """`product(const float* a, const float* b, float* c, int m, int k, int n)`: c (m, n) = a (m, k) @ b (k, n).

    Launched with blocks of (16, 8) threads, and a grid of (n / 16, m / 16), rounded up. A thread computes two elements
    of c: of the rows threadIdx.y and threadIdx.y + 8 of the block's square. It brings two numbers of each operand to
    shared memory per round.
    """
    raise NotImplementedError("exercise 10.3: the tiled product with two sums in each thread")
