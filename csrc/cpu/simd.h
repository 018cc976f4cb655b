// How the CPU code uses the processor's vector instructions.
#pragma once

#include "dtype.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Functions marked OCTCONV_SIMD are compiled for several instruction sets; the processor that runs
// them picks one. Elsewhere the compiler's own target decides.
#if !defined(__x86_64__) || !defined(__GLIBC__)
#define OCTCONV_SIMD
#elif !defined(__clang__) && __GNUC__ >= 12
#define OCTCONV_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OCTCONV_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

// A template behind OCTCONV_SIMD functions: it must become part of each of their clones.
#define OCTCONV_INLINE inline __attribute__((always_inline))

// Compilers do not vectorise conversions of float16, so loops over it spell them out, for the F16C
// that every processor with AVX2 has, and leave the remaining elements to the common loop.
#if defined(__x86_64__)
#define OCTCONV_F16C __attribute__((target("avx2,f16c")))

namespace octconv {

const bool has_f16c = __builtin_cpu_supports("avx2");

OCTCONV_F16C inline __m256 load8(const Float16* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
OCTCONV_F16C inline void store8(Float16* to, __m256 values) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
}

}  // namespace octconv
#endif
