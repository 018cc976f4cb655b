// Kernels with a planted bug, each with and without it.
#include <cstring>
#include <string>
#include <vector>

#include "bindings.h"
#include "planted/box_copies.cuh"
#include "planted/clusters.cuh"
#include "planted/collectives.cuh"
#include "planted/copies.cuh"
#include "planted/global_memory.cuh"
#include "planted/products.cuh"
#include "planted/shared_boxes.cuh"
#include "planted/shared_memory.cuh"
#include "planted/split_k.cuh"

namespace emulation {
namespace {

namespace planted = octconv::planted;

struct Kernel {
  const char* name;
  void (*correct)(planted::Params);
  void (*broken)(planted::Params);
  uint32_t blocks, threads, outputs;
  uint32_t shared_bytes = 4096, cluster = 1;
  bool overlaps = false;
};

#define PLANTED(name, ...) {#name, planted::name<false>, planted::name<true>, __VA_ARGS__}

constexpr Kernel kKernels[] = {
    // shared_memory.cuh
    PLANTED(missing_block_barrier, 1, 64, 32),
    PLANTED(overwritten_before_read, 1, 64, 512),
    PLANTED(missing_warp_sync, 1, 32, 32),
    PLANTED(shuffle_as_warp_sync, 1, 32, 32),
    PLANTED(arrives_before_store, 1, 64, 32),
    PLANTED(past_shared_buffer, 1, 32, 32),
    PLANTED(shared_never_written, 1, 32, 32),
    PLANTED(misaligned_shared_load, 1, 32, 32),
    PLANTED(shared_beyond_launch, 1, 32, 32),
    PLANTED(lanes_lay_out_differently, 1, 32, 32),
    // copies.cuh
    PLANTED(wait_one_group_short, 1, 64, 64),
    PLANTED(missing_commit, 1, 64, 64),
    PLANTED(wait_without_barrier, 1, 64, 64),
    PLANTED(refill_before_barrier, 1, 64, 64),
    PLANTED(copy_past_tensor, 1, 64, 64),
    PLANTED(copy_past_stage, 1, 64, 64),
    PLANTED(misaligned_copy, 1, 64, 64),
    PLANTED(misaligned_copy_target, 1, 64, 64),
    // box_copies.cuh
    PLANTED(wrong_parity, 1, 64, 64),
    PLANTED(too_few_bytes_expected, 1, 64, 64),
    PLANTED(too_many_bytes_expected, 1, 64, 64),
    PLANTED(missing_barrier_fence, 1, 64, 64),
    PLANTED(copy_over_unfenced_store, 1, 64, 64),
    PLANTED(copy_over_unfenced_load, 1, 64, 64),
    PLANTED(arrival_beyond_the_count, 1, 64, 64),
    PLANTED(box_behind_block_barrier, 1, 64, 64),
    PLANTED(box_past_stage, 1, 64, 64),
    PLANTED(misaligned_box, 1, 64, 64),
    PLANTED(box_of_another_rank, 1, 64, 64),
    PLANTED(box_left_under_way, 1, 64, 64),
    PLANTED(barrier_initialised_late, 1, 64, 64),
    PLANTED(two_arrivals_too_many, 1, 64, 32),
    PLANTED(box_refilled_before_read, 1, 64, 64),
    PLANTED(phase_without_wait, 1, 64, 64),
    // collectives.cuh
    PLANTED(divergent_shuffle, 1, 32, 32),
    PLANTED(divergent_load_matrix, 1, 32, 32),
    PLANTED(load_matrix_by_few_lanes, 1, 32, 32),
    PLANTED(misaligned_load_matrix, 1, 32, 32),
    PLANTED(divergent_mma, 1, 32, 32),
    PLANTED(tf32_not_rounded, 1, 32, 32),
    PLANTED(divergent_block_barrier, 1, 64, 64),
    PLANTED(lane_arrives_for_warp, 1, 64, 32),
    PLANTED(exit_before_block_barrier, 1, 64, 64),
    PLANTED(exit_before_shuffle, 1, 32, 32),
    PLANTED(deadlock, 1, 64, 64),
    PLANTED(barrier_counts_disagree, 1, 64, 64),
    PLANTED(no_such_barrier, 1, 64, 64),
    PLANTED(barrier_for_half_a_warp, 1, 64, 64),
    // clusters.cuh
    PLANTED(read_before_cluster_barrier, 2, 32, 64, 4096, 2),
    PLANTED(exit_while_read, 2, 32, 64, 4096, 2),
    PLANTED(refill_before_cluster_barrier, 2, 32, 128, 4096, 2),
    PLANTED(cluster_arrival_before_store, 2, 32, 64, 4096, 2),
    PLANTED(rank_beyond_cluster, 2, 32, 64, 4096, 2),
    PLANTED(wait_without_arrival, 2, 64, 128, 4096, 2),
    PLANTED(arrival_without_wait, 2, 32, 64, 4096, 2),
    PLANTED(divergent_cluster_barrier, 2, 32, 64, 4096, 2),
    PLANTED(cluster_deadlock, 2, 64, 128, 4096, 2),
    // shared_boxes.cuh
    PLANTED(shared_box_before_cluster_barrier, 2, 64, 128, 8192, 2),
    PLANTED(bytes_of_other_block_not_expected, 2, 64, 128, 8192, 2),
    PLANTED(shared_box_refilled_before_read, 2, 64, 128, 8192, 2),
    PLANTED(other_block_not_told, 2, 64, 128, 8192, 2),
    PLANTED(exit_before_told, 2, 64, 128, 8192, 2),
    // global_memory.cuh
    PLANTED(read_before_prerequisites, 1, 64, 64, 4096, 1, true),
    PLANTED(dependents_before_prerequisites, 1, 64, 64, 4096, 1, true),
    PLANTED(load_constant_behind_prerequisites, 1, 64, 64, 4096, 1, true),
    PLANTED(past_tensor, 1, 64, 64),
    PLANTED(past_output, 1, 9, 33),
    PLANTED(output_never_written, 1, 64, 64),
    PLANTED(misaligned_load, 1, 64, 64),
    PLANTED(misaligned_store, 1, 64, 128),
    PLANTED(writes_input, 1, 64, 64),
    PLANTED(load_constant_of_written, 1, 64, 64),
    PLANTED(workspace_never_written, 1, 64, 64),
    PLANTED(two_blocks_one_output, 2, 32, 64),
    PLANTED(two_threads_one_output, 1, 64, 64),
    PLANTED(past_register_array, 1, 64, 64),
    // products.cuh
    PLANTED(missing_products_fence, 1, 128, 512, 16384),
    PLANTED(sums_set_behind_fence, 1, 128, 512, 16384),
    PLANTED(missing_products_commit, 1, 128, 512, 16384),
    PLANTED(products_wait_one_group_short, 1, 128, 512, 16384),
    PLANTED(sums_read_before_wait, 1, 128, 512, 16384),
    PLANTED(sums_touched_before_wait, 1, 128, 512, 16384),
    PLANTED(sums_out_of_scope_before_wait, 1, 128, 512, 16384),
    PLANTED(product_of_unfenced_store, 1, 128, 512, 16384),
    PLANTED(operand_refilled_before_wait, 1, 128, 512, 16384),
    PLANTED(fragment_replaced_before_wait, 1, 128, 512, 16384),
    PLANTED(fragment_without_fence, 1, 128, 512, 16384),
    PLANTED(descriptor_without_swizzle, 1, 128, 512, 16384),
    PLANTED(descriptor_past_rows, 1, 128, 512, 16384),
    PLANTED(descriptor_past_buffer, 1, 128, 512, 16384),
    PLANTED(divergent_product, 1, 128, 512, 16384),
    PLANTED(product_by_three_warps, 1, 128, 512, 16384),
    PLANTED(product_of_other_operands, 1, 128, 512, 16384),
    // split_k.cuh
    PLANTED(arrival_before_barrier, 2, 64, 64),
    PLANTED(missing_release_fence, 2, 64, 64),
    PLANTED(fence_before_barrier, 2, 64, 64),
    PLANTED(missing_acquire_fence, 2, 64, 64),
    PLANTED(partial_sums_without_ticket, 2, 64, 64),
    PLANTED(partial_sums_by_first, 2, 64, 64),
    PLANTED(arrival_before_warp_sync, 2, 32, 32),
    PLANTED(acquired_by_lane_0_only, 2, 32, 32),
};

Value planted_names(const Value&) {
  Value names = Value::list();
  for (const Kernel& kernel : kKernels) names.append(kernel.name);
  return names;
}

// Inputs and shared memory are alike for all.
Value run_planted(const std::string& name, bool broken, const Value& options) {
  for (const Kernel& kernel : kKernels) {
    if (kernel.name != name) continue;
    std::vector<float> in(planted::kInputs);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i + 1);
    Device device(options_from(options));
    planted::Params p{};
    p.in = static_cast<const float*>(device.input("in", in.data(), in.size() * sizeof(float)));
    p.out = static_cast<float*>(device.output("out", kernel.outputs * sizeof(float)));
    p.workspace = static_cast<float*>(device.workspace("workspace", in.size() * sizeof(float)));
    p.counters = static_cast<uint32_t*>(device.zeros("counters", 4 * sizeof(uint32_t)));
    constexpr uint64_t kSizes[] = {64, 32, 1, 1}, kStrides[] = {128, 4096, 4096};
    constexpr uint32_t kBox[] = {64, 16, 1, 1};
    const TensorDescription rows = describe_tensor(p.in, 4, kSizes, kStrides, kBox);
    std::memcpy(&p.rows, &rows, sizeof p.rows);
    device.launch(
        broken ? kernel.broken : kernel.correct,
        {kernel.blocks, kernel.threads, 1, kernel.shared_bytes, kernel.cluster, kernel.overlaps},
        p);
    device.check_outputs();
    return copy_out<float>(p.out, kernel.outputs);
  }
  throw std::invalid_argument("no planted bug is named " + name);
}

}  // namespace

void bind_planted(Module& module) {
  module.add<&run_planted>("planted");
  module.add<&planted_names>("planted_names");
}

}  // namespace emulation
