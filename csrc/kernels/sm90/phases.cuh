// The high input of high tiles of forward_sm90: windows of its planes, each of which up to four
// phases multiply with a tap, read where they lie or through registers.
//
// A plane has the input's pixels of one phase: plane 0 those of even rows and columns. Of the
// output, phase 0 (2y, 2x) meets it with the middle tap alone, phase 1 (2y, 2x + 1) with the taps
// beside that, phase 2 with those above and below, phase 3 with the four corners: nine products for
// each plane. Pixels beside a quad's own belong to the quads beside it: shifts of -1 and 1.
#pragma once

#include <cstdint>
#include <device/ptx.cuh>

#include "chunk.cuh"
#include "device/phase.cuh"

namespace octconv::sm90 {

// Calls run(phase, row, column, y, x) for the nine products of a plane: of a phase, a tap, and the
// window that lies so many cells behind the box's begin, which is where the smallest shift is.
template <typename Run>
__device__ __forceinline__ void for_each_product(int plane, const Run& run) {
  const int down = plane / 2, right = plane % 2;
#pragma unroll
  for (int to = 0; to < 4; ++to) {
#pragma unroll
    for (int row = phase::first_tap(to / 2, down, 1); row < 3; row += 2) {
#pragma unroll
      for (int column = phase::first_tap(to % 2, right, 1); column < 3; column += 2) {
        run(to, row, column, phase::shift(phase::offset(to / 2, row, 1)) + down,
            phase::shift(phase::offset(to % 2, column, 1)) + right);
      }
    }
  }
}

// Of the weight of a chunk, 16ths of bytes to a tap and a step.
template <typename Traits>
constexpr int weight_offset(int row, int column, int step) {
  return (row * Traits::kHighSlot + column * Traits::kHighTap + step * Traits::kWeightStep) / 16;
}

template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_plane(float (&sum)[4][Traits::kHighColumns / 2], int plane,
                                               uint64_t input, uint64_t weight) {
  constexpr QuadBox kBox = kSm90Geometries[Traits::kGeometry].phases;
  weight = ptx::forget_offsets(weight);
  ptx::fence_products();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    for_each_product(plane, [&](int to, int row, int column, int y, int x) {
      ptx::multiply_async<typename Traits::T, Traits::kHighColumns, Traits::kInputGrad>(
          sum[to], input + (y * kBox.width + x) * kCellUnits + step * kStepUnits,
          weight + weight_offset<Traits>(row, column, step));
    });
  }
  ptx::commit_products();
}

// Where they lie: the next plane's products are under way before the last one is given back.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_in_place(float (&sum)[4][Traits::kHighColumns / 2],
                                                  const Memory& memory,
                                                  Ring<Traits::kPlanes>& planes, uint64_t weight,
                                                  int32_t warpgroup) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.phases;
  constexpr int32_t kRowCells = sm90_row_cells(kGeometry, true, kBox);
  const int32_t cell = sm90_first_cell(kGeometry, true, warpgroup, kBox);
  int32_t last = 0;
#pragma unroll
  for (int plane = 0; plane < 4; ++plane) {
    ptx::wait_barrier(memory.box_full(planes.stage), planes.parity);
    const uint32_t box = memory.plane(planes.stage);
    multiply_plane<Traits, kSteps>(sum, plane, ptx::matrix_at(box + cell * kSm90Cell, kRowCells),
                                   weight);
    if (plane > 0) {
      ptx::wait_products<1>();
      release(memory.box_empty(last));
    }
    last = planes.stage;
    planes.advance();
  }
  ptx::wait_products<0>();
  release(memory.box_empty(last));
}

// Where this lane's row of ldmatrix lies in a window that begins at a cell: that of a quad, and the
// upper or lower half of a step. The swizzle lets the step's bits stand apart.
template <typename Traits>
__device__ __forceinline__ uint32_t window_offset(int32_t first_cell) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr int32_t kRowCells = sm90_row_cells(kGeometry, true, kGeometry.phases);
  const int32_t lane = ptx::lane(), warp = ptx::thread_x() / 32 % 4;
  const int32_t cell = first_cell + (2 * warp + lane / 8 % 2) * kRowCells + lane % 8;
  return cell * kSm90Cell + (lane / 16 ^ cell % 8) * 16;
}

// Through registers, two steps of a window at a time: loaded once, while products of those before
// are under way.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_through_registers(
    float (&sum)[4][Traits::kHighColumns / 2], const Memory& memory, Ring<Traits::kPlanes>& planes,
    uint64_t weight, int32_t warpgroup) {
  constexpr Sm90Geometry kGeometry = kSm90Geometries[Traits::kGeometry];
  constexpr QuadBox kBox = kGeometry.phases;
  constexpr int kTogether = 2, kParts = kSteps / kTogether, kOfPlane = 4 * kParts;
  const int32_t first_cell = sm90_first_cell(kGeometry, true, warpgroup, kBox);
  uint32_t part[2][kTogether][4], emptied = 0;
#pragma unroll
  for (int i = 0; i <= 4 * kOfPlane; ++i) {
    if (i > 0) {
      const int last = i - 1, window = last / kParts % 4;
      const uint64_t taps = ptx::forget_offsets(weight);
      ptx::fence_products();
      for_each_product(last / kOfPlane, [&](int to, int row, int column, int y, int x) {
        if (2 * y + x != window) return;
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          const int step = last % kParts * kTogether + j;
          ptx::multiply_async<typename Traits::T, Traits::kHighColumns, Traits::kInputGrad>(
              sum[to], part[last % 2][j], taps + weight_offset<Traits>(row, column, step));
        }
      });
      ptx::commit_products();
      // Their registers have come by now, so that nothing waits for the fence.
      if (i % kOfPlane == 0) hand_over(emptied);
    }
    if (i == 4 * kOfPlane) break;
    if (i > 1) ptx::wait_products<1>();  // with the registers that come next
    if (i % kOfPlane == 0) ptx::wait_barrier(memory.box_full(planes.stage), planes.parity);
    const int window = i / kParts % 4;
    const uint32_t at = memory.plane(planes.stage) +
                        window_offset<Traits>(first_cell + window / 2 * kBox.width + window % 2);
#pragma unroll
    for (int j = 0; j < kTogether; ++j) {
      ptx::load_matrix(part[i % 2][j], at ^ (i % kParts * kTogether + j) * kStepBytes);
    }
    if ((i + 1) % kOfPlane == 0) {
      emptied = memory.box_empty(planes.stage);
      planes.advance();
    }
  }
  ptx::wait_products<0>();
}

// One chunk of the high input of a high tile.
template <typename Traits, int kSteps>
__device__ __forceinline__ void multiply_phases(float (&sum)[4][Traits::kHighColumns / 2],
                                                const Memory& memory, Ring<Traits::kPlanes>& planes,
                                                SlotRing& slots, int32_t warpgroup) {
#pragma unroll
  for (int row = 0; row < 3; ++row) {
    ptx::wait_barrier(memory.slot_full(slots.stage + row), slots.parity);
  }
  const uint64_t weight = weight_at<Traits>(memory, slots.stage);
  if constexpr (Traits::kOnTrial) {
    multiply_through_registers<Traits, kSteps>(sum, memory, planes, weight, warpgroup);
  } else {
    multiply_in_place<Traits, kSteps>(sum, memory, planes, weight, warpgroup);
  }
}

}  // namespace octconv::sm90
