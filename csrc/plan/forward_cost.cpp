#include "plan/forward_cost.h"

#include <algorithm>
#include <numeric>

#include "problem.h"

namespace octconv {
namespace {

// In clocks, fitted to the times of 431 candidate plans on an H100. A warp that loads takes
// kInstruction for each of its own.
constexpr double kInstruction = 4;
constexpr double kLatency = 1160;     // from a copy's issue to the data in shared memory
constexpr double kTurn = 950;         // to wait, to meet, and to find the operands of the products
constexpr double kBusy = 1.64;        // more than that, where two blocks' warps load
constexpr double kPoolWait = 80;      // for the loads of a window or two
constexpr double kSplitRound = 3500;  // add_splits' loop: loads of a row of tiles, then sums
constexpr double kTile = 12400;       // tables, bias, and where results lie
constexpr double kStore = 8;          // of a multiprocessor for 512 bytes of results

// The inner loops of products.cuh: what all warps do in one step of a row of taps.
struct StepCount {
  int64_t hmma, ldmatrix, word_loads;
};
StepCount step_count(const Instance& f, bool high, bool phases) {
  const int64_t warps = f.warps(), taps = f.taps();
  const int64_t fragments = warps * taps * f.tiles_n / 2;  // of the weight
  const bool by_words = f.transposed && f.limits.element_bytes == 4;
  const int64_t groups = high ? 1 : f.tiles_m;  // of 16 quads of a warp
  const int64_t cells = warps * groups * (phases ? 2 * (taps + 1) : taps);
  return {warps * groups * taps * f.tiles_n * (phases ? 4 : 1), cells + (by_words ? 0 : fragments),
          by_words ? 4 * fragments : 0};
}

// WeightRows::load: one row of taps of a chunk.
struct FillCount {
  int64_t instructions, wavefronts;
};
FillCount weight_count(const Instance& f, int32_t columns) {
  const int64_t count = int64_t{f.taps()} * columns * f.limits.chunk_bytes / (16 * 32);
  // Transposed rows of 64 bytes: of each quarter of a warp two lanes meet in the same banks.
  const bool conflict = f.transposed && columns * f.limits.element_bytes == 64;
  return {count, count * (conflict ? 8 : 4)};
}

// HaloLoader: one chunk of a segment.
struct HaloCount {
  FillCount fill;
  double clocks;  // of each warp that loads
};
HaloCount halo_count(const Instance& f, const Program& program, const Segment& segment) {
  const int32_t p = f.limits.padding, planes = segment.phases ? 2 : 1;
  const int32_t rows = planes * (segment.phases ? program.phase_rows : program.quad_rows);
  const int32_t cells = planes * (program.tile_width + (segment.phases ? p : 2 * p));
  const int32_t of_warp = 32 / (f.limits.chunk_bytes / 16), steps = divide_up(cells, of_warp);
  const int64_t lanes = int64_t{cells} * f.limits.chunk_bytes / 16;
  const int32_t rows_of_warp = divide_up(rows, kLoaderWarps);
  // Copies go four by four; pools of pools take four rounds, others of 16-bit elements go in pairs.
  const int32_t at_once = segment.pools == 0 ? 4 : f.limits.element_bytes == 2 ? 2 : 1;
  const double round = segment.pools == 0   ? 34 * kInstruction
                       : segment.pools == 1 ? 90 * at_once * kInstruction + kPoolWait
                                            : 4 * (90 * kInstruction + kPoolWait);
  const int32_t rounds = segment.pools == 2 ? steps : divide_up(steps, at_once);
  return {{int64_t{rows} * steps, rows * ((lanes + 7) / 8)},
          100 * kInstruction + rounds * (20 * kInstruction + rows_of_warp * round)};
}

// The pixels of a segment's source that a tile reads, on the average of all tiles. Each border
// between two tiles within an image has its pixels on both sides read by both.
double source_pixels(const Instance& f, const ForwardParams& p, const Program& program,
                     const Segment& segment) {
  const double reach = 2 * f.limits.padding << segment.pools;
  const int64_t stack = int64_t{p.batch} * p.quad_height;
  const int64_t at_images = (stack - 1) / std::lcm(program.tile_height, int64_t{p.quad_height});
  const double rows =
      double(p.batch) * segment.height + double(program.tiles_down - 1 - at_images) * reach;
  const double columns = segment.width + (program.tiles_across - 1) * reach;
  return rows * columns / (double(program.tiles_down) * program.tiles_across);
}

double output_bytes(const ForwardParams& p, const Program& program, int32_t element_bytes) {
  double bytes = 0;
  for (const Output& output : program.output) {
    bytes += double(p.batch) * output.height * output.width * (output.last - output.first);
  }
  return bytes * element_bytes / program.tiles();
}

}  // namespace

double TileCost::busy() const {
  return std::max({mma_clocks, shared_clocks, l2_clocks, kBusy * load_clocks});
}

TileCost tile_cost(const Instance& f, const DeviceFacts& d, const ForwardParams& p, bool high,
                   int32_t split) {
  const Program& program = high ? p.high : p.low;
  const int32_t taps = f.taps(), chunk_bytes = f.limits.chunk_bytes;
  const int32_t chunks = program.chunks[0] + program.chunks[1];
  const int32_t begin = chunks * split / program.splits;
  const int32_t end = chunks * (split + 1) / program.splits;
  const FillCount weight = weight_count(f, (high ? f.limits.high : f.limits.low).columns);
  const double weight_bytes = double(taps) * program.columns / program.tiles_columns;

  StepCount step[2];
  HaloCount halo[2];
  double pixels[2];
  for (int i = 0; i < 2; ++i) {
    const Segment& segment = program.segment[i];
    if (segment.channels == 0) continue;
    step[i] = step_count(f, high, segment.phases);
    halo[i] = halo_count(f, program, segment);
    pixels[i] = source_pixels(f, p, program, segment);
  }
  const auto segment_of = [&](int32_t index) { return index < program.chunks[0] ? 0 : 1; };
  const auto bytes_of = [&](int32_t index) {  // of a cell
    const int s = segment_of(index);
    const int32_t before = (index - (s ? program.chunks[0] : 0)) * chunk_bytes;
    return std::min(program.segment[s].channels * f.limits.element_bytes - before, chunk_bytes);
  };

  TileCost cost{};
  cost.clocks = kTile;
  // Warps that load and warps that multiply work side by side, a few turns apart.
  for (int32_t index = begin; index < end; ++index) {
    const int s = segment_of(index);
    const StepCount& count = step[s];
    const int64_t steps = divide_up(bytes_of(index), 32);
    const FillCount& fill = halo[s].fill;
    const double read = (pixels[s] + taps * weight_bytes) * bytes_of(index);
    const int64_t wavefronts = fill.wavefronts + taps * weight.wavefronts;
    cost.hmma += taps * steps * count.hmma;
    cost.ldmatrix += taps * steps * count.ldmatrix;
    cost.word_loads += taps * steps * count.word_loads;
    cost.read_bytes += read;
    cost.fill_wavefronts += wavefronts;
    cost.copies += taps * weight.instructions;
    if (program.segment[s].pools == 0) cost.copies += fill.instructions;
    const double copies = 5.0 * weight.instructions / kLoaderWarps;
    const double load = halo[s].clocks + taps * (45 + copies) * kInstruction;
    const double land = taps * kLatency / (p.weight_stages - 1) + read / d.l2_bytes;
    const double mma = taps * steps * count.hmma / d.hmma;
    const double shared =
        (taps * steps * (4 * count.ldmatrix + count.word_loads) + wavefronts) / d.wavefronts;
    const double multiply = std::max(mma, shared) + taps * kTurn;
    cost.load_clocks += load;
    cost.clocks += std::max({load, land, multiply});
  }
  const int first = segment_of(begin);
  cost.start_clocks =
      halo[first].clocks + kLatency + (pixels[first] + weight_bytes) * bytes_of(begin) / d.l2_bytes;
  const bool last_split = split + 1 == program.splits;
  double end_clocks = 0;
  if (program.splits > 1) {
    const double sums = double(f.limits.sums) * sizeof(float);
    cost.written_bytes += sums;
    if (last_split) {
      cost.read_bytes += sums * program.splits;
      end_clocks += f.tiles_m * program.splits * kSplitRound;
    }
    end_clocks += 2 * kLatency;  // until the sums are seen, and the counter
  }
  if (last_split) cost.written_bytes += output_bytes(p, program, f.limits.element_bytes);
  cost.ldmatrix_wavefronts = 4 * cost.ldmatrix;
  cost.mma_clocks = cost.hmma / d.hmma;
  cost.shared_clocks =
      (cost.ldmatrix_wavefronts + cost.word_loads + cost.fill_wavefronts) / d.wavefronts;
  cost.l2_clocks = (cost.read_bytes + cost.written_bytes) / d.l2_bytes;
  cost.clocks += end_clocks + cost.written_bytes / 512 * kStore;
  return cost;
}

}  // namespace octconv
