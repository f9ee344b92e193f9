// Numbers that change from step to step, before a captured step is repeated: they travel as the argument of this launch.
#define MOST 64                                  // as in capture.py

struct Numbers {
    double floats[MOST];
    unsigned long long seeds[MOST];
};

extern "C" __global__ void set_numbers(const Numbers numbers, double* floats, unsigned long long* seeds) {
    floats[threadIdx.x] = numbers.floats[threadIdx.x];
    seeds[threadIdx.x] = numbers.seeds[threadIdx.x];
}
