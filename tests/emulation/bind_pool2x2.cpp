#include "bindings.h"
#include "kernels/pool2x2.cuh"
#include "kernels/pool2x2_input_grad.cuh"

namespace emulation {
namespace {

// Where a map lies in its memory: offset and the strides of batch, row and pixel, in elements.
struct Place {
  int64_t offset;
  octconv::Strides strides;

  explicit Place(const Value& numbers)
      : offset(numbers[0].cast<int64_t>()),
        strides{numbers[1].cast<int64_t>(), numbers[2].cast<int64_t>(),
                numbers[3].cast<int64_t>()} {}
};

// Memories are of bytes. The result is (bytes of the output, elements of an access, counters).
template <typename T>
Value pool(octconv::Pool2x2Params p, const Array& high, const Value& high_place, const Array& low,
           const Value& low_place, const Value& options) {
  Device device(options_from(options));
  const Place of_high(high_place), of_low(low_place);
  p.high = static_cast<const T*>(input(device, "high", high)) + of_high.offset;
  p.low = static_cast<const T*>(input(device, "low", low)) + of_low.offset;
  p.high_stride = of_high.strides, p.low_stride = of_low.strides;
  const size_t bytes =
      sizeof(T) * p.batch * p.out_height() * p.out_width() * size_t(p.out_channels());
  p.out = device.output("out", bytes);
  constexpr int kMost = 16 / sizeof(T);
  const int vector = octconv::pool2x2_vectorises(p, sizeof(T)) ? kMost : 1;
  if (p.batch > 0) {
    const octconv::LaunchShape shape = octconv::pool2x2_shape(p, vector);
    if (vector == 1) {
      device.launch(octconv::pool2x2<octconv::Pool2x2Traits<T, 1>>, shape, p);
    } else {
      device.launch(octconv::pool2x2<octconv::Pool2x2Traits<T, kMost>>, shape, p);
    }
  }
  device.check_outputs();
  return Value::tuple({copy_out<uint8_t>(p.out, bytes), vector, to_dict(device.counters())});
}

Value pool2x2(const std::string& dtype, const Value& high_shape, int32_t low_channels, bool mean,
              const Array& high, const Value& high_place, const Array& low, const Value& low_place,
              const Value& options) {
  octconv::Pool2x2Params p{};
  p.batch = high_shape[0].cast<int32_t>();
  p.high_channels = high_shape[1].cast<int32_t>();
  p.height = high_shape[2].cast<int32_t>();
  p.width = high_shape[3].cast<int32_t>();
  p.low_channels = low_channels;
  p.mean = mean;
  if (dtype == "float32") return pool<float>(p, high, high_place, low, low_place, options);
  if (dtype == "float64") return pool<double>(p, high, high_place, low, low_place, options);
  if (dtype == "float16") {
    return pool<octconv::Float16>(p, high, high_place, low, low_place, options);
  }
  return pool<octconv::BFloat16>(p, high, high_place, low, low_place, options);
}

template <typename T>
Value grad(octconv::Pool2x2GradParams p, const Array& dz, const Value& options) {
  Device device(options_from(options));
  p.dz = input(device, "dz", dz);
  const size_t pixels = size_t(p.batch) * p.out_height() * p.out_width();
  const size_t high = sizeof(T) * p.batch * p.height * p.width * size_t(p.high_channels);
  const size_t low = sizeof(T) * pixels * p.low_channels;
  p.dx_high = device.output("dx_high", high), p.dx_low = device.output("dx_low", low);
  constexpr int kVector = 16 / sizeof(T);
  if (p.high_channels % kVector == 0 && p.low_channels % kVector == 0) {
    device.launch(octconv::pool2x2_input_grad<octconv::Pool2x2Traits<T, kVector>>,
                  octconv::pool2x2_shape(p, kVector), p);
  } else {
    device.launch(octconv::pool2x2_input_grad<octconv::Pool2x2Traits<T, 1>>,
                  octconv::pool2x2_shape(p, 1), p);
  }
  device.check_outputs();
  return Value::tuple({copy_out<uint8_t>(p.dx_high, high), copy_out<uint8_t>(p.dx_low, low),
                       to_dict(device.counters())});
}

// Of dz in memory as pool2x2 writes it; `shape` is that of high.
Value pool2x2_input_grad(const std::string& dtype, const Value& shape, int32_t low_channels,
                         const Array& dz, const Value& options) {
  const auto number = [&](int at) { return shape[at].cast<int32_t>(); };
  const octconv::Pool2x2GradParams p{nullptr,   nullptr,   nullptr,   number(0),
                                     number(2), number(3), number(1), low_channels};
  if (dtype == "float32") return grad<float>(p, dz, options);
  if (dtype == "float64") return grad<double>(p, dz, options);
  if (dtype == "float16") return grad<octconv::Float16>(p, dz, options);
  return grad<octconv::BFloat16>(p, dz, options);
}

}  // namespace

void bind_pool2x2(Module& module) {
  module.add<&pool2x2>("pool2x2");
  module.add<&pool2x2_input_grad>("pool2x2_input_grad");
}

}  // namespace emulation
