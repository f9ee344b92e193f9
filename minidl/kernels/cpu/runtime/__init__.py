"""How kernels are compiled, cached and run: threads, launcher, memory pool. There are no kernels in here."""
