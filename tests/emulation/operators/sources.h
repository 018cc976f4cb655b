// In the place of the header that setup.py writes: whoever runs the emulation has just compiled it.
#pragma once

#define OCTCONV_CUDA_SOURCES "emulated"
