#include "device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "sanitizers.h"
#include "translations.h"

namespace emulation {
namespace {

constexpr size_t kAlignment = 256;          // that of cudaMalloc
constexpr size_t kGlobalRedZone = 1 << 16;  // behind each buffer: a row too far hits no other

void check_all_written(const Buffer& buffer) {
  const auto first = std::find(buffer.written.begin(), buffer.written.end(), 0);
  if (first == buffer.written.end()) return;
  throw Failure(buffer.name + ": byte " + std::to_string(first - buffer.written.begin()) + " of " +
                std::to_string(buffer.bytes) + " was never written");
}

}  // namespace

void Device::Free::operator()(void* memory) const { std::free(memory); }

std::byte* Device::add(const std::string& name, size_t bytes, bool writable) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + kGlobalRedZone) != 0) throw std::bad_alloc();
  memory_.emplace_back(memory);
  auto* begin = static_cast<std::byte*>(memory);
  poison(begin + bytes, kGlobalRedZone);
  std::memset(begin, 0xFF, bytes);  // NaN in every floating-point type
  buffers_.push_back({name, begin, bytes, writable, std::vector<uint8_t>(writable ? bytes : 0)});
  return begin;
}

const void* Device::input(const std::string& name, const void* data, size_t bytes) {
  std::byte* begin = add(name, bytes, false);
  if (bytes) std::memcpy(begin, data, bytes);
  return begin;
}

void* Device::output(const std::string& name, size_t bytes) {
  outputs_.push_back(buffers_.size());
  return add(name, bytes, true);
}

void* Device::workspace(const std::string& name, size_t bytes) { return add(name, bytes, true); }

void* Device::zeros(const std::string& name, size_t bytes) {
  std::byte* begin = add(name, bytes, true);
  std::memset(begin, 0, bytes);
  std::fill(buffers_.back().written.begin(), buffers_.back().written.end(), 1);
  return begin;
}

void Device::lend(const std::string& name, void* memory, size_t bytes, bool writable) {
  auto* begin = static_cast<std::byte*>(memory);
  for (const Buffer& buffer : buffers_) {
    const bool is_result = buffer.begin == begin && buffer.bytes == bytes && buffer.writable;
    if (is_result && !writable) check_all_written(buffer);
  }
  std::erase_if(buffers_, [&](const Buffer& old) {
    return begin < old.begin + old.bytes && old.begin < begin + bytes;
  });
  if (bytes == 0) return;
  if (writable) std::memset(begin, 0xFF, bytes);
  buffers_.push_back({name, begin, bytes, writable, std::vector<uint8_t>(writable ? bytes : 0)});
}

void Device::set(void* memory, int value, size_t bytes) {
  auto* first = static_cast<std::byte*>(memory);
  for (Buffer& buffer : buffers_) {
    if (first < buffer.begin || first + bytes > buffer.begin + buffer.bytes) continue;
    std::memset(first, value, bytes);
    std::memset(&buffer.written[first - buffer.begin], 1, bytes);
    return;
  }
  throw Failure("memset of memory that is in no buffer");
}

void Device::run(const octconv::LaunchShape& shape, const void* kernel, const void* params,
                 const std::function<void()>& in_cpp) {
  buffers = &buffers_;
  const auto translation = translations().find(kernel);
  if (translation == translations().end()) return engine_.run(shape, in_cpp);
  engine_.counters.translated += 1;
  engine_.run(shape, [&] { translation->second(static_cast<const std::byte*>(params)); });
}

void Device::check_outputs() const {
  for (const size_t index : outputs_) check_all_written(buffers_[index]);
}

}  // namespace emulation
