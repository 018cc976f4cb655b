// Loads and stores of one thread, 2 to 16 bytes each, and the block's dynamic shared memory.
#pragma once

#include <cstdint>

namespace octconv::ptx {

// 16 bytes, the most that one instruction of a thread moves.
struct alignas(16) Word128 {
  uint32_t word[4];
};

// Data Movement and Conversion Instructions: ld.global.nc. The memory must not be written while the
// kernel runs, nor by launches that it overlaps with. Not volatile: the compiler may move it.
__device__ __forceinline__ void load_constant(Word128& value, const void* address) {
  asm("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
      : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
      : "l"(address));
}
__device__ __forceinline__ void load_constant(uint64_t& value, const void* address) {
  asm("ld.global.nc.b64 %0, [%1];" : "=l"(value) : "l"(address));
}
__device__ __forceinline__ void load_constant(uint32_t& value, const void* address) {
  asm("ld.global.nc.b32 %0, [%1];" : "=r"(value) : "l"(address));
}
__device__ __forceinline__ void load_constant(uint16_t& value, const void* address) {
  asm("ld.global.nc.b16 %0, [%1];" : "=h"(value) : "l"(address));
}

// Data Movement and Conversion Instructions: ld. For memory that this kernel writes, or launches
// that it overlaps with.
__device__ __forceinline__ void load_global(Word128& value, const void* address) {
  asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
               : "l"(address)
               : "memory");
}
__device__ __forceinline__ void load_global(uint64_t& value, const void* address) {
  asm volatile("ld.global.b64 %0, [%1];" : "=l"(value) : "l"(address) : "memory");
}
__device__ __forceinline__ void load_global(uint32_t& value, const void* address) {
  asm volatile("ld.global.b32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
}
__device__ __forceinline__ void load_global(uint16_t& value, const void* address) {
  asm volatile("ld.global.b16 %0, [%1];" : "=h"(value) : "l"(address) : "memory");
}

// Data Movement and Conversion Instructions: st
__device__ __forceinline__ void store_global(void* address, Word128 value) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(address), "r"(value.word[0]),
               "r"(value.word[1]), "r"(value.word[2]), "r"(value.word[3])
               : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint64_t value) {
  asm volatile("st.global.b64 [%0], %1;" ::"l"(address), "l"(value) : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint32_t value) {
  asm volatile("st.global.b32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}
__device__ __forceinline__ void store_global(void* address, uint16_t value) {
  asm volatile("st.global.b16 [%0], %1;" ::"l"(address), "h"(value) : "memory");
}

// The same where `wanted`, else nothing. A predicate: branches would draw the addresses into them.
__device__ __forceinline__ void store_global_if(bool wanted, void* address, Word128 value) {
  asm volatile(
      "{.reg .pred p; setp.ne.u32 p, %5, 0; @p st.global.v4.b32 [%0], {%1, %2, %3, %4};}" ::"l"(
          address),
      "r"(value.word[0]), "r"(value.word[1]), "r"(value.word[2]), "r"(value.word[3]),
      "r"(static_cast<uint32_t>(wanted))
      : "memory");
}
__device__ __forceinline__ void store_global_if(bool wanted, void* address, uint64_t value) {
  asm volatile("{.reg .pred p; setp.ne.u32 p, %2, 0; @p st.global.b64 [%0], %1;}" ::"l"(address),
               "l"(value), "r"(static_cast<uint32_t>(wanted))
               : "memory");
}
__device__ __forceinline__ void store_global_if(bool wanted, void* address, uint32_t value) {
  asm volatile("{.reg .pred p; setp.ne.u32 p, %2, 0; @p st.global.b32 [%0], %1;}" ::"l"(address),
               "r"(value), "r"(static_cast<uint32_t>(wanted))
               : "memory");
}
__device__ __forceinline__ void store_global_if(bool wanted, void* address, uint16_t value) {
  asm volatile("{.reg .pred p; setp.ne.u32 p, %2, 0; @p st.global.b16 [%0], %1;}" ::"l"(address),
               "h"(value), "r"(static_cast<uint32_t>(wanted))
               : "memory");
}

// Data Movement and Conversion Instructions: ld.shared
__device__ __forceinline__ void load_shared(Word128& value, uint32_t address) {
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_shared(uint64_t& value, uint32_t address) {
  asm volatile("ld.shared.b64 %0, [%1];" : "=l"(value) : "r"(address) : "memory");
}
__device__ __forceinline__ void load_shared(uint32_t& value, uint32_t address) {
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
}

// Data Movement and Conversion Instructions: st.shared
__device__ __forceinline__ void store_shared(uint32_t address, Word128 value) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(value.word[0]),
               "r"(value.word[1]), "r"(value.word[2]), "r"(value.word[3])
               : "memory");
}
__device__ __forceinline__ void store_shared(uint32_t address, uint64_t value) {
  asm volatile("st.shared.b64 [%0], %1;" ::"r"(address), "l"(value) : "memory");
}
__device__ __forceinline__ void store_shared(uint32_t address, uint32_t value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

// The buffers of a block in its dynamic shared memory, given out one behind the other. On a CPU
// each gets exactly the bytes asked for, with a red zone behind it.
class SharedMemory {
 public:
  // Data Movement and Conversion Instructions: cvta. The launch decides the size.
  __device__ __forceinline__ SharedMemory() {
    extern __shared__ Word128 octconv_dynamic_shared[];
    next_ = static_cast<uint32_t>(__cvta_generic_to_shared(octconv_dynamic_shared));
  }

  // The address of the next `bytes`, a multiple of 16. The first buffer is aligned like the
  // memory itself: to 1024 bytes where nothing static lies before it.
  __device__ __forceinline__ uint32_t take(uint32_t bytes) {
    const uint32_t address = next_;
    next_ += bytes;
    return address;
  }

 private:
  uint32_t next_;
};

}  // namespace octconv::ptx
