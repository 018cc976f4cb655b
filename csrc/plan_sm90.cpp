#include "plan_sm90.h"

#include <algorithm>
#include <sstream>

#include "dtype.h"
#include "forward_sm90_setup.h"
#include "forward_sm90_traits.h"
#include "plan_1x1_sm90.h"

namespace octconv {
namespace {

// Microseconds, fitted to times of both octaves' tiles on an H100, alone and side by side.
constexpr double kLaunch = 4;
constexpr double kHighTile = 1.9, kHighChunk = 0.3;               // beyond the products
constexpr double kLowTile = 3.5 / 324, kPooledChunk = 2.0 / 324;  // for each cell of the box

double high_tile_us(const Problem& p, int32_t columns, double clock) {
  const double products = 2 * 9 * (steps_of(p.low_in) + 4 * steps_of(p.high_in));
  const int32_t chunks = divide_up(p.low_in, kSm90Chunk) + divide_up(p.high_in, kSm90Chunk);
  return kHighTile + kHighChunk * chunks + products * product_clocks(columns) / clock * 1e6;
}

double low_tile_us(const Problem& p, int32_t cells, int32_t columns, double clock) {
  const double products = 4 * 9 * (steps_of(p.low_in) + steps_of(p.high_in));
  const double of_cell = kLowTile + kPooledChunk * divide_up(p.high_in, kSm90Chunk);
  return of_cell * cells + products * product_clocks(columns) / clock * 1e6;
}

// Shares the blocks out such that neither octave keeps the other waiting.
void balance(PlanSm90& plan, double high_us, double low_us) {
  double best = 0, best_other = 0;
  for (int32_t low_blocks = 1; low_blocks < plan.blocks; ++low_blocks) {
    const double high = high_us * divide_up(plan.tiles[kHigh].items, plan.blocks - low_blocks);
    const double low = low_us * divide_up(plan.tiles[kLow].items, low_blocks);
    const double longer = std::max(high, low), other = std::min(high, low);
    if (low_blocks > 1 && (longer > best || (longer == best && other >= best_other))) continue;
    best = longer, best_other = other;
    plan.low_blocks = low_blocks;
  }
  plan.microseconds = kLaunch + best;
}

}  // namespace

const char* why_not_sm90(const Problem& p, ElementType type, const DeviceFacts& device) {
  if (device.major != 9 || device.minor != 0) return "a GPU of another compute capability than 9.0";
  if (device.shared_per_block < kSm90SharedBytes) return "a GPU with too little shared memory";
  if (type == ElementType::kTFloat32) return "tf32, and kernels for bfloat16 and float16";
  if ((p.kernel != 3 && p.kernel != 1) || p.stride != 1) {
    return "another kernel than 1x1 or 3x3 at stride 1";
  }
  if (std::min({p.high_in, p.low_in, p.high_out, p.low_out}) == 0) return "an absent part";
  if (p.kernel == 3 && p.input_grad) return "an input gradient";
  if (p.kernel == 3 && std::min(p.height, p.width) < 2) return "a single row or column of pixels";
  const int64_t most_tiles = int64_t{p.batch} * divide_up(p.quad_height(), 8) *
                             divide_up(p.quad_width(), 16) *
                             divide_up(std::max(p.high_out, p.low_out), 32);
  if (most_tiles > INT32_MAX / 2) return "more than 2^30 tiles";
  if (int64_t{p.height} * p.width * std::max(p.high_in, p.low_in) >= int64_t{1} << 39) {
    return "an image of 2^40 bytes or more";
  }
  return nullptr;
}

PlanSm90 plan_forward_sm90(const Problem& p, ElementType, const DeviceFacts& device) {
  if (p.kernel == 1) return plan_1x1_sm90(p, device);
  const int32_t quads = std::max(p.quad_height(), p.quad_width());
  int32_t geometry = 0;  // the one with the smallest images that these fit
  for (int32_t i = 1; i < kSm90GeometryCount; ++i) {
    if (quads <= kSm90Geometries[i].most_quads) geometry = i;
  }
  const int32_t cells = kSm90Geometries[geometry].low.cells();
  PlanSm90 best{};
  for_each_sm90<BFloat16>([&](auto traits) {  // the same for float16
    using Traits = decltype(traits);
    if (Traits::kGeometry != geometry) return;
    PlanSm90 plan{};
    plan.geometry = geometry;
    plan.columns[kHigh] = Traits::kHighColumns, plan.columns[kLow] = Traits::kLowColumns;
    for (const Octave octave : {kHigh, kLow}) {
      plan.tiles[octave] = sm90_tiles(p, geometry, octave, plan.columns[octave]);
    }
    plan.blocks =
        std::min(device.multiprocessors, plan.tiles[kHigh].items + plan.tiles[kLow].items);
    balance(plan, high_tile_us(p, plan.columns[kHigh], device.clock),
            low_tile_us(p, cells, plan.columns[kLow], device.clock));
    if (best.blocks == 0 || plan.microseconds < best.microseconds) best = plan;
  });
  return best;
}

std::string to_string(const PlanSm90& plan) {
  if (plan.joint_items > 0) return joint_text(plan);
  std::ostringstream text;
  text << "forward_sm90, ";
  for (const Octave octave : {kHigh, kLow}) {
    const QuadBox tile = sm90_tile(kSm90Geometries[plan.geometry], octave == kHigh);
    text << (octave == kLow ? "low " : "") << tile.width << "x" << tile.height
         << (octave == kHigh ? " quads" : "");
    if (tile.images > 1) text << " of " << tile.images << " images";
    text << " x " << plan.columns[octave] << ", ";
  }
  text << plan.blocks << " blocks, " << plan.low_blocks << " of them for low tiles";
  return text.str();
}

}  // namespace octconv
