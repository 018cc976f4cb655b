#include "bindings.h"
#include "kernels/gemm.cuh"

namespace emulation {
namespace {

// a (m, k) and b (n, k), both of 16-bit patterns or of float32. splits = 0: as planned.
Value gemm(const std::string& dtype, const Array& a, const Array& b, uint32_t splits,
           uint32_t multiprocessors, const Value& options) {
  if (a.columns == 0 || a.columns != b.columns) {
    throw std::invalid_argument("a and b must be matrices with as many columns");
  }
  return with_element(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Device device(options_from(options));
    octconv::GemmParams p{};
    p.m = a.rows, p.n = b.rows, p.k = a.columns;
    p.splits = splits ? splits : octconv::gemm_splits(p, sizeof(T), multiprocessors);
    p.a = input(device, "a", a);
    p.b = input(device, "b", b);
    p.c = device.output("c", size_t(p.m) * p.n * sizeof(T));
    if (p.splits > 1) {
      p.partial_sums = static_cast<float*>(
          device.workspace("partial_sums", octconv::gemm_partial_sums(p) * sizeof(float)));
      p.arrivals = static_cast<uint32_t*>(
          device.zeros("arrivals", octconv::gemm_tiles(p) * sizeof(uint32_t)));
    }
    octconv::with_gemm<T>([&](auto traits) {
      using Traits = decltype(traits);
      device.launch(octconv::gemm<Traits>, octconv::gemm_shape<Traits>(p), p);
    });
    device.check_outputs();
    using Number = std::conditional_t<sizeof(T) == 2, uint16_t, float>;
    return Value::tuple({copy_out<Number>(p.c, size_t(p.m) * p.n), to_dict(device.counters())});
  });
}

}  // namespace

void bind_gemm(Module& module) { module.add<&gemm>("gemm"); }

}  // namespace emulation
