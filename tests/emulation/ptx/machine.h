// What translated PTX is made of, beside arithmetic: instructions that are the emulation's own,
// with all their checks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "device/ptx.cuh"
#include "device/sm90/barrier.cuh"
#include "device/sm90/cluster.cuh"
#include "device/sm90/grid.cuh"
#include "device/sm90/products.cuh"
#include "device/sm90/store_matrix.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "ptx/arithmetic.h"
#include "runtime/engine.h"
#include "runtime/translations.h"

namespace emulation::machine {

template <typename T = const void>
T* pointer(uint64_t address) {
  return reinterpret_cast<T*>(address);
}

template <typename T, typename... R>
void load_param(uint64_t address, R&... to) {
  uint64_t next = address;
  const auto one = [&](auto& r) {
    T value;
    std::memcpy(&value, pointer(next), sizeof value);
    next += sizeof value;
    put(r, value);
  };
  (one(to), ...);
}

// Loads and stores of one register, and of four.
#define EMULATION_LOAD(name, Address, pointer_of)                                        \
  template <typename T, typename R>                                                      \
  void load_##name(Address address, R& to, Site at = Site::current()) {                  \
    T value;                                                                             \
    octconv::ptx::load_##name(value, pointer_of(address), at);                           \
    put(to, value);                                                                      \
  }                                                                                      \
  template <typename T, typename R>                                                      \
  void load_##name(Address address, R& a, R& b, R& c, R& d, Site at = Site::current()) { \
    static_assert(sizeof(T) == 4);                                                       \
    octconv::ptx::Word128 values;                                                        \
    octconv::ptx::load_##name(values, pointer_of(address), at);                          \
    R* const to[] = {&a, &b, &c, &d};                                                    \
    for (int i = 0; i < 4; ++i) put(*to[i], get<T>(values.word[i]));                     \
  }
EMULATION_LOAD(shared, uint32_t, )
EMULATION_LOAD(global, uint64_t, pointer<>)
EMULATION_LOAD(constant, uint64_t, pointer<>)
#undef EMULATION_LOAD

#define EMULATION_STORE(name, Address, pointer_of)                                    \
  template <typename T, typename R>                                                   \
  void store_##name(Address address, R value, Site at = Site::current()) {            \
    octconv::ptx::store_##name(pointer_of(address), get<T>(value), at);               \
  }                                                                                   \
  template <typename T, typename A, typename B, typename C, typename D>               \
  void store_##name(Address address, A a, B b, C c, D d, Site at = Site::current()) { \
    static_assert(sizeof(T) == 4);                                                    \
    const octconv::ptx::Word128 values{{get<T>(a), get<T>(b), get<T>(c), get<T>(d)}}; \
    octconv::ptx::store_##name(pointer_of(address), values, at);                      \
  }
EMULATION_STORE(shared, uint32_t, )
EMULATION_STORE(global, uint64_t, pointer<void>)
#undef EMULATION_STORE

// Addresses in the cluster.
inline void map_to_rank(uint32_t& to, uint32_t address, uint32_t rank) {
  to = address % (1u << kRankShift) | rank << kRankShift;
}
inline uint32_t own_address(uint32_t mapped) {
  uint32_t own;
  map_to_rank(own, mapped, octconv::ptx::cluster_rank());
  return own;
}
inline void arrive_mapped(uint32_t barrier, Site at = Site::current()) {
  octconv::ptx::arrive_at(own_address(barrier), barrier >> kRankShift, at);
}
template <typename T, typename R>
void load_cluster(uint32_t address, R& to, Site at = Site::current()) {
  T value;
  octconv::ptx::load_cluster(value, own_address(address), address >> kRankShift, at);
  put(to, value);
}
template <typename T, typename R>
void load_cluster(uint32_t address, R& a, R& b, R& c, R& d, Site at = Site::current()) {
  static_assert(sizeof(T) == 4);
  octconv::ptx::Word128 values;
  octconv::ptx::load_cluster(values, own_address(address), address >> kRankShift, at);
  R* const to[] = {&a, &b, &c, &d};
  for (int i = 0; i < 4; ++i) put(*to[i], get<T>(values.word[i]));
}

inline void add_relaxed(uint32_t& old, uint64_t address, uint32_t value,
                        Site at = Site::current()) {
  old = octconv::ptx::atomic_add_relaxed(pointer<uint32_t>(address), value, at);
}
inline void add_acq_rel(uint32_t& old, uint64_t address, uint32_t value,
                        Site at = Site::current()) {
  old = octconv::ptx::atomic_add(pointer<uint32_t>(address), value, at);
}

inline void copy_16(uint32_t shared, uint64_t source, uint32_t source_bytes,
                    Site at = Site::current()) {
  octconv::ptx::copy_async(shared, pointer(source), source_bytes, at);
}

template <typename T>
void mma(float& d0, float& d1, float& d2, float& d3, uint32_t a0, uint32_t a1, uint32_t a2,
         uint32_t a3, uint32_t b0, uint32_t b1, float c0, float c1, float c2, float c3,
         Site at = Site::current()) {
  float sums[4] = {c0, c1, c2, c3};
  octconv::ptx::mma<T>(sums, {a0, a1, a2, a3}, {b0, b1}, at);
  d0 = sums[0], d1 = sums[1], d2 = sums[2], d3 = sums[3];
}

inline void arrive_once(uint32_t barrier, Site at = Site::current()) {
  octconv::ptx::arrive(barrier, at);
}
// Some of a thread's tries say no, as they may: only a loop makes a wait of it.
inline bool try_wait(uint32_t& tries, uint32_t barrier, uint32_t parity,
                     Site at = Site::current()) {
  return tries++ % 3 != 0 && octconv::ptx::try_wait(barrier, parity, at);
}

// Products of a thread. They are done at once, and what should come around them is only counted.
class Products {
 public:
  void fence() { fenced_ = true; }
  // The sums are registers of `floats`, of these numbers.
  template <typename T, int kColumns, bool kTransposed, typename A>
  void multiply(float* floats, const uint32_t (&numbers)[kColumns / 2], const A& a, uint64_t b,
                Site at = Site::current()) {
    float sums[kColumns / 2];
    for (int i = 0; i < kColumns / 2; ++i) sums[i] = floats[numbers[i]];
    if (!fenced_) fail("wgmma.mma_async", at, "no wgmma.fence before it");
    octconv::ptx::fence_products(at);
    octconv::ptx::multiply_async<T, kColumns, kTransposed>(sums, a, b, at);
    octconv::ptx::commit_products(at);
    octconv::ptx::wait_products<0>(at);
    for (int i = 0; i < kColumns / 2; ++i) floats[numbers[i]] = sums[i];
    ++open_;
  }
  void commit_group() {
    groups_ += open_ > 0;
    open_ = 0;
  }
  void wait_group(uint64_t pending) { groups_ = std::min(groups_, pending); }
  void finish(Site at = Site::current()) const {
    if (open_ > 0 || groups_ > 0) fail("ret", at, "products have not been waited for");
  }

 private:
  bool fenced_ = false;
  uint64_t open_ = 0, groups_ = 0;
};

// All of a launch's dynamic shared memory, as one buffer.
inline uint32_t take_dynamic_shared() {
  const uint32_t bytes = engine->shape().shared_bytes;
  return bytes ? take_shared(bytes, Site::current()) : 0;
}

}  // namespace emulation::machine
