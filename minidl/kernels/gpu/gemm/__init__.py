"""Matrix products: tiles in CUDA C that matmul and convolution share, and the choice among them."""
