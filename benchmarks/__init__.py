"""Benchmarks of octconv_cuda against vanilla convolution and the composed octave layer."""
