// What translated PTX is made of: registers that hold bits, and instructions on them. Those that
// are not arithmetic are the emulation's own, with all their checks.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "device/ptx.cuh"
#include "device/sm90/barrier.cuh"
#include "device/sm90/cluster.cuh"
#include "device/sm90/grid.cuh"
#include "device/sm90/products.cuh"
#include "device/sm90/store_matrix.cuh"
#include "device/sm90/tensor_copy.cuh"
#include "runtime/engine.h"
#include "runtime/translations.h"

namespace emulation::machine {

// An operand as an instruction of type T sees it: the same bits, or the lowest of them.
template <typename T, typename S>
T get(S value) {
  if constexpr (std::is_same_v<T, S>) {
    return value;
  } else if constexpr (sizeof(T) == sizeof(S) && !std::is_same_v<S, bool>) {
    return std::bit_cast<T>(value);
  } else {
    static_assert(std::is_integral_v<T> && std::is_integral_v<S> && sizeof(T) <= sizeof(S));
    return static_cast<T>(value);
  }
}

// A result to a register, which may be wider: extended by its sign, if it has one.
template <typename R, typename T>
void put(R& to, T value) {
  if constexpr (sizeof(R) == sizeof(T)) {
    to = std::bit_cast<R>(value);
  } else {
    static_assert(std::is_integral_v<R> && std::is_integral_v<T> && sizeof(R) > sizeof(T));
    to = static_cast<R>(
        static_cast<std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>(value));
  }
}

// Integers wrap: they are added and multiplied as unsigned ones.
template <typename T>
using Wrapping = std::conditional_t<std::is_floating_point_v<T>, T,
                                    std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;
template <typename T>
T plus(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
}
template <typename T>
T minus(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
}
template <typename T>
T times(T a, T b) {
  return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
}
inline int32_t times_high(int32_t a, int32_t b) { return (int64_t{a} * b) >> 32; }
inline uint32_t times_high(uint32_t a, uint32_t b) { return (uint64_t{a} * b) >> 32; }
inline int64_t times_wide(int32_t a, int32_t b) { return int64_t{a} * b; }
inline uint64_t times_wide(uint32_t a, uint32_t b) { return uint64_t{a} * b; }
inline uint32_t times_wide(uint16_t a, uint16_t b) { return uint32_t{a} * b; }
template <typename T>
T invert(T a) {
  if constexpr (std::is_same_v<T, bool>) return !a;
  return static_cast<T>(~a);
}

// Counts beyond the bits are as many as there are.
template <typename T>
T shift_l(T a, uint32_t count) {
  return count < 8 * sizeof a ? static_cast<T>(Wrapping<T>(a) << count) : T{};
}
template <typename T>
T shift_r(T a, uint32_t count) {
  constexpr uint32_t kMost = 8 * sizeof a - 1;
  return count <= kMost ? static_cast<T>(a >> count) : std::is_signed_v<T> && a < 0 ? T(-1) : T{};
}
inline void funnel_left(uint32_t& to, uint32_t low, uint32_t high, uint32_t count) {
  to = static_cast<uint32_t>((uint64_t{high} << 32 | low) << count % 32 >> 32);
}
template <typename R>
void insert(R& to, R bits, R into, uint32_t place, uint32_t count) {
  const R mask = shift_l(minus(shift_l(R{1}, count % 256), R{1}), place % 256);
  to = (into & ~mask) | (shift_l(bits, place % 256) & mask);
}

// Registers of half as many bits side by side.
template <typename Half>
auto pack(Half low, Half high) {
  using Whole = std::conditional_t<sizeof(Half) == 2, uint32_t, uint64_t>;
  return static_cast<Whole>(Whole{high} << 8 * sizeof(Half) | low);
}
template <typename Whole, typename R>
void unpack(Whole value, R& low, R& high) {
  static_assert(sizeof(Whole) == 2 * sizeof(R));
  R halves[2];
  std::memcpy(halves, &value, sizeof halves);
  low = halves[0], high = halves[1];
}

inline void widen_float16(float& to, uint16_t bits) {
  to = octconv::ptx::widen(octconv::Float16{bits});
}
template <typename T>
void narrow(uint16_t& to, float value) {
  T narrowed;
  octconv::ptx::narrow(narrowed, value);
  to = narrowed.bits;
}
template <typename T>
void narrow_pair(uint32_t& to, float high, float low) {
  to = octconv::ptx::narrow_pair<T>(low, high);
}
template <typename R>
void round_tf32(uint32_t& to, R value) {
  to = octconv::ptx::round_tf32(get<uint32_t>(value));
}

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

// Addresses in the cluster: the rank of the block is above the rest.
constexpr uint32_t kRankBit = 24;
inline void map_to_rank(uint32_t& to, uint32_t address, uint32_t rank) {
  to = address % (1u << kRankBit) | rank << kRankBit;
}
inline uint32_t own_address(uint32_t mapped) {
  uint32_t own;
  map_to_rank(own, mapped, octconv::ptx::cluster_rank());
  return own;
}
inline void arrive_mapped(uint32_t barrier, Site at = Site::current()) {
  octconv::ptx::arrive_at(own_address(barrier), barrier >> kRankBit, at);
}
template <typename T, typename R>
void load_cluster(uint32_t address, R& to, Site at = Site::current()) {
  T value;
  octconv::ptx::load_cluster(value, own_address(address), address >> kRankBit, at);
  put(to, value);
}
template <typename T, typename R>
void load_cluster(uint32_t address, R& a, R& b, R& c, R& d, Site at = Site::current()) {
  static_assert(sizeof(T) == 4);
  octconv::ptx::Word128 values;
  octconv::ptx::load_cluster(values, own_address(address), address >> kRankBit, at);
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
  template <typename T, int kColumns, bool kTransposed, typename A>
  void multiply(float (&sums)[kColumns / 2], const A& a, uint64_t b, Site at = Site::current()) {
    if (!fenced_) fail("wgmma.mma_async", at, "no wgmma.fence before it");
    octconv::ptx::fence_products(at);
    octconv::ptx::multiply_async<T, kColumns, kTransposed>(sums, a, b, at);
    octconv::ptx::commit_products(at);
    octconv::ptx::wait_products<0>(at);
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
