#include "launch/forward_sm80.cuh"

namespace octconv {

Answer code_passes_registers() {
  Answer passes = true;
  for_each_forward<BFloat16, false>(3, [&](auto traits) {
    using Traits = decltype(traits);
    if constexpr (Traits::kNeedsPassing) {
      if (passes == true) passes = has_registers(forward_sm80<Traits>, Traits::kRegisters);
    }
  });
  return passes;
}

template void launch_forward_sm80<BFloat16, false>(const Launch&);
template void launch_forward_sm80<BFloat16, true>(const Launch&);

}  // namespace octconv
