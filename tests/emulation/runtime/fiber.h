// Fibers: threads that hand the processor over themselves, a few nanoseconds a switch.
#pragma once

#include <cstddef>
#include <memory>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation {

class Fiber {
 public:
  // The fiber of the caller, which already runs.
  Fiber();
  // One that calls entry() when it is first switched to. It must never return from it.
  Fiber(void (*entry)(), size_t stack_bytes);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the fiber start over at entry(), on the same stack, as a thread that nobody has met.
  void restart();

  // Leaves `from`, which runs now, for this one; returns when somebody switches to `from`.
  void switch_from(Fiber& from);

 private:
  static void begin();  // the first frame of each fiber
  void arrived();       // tells the sanitizers that this fiber runs

  void (*entry_)() = nullptr;
  std::byte* stack_ = nullptr;
  size_t stack_bytes_ = 0;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
  void* fake_stack_ = nullptr;  // address sanitizer's
  void* tsan_fiber_ = nullptr;  // thread sanitizer's
};

}  // namespace emulation
