// Launches that overlap with those before and behind them in the stream (sm_90).
#pragma once

namespace octconv::ptx {

// Parallel Synchronization and Communication Instructions: griddepcontrol.launch_dependents. When
// all blocks have said so or ended, a launch behind this one that may overlap can start. Behind
// wait_for_prerequisites: it knows of this launch alone, not of those that this one waits for.
__device__ __forceinline__ void launch_dependents() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// Parallel Synchronization and Communication Instructions: griddepcontrol.wait. Until the launches
// before this one, if it overlaps with them, have ended and all can see what they wrote. By each
// thread that touches global memory, before it does.
__device__ __forceinline__ void wait_for_prerequisites() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

}  // namespace octconv::ptx
