// What the sanitizers must be told about fibers and about the GPU's memory model. Without a
// sanitizer everything here is empty. Address sanitizer: which stack runs, and which bytes may be
// touched. Thread sanitizer: each CUDA thread is a thread of its own, and only barriers and atomics
// order them.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#if defined(EMULATION_ASAN)  // also in the files that are themselves not instrumented
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMULATION_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace emulation {

inline void poison([[maybe_unused]] const void* begin, [[maybe_unused]] size_t bytes) {
#if defined(EMULATION_ASAN)
  __asan_poison_memory_region(begin, bytes);
#endif
}

inline void unpoison([[maybe_unused]] const void* begin, [[maybe_unused]] size_t bytes) {
#if defined(EMULATION_ASAN)
  __asan_unpoison_memory_region(begin, bytes);
#endif
}

// Whether a thread's own array, or a part of it, is no longer or not yet in scope.
inline bool out_of_scope([[maybe_unused]] const void* begin, [[maybe_unused]] size_t bytes) {
#if defined(EMULATION_ASAN)
  return __asan_region_is_poisoned(const_cast<void*>(begin), bytes) != nullptr;
#else
  return false;
#endif
}

// What the running thread did before comes before what others do after they acquire the same
// object.
inline void release([[maybe_unused]] void* object) {
#if defined(EMULATION_TSAN)
  __tsan_release(object);
#endif
}

inline void acquire([[maybe_unused]] void* object) {
#if defined(EMULATION_TSAN)
  __tsan_acquire(object);
#endif
}

// Whole pages change their owner: what earlier threads did there concerns nobody any more.
inline void forget_accesses([[maybe_unused]] void* begin, [[maybe_unused]] size_t bytes) {
#if defined(EMULATION_TSAN)
  mmap(begin, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
}

// While one lives, memory that the runtime touches (its containers, memcpy) is not judged.
struct IgnoreAccesses {
#if defined(EMULATION_TSAN)
  IgnoreAccesses() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~IgnoreAccesses() {
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  }
#else
  IgnoreAccesses() {}
#endif
  IgnoreAccesses(const IgnoreAccesses&) = delete;
  IgnoreAccesses& operator=(const IgnoreAccesses&) = delete;
};

}  // namespace emulation
