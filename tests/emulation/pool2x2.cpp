// Runs the text of csrc/kernels/pool2x2.cuh on the CPU, block by block and thread by thread.
//
//   pool2x2 DTYPE BATCH HEIGHT WIDTH HIGH_CHANNELS LOW_CHANNELS MEAN
//           {ELEMENTS OFFSET BATCH_STRIDE ROW_STRIDE PIXEL_STRIDE} for high, then for low
//
// stdin: the memory of high and of low, of ELEMENTS each. stdout: the output. stderr: "vector N".
// Buffers have exactly their size, so the address sanitizer sees every access outside.
#include "kernels/pool2x2.cuh"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace octconv {
namespace {

template <typename Traits>
void run_grid(const Pool2x2Params& p) {
  std::fprintf(stderr, "vector %d", Traits::kVector);
  const Pool2x2Grid grid = pool2x2_grid(p, Traits::kVector);
  for (uint32_t block = 0; block < grid.blocks; ++block) {
    for (uint32_t y = 0; y < grid.threads_y; ++y) {
      for (uint32_t x = 0; x < grid.threads_x; ++x) {
        ptx::current = {x, y, grid.threads_x, grid.threads_y, block};
        pool2x2<Traits>(p);
      }
    }
  }
}

template <typename T>
std::vector<T> read_memory(size_t elements) {
  std::vector<T> memory(elements);
  if (std::fread(memory.data(), sizeof(T), elements, stdin) != elements) std::exit(2);
  return memory;
}

template <typename T>
void run(const std::vector<int64_t>& a) {
  const std::vector<T> high = read_memory<T>(a[6]), low = read_memory<T>(a[11]);
  Pool2x2Params p{};
  p.batch = a[0], p.height = a[1], p.width = a[2];
  p.high_channels = a[3], p.low_channels = a[4], p.mean = a[5] != 0;
  p.high = high.data() + a[7], p.high_stride = {a[8], a[9], a[10]};
  p.low = low.data() + a[12], p.low_stride = {a[13], a[14], a[15]};
  std::vector<T> out(int64_t{p.batch} * p.out_height() * p.out_width() * p.out_channels());
  p.out = out.data();
  if (pool2x2_vectorises(p, sizeof(T))) {
    run_grid<Pool2x2Traits<T, 16 / sizeof(T)>>(p);
  } else {
    run_grid<Pool2x2Traits<T, 1>>(p);
  }
  if (!out.empty()) std::fwrite(out.data(), sizeof(T), out.size(), stdout);
}

}  // namespace
}  // namespace octconv

int main(int argc, char** argv) {
  if (argc != 18) return 2;
  const std::string dtype = argv[1];
  std::vector<int64_t> numbers;
  for (int i = 2; i < argc; ++i) numbers.push_back(std::atoll(argv[i]));
  if (dtype == "float32") octconv::run<float>(numbers);
  if (dtype == "float64") octconv::run<double>(numbers);
  if (dtype == "bfloat16") octconv::run<octconv::BFloat16>(numbers);
  if (dtype == "float16") octconv::run<octconv::Float16>(numbers);
  return 0;
}
