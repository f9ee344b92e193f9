"""How CUDA C sources are read, compiled and launched."""
