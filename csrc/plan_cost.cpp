#include "plan_cost.h"

#include <algorithm>
#include <numeric>

#include "problem.h"

namespace octconv {
namespace {

// Clocks, all of them assumed.
constexpr double kPoolRound = 700;  // load_halo's loop where it pools: loads of a window or two,
                                    // then their sums; none is under way before the last ended
constexpr double kSplitRound =
    700;                        // add_splits' loop: loads of a row of tiles, then sums; likewise
constexpr double kTile = 500;   // tables, bias, and where results lie
constexpr int kSchedulers = 4;  // of a multiprocessor

// The inner loops of products.cuh: what all warps do in one step of a row of taps.
struct StepCount {
  int64_t hmma, ldmatrix, word_loads;
};
StepCount step_count(const Instance& f, bool high, bool phases) {
  const int64_t warps = f.warps(), taps = f.taps();
  const int64_t fragments = warps * taps * f.tiles_n / 2;  // of the weight
  const bool by_words = f.transposed && f.limits.element_bytes == 4;
  const int64_t groups = high ? f.high_groups : 4 * f.low_groups;
  const int64_t cells = warps * groups * (phases ? 2 * (taps + 1) : taps);
  return {warps * groups * taps * f.tiles_n * (phases ? 4 : 1), cells + (by_words ? 0 : fragments),
          by_words ? 4 * fragments : 0};
}

// load_weight: one row of taps of a chunk.
struct FillCount {
  int64_t instructions, wavefronts;
};
FillCount weight_count(const Instance& f, int32_t columns) {
  const int64_t count = int64_t{f.taps()} * columns * f.limits.chunk_bytes / (16 * 32);
  // Transposed rows of 64 bytes: of each quarter of a warp two lanes meet in the same banks.
  const bool conflict = f.transposed && columns * f.limits.element_bytes == 64;
  return {count, count * (conflict ? 8 : 4)};
}

// load_halo: one chunk of a segment.
struct HaloCount {
  FillCount fill;
  int32_t pool_rounds;  // of a warp, in one of the parts that go with the rows of taps
};
HaloCount halo_count(const Instance& f, const Program& program, const Segment& segment) {
  const int32_t p = f.limits.padding, planes = segment.phases ? 2 : 1;
  const int32_t rows = planes * (segment.phases ? program.phase_rows : program.quad_rows);
  const int32_t cells = planes * (program.tile_width + (segment.phases ? p : 2 * p));
  const int32_t of_warp = 32 / (f.limits.chunk_bytes / 16), steps = divide_up(cells, of_warp);
  const int64_t lanes = int64_t{cells} * f.limits.chunk_bytes / 16;
  const int32_t rows_of_warp = divide_up(divide_up(rows, f.taps()), f.warps());
  // Rounds to a step: pools of pools take four, others of 16-bit elements go two by two.
  const int32_t at_once = f.limits.element_bytes == 2 ? 2 : 1;
  const int32_t rounds = segment.pools == 0   ? 0
                         : segment.pools == 1 ? divide_up(steps, at_once)
                                              : 4 * steps;
  return {{int64_t{rows} * steps, rows * ((lanes + 7) / 8)}, rows_of_warp * rounds};
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

// Stores of four-byte elements come in halves of a sector, which count like whole ones.
double output_bytes(const ForwardParams& p, const Program& program, int32_t element_bytes) {
  double bytes = 0;
  for (const Output& output : program.output) {
    bytes += double(p.batch) * output.height * output.width * (output.last - output.first);
  }
  return bytes * (element_bytes == 4 ? 8 : 2) / program.tiles();
}

// What goes on between two barriers.
struct Turn {
  int64_t hmma, wavefronts;
  double bytes;
  int32_t pool_rounds;
};
double clocks_of(const Turn& turn, const DeviceFacts& d, int32_t warps, int32_t ahead) {
  const double mma = turn.hmma / d.hmma;
  const double l2 = turn.bytes / d.l2_bytes;
  const double copies = std::max(l2, (kLatency + l2) / ahead);  // that many turns to land
  // A warp that pools does not multiply meanwhile: it does that before or afterwards.
  const double pool = turn.pool_rounds * kPoolRound + mma * kSchedulers / warps;
  return std::max({mma, turn.wavefronts / d.wavefronts, copies, turn.pool_rounds ? pool : 0});
}

}  // namespace

double TileCost::busy() const { return std::max({mma_clocks, shared_clocks, l2_clocks}); }

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
  // A turn multiplies one row of taps and loads the next, with a part of the next chunk's halo; the
  // last turns load for the next item, which is taken to be like this one.
  for (int32_t index = begin; index < end; ++index) {
    const int32_t next_index = index + 1 < end ? index + 1 : begin;
    const int s = segment_of(index), next = segment_of(next_index);
    const StepCount& count = step[s];
    const int64_t steps = divide_up(bytes_of(index), 32);
    const FillCount& fill = halo[next].fill;
    const double halo_bytes = pixels[next] * bytes_of(next_index);
    const int32_t ahead = p.weight_stages - 1;
    const bool pooled = program.segment[next].pools > 0;
    const int32_t parts = pooled ? taps : taps + 1 - ahead;  // of the halo, in so many turns
    cost.hmma += taps * steps * count.hmma;
    cost.ldmatrix += taps * steps * count.ldmatrix;
    cost.word_loads += taps * steps * count.word_loads;
    cost.read_bytes += halo_bytes;
    cost.fill_wavefronts += fill.wavefronts + taps * weight.wavefronts;
    cost.copies += taps * weight.instructions;
    if (program.segment[next].pools == 0) cost.copies += fill.instructions;
    for (int32_t tap_row = 0; tap_row < taps; ++tap_row) {
      const double row_bytes = weight_bytes * bytes_of(tap_row + 1 < taps ? index : next_index);
      cost.read_bytes += row_bytes;
      Turn turn{steps * count.hmma,
                steps * (4 * count.ldmatrix + count.word_loads) + weight.wavefronts, row_bytes, 0};
      if (tap_row < parts) {
        turn.wavefronts += fill.wavefronts / parts;
        turn.bytes += halo_bytes / parts;
        turn.pool_rounds = halo[next].pool_rounds;
      }
      cost.clocks += clocks_of(turn, d, f.warps(), ahead) + kTurn;
    }
  }
  const int first = segment_of(begin);
  cost.start_clocks =
      std::max(taps * halo[first].pool_rounds * kPoolRound,
               kLatency + (pixels[first] + weight_bytes) * bytes_of(begin) / d.l2_bytes);
  const bool last_split = split + 1 == program.splits;
  double end_clocks = 0;
  if (program.splits > 1) {
    const double sums = double(f.limits.sums) * sizeof(float);
    cost.written_bytes += sums;
    if (last_split) {
      const int32_t rows = 4 * (high ? f.high_groups : f.low_groups);
      cost.read_bytes += sums * program.splits;
      end_clocks += rows * program.splits * kSplitRound;
    }
    end_clocks += 2 * kLatency;  // until the sums are seen, and the counter
  }
  if (last_split) cost.written_bytes += output_bytes(p, program, f.limits.element_bytes);
  cost.ldmatrix_wavefronts = 4 * cost.ldmatrix;
  cost.mma_clocks = cost.hmma / d.hmma;
  cost.shared_clocks =
      (cost.ldmatrix_wavefronts + cost.word_loads + cost.fill_wavefronts) / d.wavefronts;
  cost.l2_clocks = (cost.read_bytes + cost.written_bytes) / d.l2_bytes;
  cost.clocks += end_clocks + cost.written_bytes / d.l2_bytes;
  return cost;
}

}  // namespace octconv
