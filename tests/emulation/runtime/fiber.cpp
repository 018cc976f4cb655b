#include "fiber.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "sanitizers.h"

#if defined(__x86_64__)
// Saves the registers that a called function must keep, swaps stacks, restores. swapcontext would
// do, but makes two system calls a switch.
extern "C" void emulation_swap_stacks(void** save_to, void* load_from);
asm(R"(
.text
.type emulation_swap_stacks, @function
emulation_swap_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulation_swap_stacks, . - emulation_swap_stacks
)");
#endif

namespace emulation {
namespace {

Fiber* starting = nullptr;  // the fiber that begin() is entered for

}  // namespace

Fiber::Fiber() {
#if defined(EMULATION_ASAN)
  pthread_attr_t attributes;
  void* stack = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &stack, &stack_bytes_);
  pthread_attr_destroy(&attributes);
  stack_ = static_cast<std::byte*>(stack);
#endif
#if defined(EMULATION_TSAN)
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(void (*entry)(), size_t stack_bytes) : entry_(entry), stack_bytes_(stack_bytes) {
  void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(memory);
}

Fiber::~Fiber() {
#if defined(EMULATION_TSAN)
  if (entry_ && tsan_fiber_) __tsan_destroy_fiber(tsan_fiber_);
#endif
  if (!entry_) return;
  unpoison(stack_, stack_bytes_);
  munmap(stack_, stack_bytes_);
}

void Fiber::restart() {
  unpoison(stack_, stack_bytes_);
  forget_accesses(stack_, stack_bytes_);
#if defined(EMULATION_TSAN)
  if (tsan_fiber_) __tsan_destroy_fiber(tsan_fiber_);
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
  fake_stack_ = nullptr;
#if defined(__x86_64__)
  // Six registers and the return address; the stack is 8 bytes off a multiple of 16 on entry.
  auto** top = reinterpret_cast<void**>(stack_ + stack_bytes_ - 64);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&Fiber::begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = stack_bytes_;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::begin, 0);
#endif
}

void Fiber::begin() {
  starting->arrived();
  starting->entry_();
}

void Fiber::arrived() {
#if defined(EMULATION_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::switch_from(Fiber& from) {
  starting = this;
#if defined(EMULATION_ASAN)
  __sanitizer_start_switch_fiber(&from.fake_stack_, stack_, stack_bytes_);
#endif
#if defined(EMULATION_TSAN)
  __tsan_switch_to_fiber(tsan_fiber_, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
  emulation_swap_stacks(&from.stack_pointer_, stack_pointer_);
#else
  swapcontext(&from.context_, &context_);
#endif
  from.arrived();
}

}  // namespace emulation
