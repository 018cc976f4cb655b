// Fences and atomics: what orders the threads of different blocks.
#pragma once

#include <cstdint>

#include "options.h"

namespace emulation {

void fence_device();

// Returns the old value. Acquires and releases, or, relaxed, only together with fences: one before
// it, with no barrier and no write to global memory between, makes it release, one behind it
// acquire. Others may run before it.
uint32_t atomic_add(uint32_t* address, uint32_t value, bool acquire_release,
                    const char* instruction, const Site& at);

}  // namespace emulation
