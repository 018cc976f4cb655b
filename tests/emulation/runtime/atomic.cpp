#include "atomic.h"

#include "engine.h"
#include "memory.h"
#include "sanitizers.h"

namespace emulation {

void fence_device() {
  for (void* object : self->atomics) acquire(object);
  const IgnoreAccesses ignore;
  self->atomics.clear();
  self->fenced = true;
}

uint32_t atomic_add(uint32_t* address, uint32_t value, bool acquire_release,
                    const char* instruction, const Site& at) {
  yield();
  const bool fenced = self->fenced;
  // Counters are zeroed before the launch, so they count as written.
  auto* counter = reinterpret_cast<uint32_t*>(
      global(address, sizeof(uint32_t), Access::kRead, instruction, at));
  global(address, sizeof(uint32_t), Access::kWrite, instruction, at);
  if (acquire_release) acquire(address);
  if (acquire_release || fenced) release(address);
  self->fenced = fenced;
  const IgnoreAccesses ignore;
  if (!acquire_release) self->atomics.push_back(address);
  const uint32_t old = *counter;
  *counter = old + value;
  return old;
}

}  // namespace emulation
