"""Arrays in, arrays out: no file but the cache of compiled kernels, no configuration, no logging."""
